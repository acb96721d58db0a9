# SPDX-License-Identifier: Apache-2.0
"""Facts about applications."""

from tongban.exchange.v1 import applications_events_pb2 as pb
from tongban.exchange.v1.applications_pb2 import ApplicationAct, ApplicationState

from services.exchange.domain.applications import ApplicationChanged, ApplicationClockRang
from services.kit.envelope import Outgoing


def encoded(fact: object) -> Outgoing | None:
    """Put a fact into its message, None for one that is no application's; its order is the application's."""
    match fact:
        case ApplicationChanged():
            return Outgoing(_changed(fact), key=fact.application_id)
        case ApplicationClockRang():
            return Outgoing(_clock_rang(fact), key=fact.application_id)
    return None


def _changed(fact: ApplicationChanged) -> pb.ApplicationChanged:
    return pb.ApplicationChanged(
        application_id=fact.application_id,
        resource=fact.resource,
        requester=fact.requester,
        provider=fact.provider,
        act=ApplicationAct.Value(f"APPLICATION_ACT_{fact.act.name}"),
        state=ApplicationState.Value(f"APPLICATION_STATE_{fact.state.name}"),
        reason=fact.reason,
        grant_id=fact.grant_id,
    )


def _clock_rang(fact: ApplicationClockRang) -> pb.ApplicationClockRang:
    message = pb.ApplicationClockRang(
        application_id=fact.application_id,
        provider=fact.provider,
        clock=fact.clock,
        bell=fact.bell,
        number=fact.number,
    )
    message.due_time.FromDatetime(fact.due_time)
    return message
