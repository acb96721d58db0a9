# SPDX-License-Identifier: Apache-2.0
"""Facts of the calls beside queries: batches reconciled, changes published, requests answered, consents and previews."""

from tongban.exchange.v1 import (
    batches_events_pb2,
    consents_events_pb2,
    consents_pb2,
    requests_events_pb2,
    requests_pb2,
    subscriptions_events_pb2,
)

from services.exchange.domain.batches import BatchReconciled
from services.exchange.domain.consents import ConsentChanged
from services.exchange.domain.previews import PreviewDecided, PreviewState
from services.exchange.domain.requests import DataRequestChanged, RequestState
from services.exchange.domain.subscriptions import ChangesPublished
from services.exchange.service.bell import Bell
from services.exchange.service.consents import ConsentService
from services.kit.consumer import Routes
from services.kit.envelope import Envelope, Outgoing

_PREVIEWS = {state: consents_pb2.PreviewState.Value(f"PREVIEW_STATE_{state.name}") for state in PreviewState}
_REQUESTS = {state: requests_pb2.DataRequestState.Value(f"DATA_REQUEST_STATE_{state.name}") for state in RequestState}


def encoded(fact: object) -> Outgoing | None:
    """Put a fact of these areas into its message; None for one of another."""
    match fact:
        case BatchReconciled(batch_id, resource, agency, matched):
            batch = batches_events_pb2.BatchReconciled(
                batch_id=batch_id, resource=resource, agency=agency, matched=matched
            )
            return Outgoing(batch, key=batch_id)
        case ChangesPublished(resource, last):
            return Outgoing(subscriptions_events_pb2.ChangesPublished(resource=resource, last=last), key=resource)
        case DataRequestChanged(id, resource, provider, agency, state, overdue):
            request = requests_events_pb2.DataRequestChanged(
                id=id, resource=resource, provider=provider, agency=agency, state=_REQUESTS[state], overdue=overdue
            )
            return Outgoing(request, key=id)
    return _of_residents(fact)


def _of_residents(fact: object) -> Outgoing | None:
    match fact:
        case ConsentChanged(consent_id, subject_id, grantee, resource, withdrawn):
            consent = consents_events_pb2.ConsentChanged(
                consent_id=consent_id,
                subject_id=subject_id,
                grantee=grantee,
                resource=resource,
                withdrawn=withdrawn,
            )
            return Outgoing(consent, key=consent_id)
        case PreviewDecided(preview_id, subject_id, agency, state):
            preview = consents_events_pb2.PreviewDecided(
                preview_id=preview_id, subject_id=subject_id, agency=agency, state=_PREVIEWS[state]
            )
            return Outgoing(preview, key=preview_id)
    return None


class CallEvents:
    """Facts heard by every process: withdrawals are known, and changes looked for, everywhere within a second."""

    def __init__(self, consents: ConsentService, bell: Bell) -> None:
        self._consents = consents
        self._bell = bell

    @property
    def routes(self) -> Routes:
        """Which fact goes where."""
        return {
            consents_events_pb2.ConsentChanged: self.on_consent_changed,
            subscriptions_events_pb2.ChangesPublished: self.on_changes_published,
        }

    async def on_consent_changed(self, fact: consents_events_pb2.ConsentChanged, _envelope: Envelope) -> None:
        """Read the resident's consents to this recipient anew."""
        self._consents.forget(fact.subject_id, fact.grantee)

    async def on_changes_published(self, fact: subscriptions_events_pb2.ChangesPublished, _envelope: Envelope) -> None:
        """Wake the streams that wait for this resource."""
        self._bell.ring(fact.resource)
