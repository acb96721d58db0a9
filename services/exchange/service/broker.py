# SPDX-License-Identifier: Apache-2.0
"""Asks a provider under a permit; knows nothing of the ledger."""

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Inquiry, Subject
from services.exchange.domain.permit import Permit
from services.exchange.service.ports import Consents
from services.exchange.service.providers import Providers
from services.exchange.service.quotas import Quotas
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.calendar import local_date
from services.kit.clock import Clock


class Broker:
    """One question, one answer."""

    def __init__(
        self,
        rulebook: Rulebook,
        subjects: Subjects,
        quotas: Quotas,
        providers: Providers,
        consents: Consents,
        *,
        clock: Clock,
    ) -> None:
        self._rulebook = rulebook
        self._subjects = subjects
        self._quotas = quotas
        self._providers = providers
        self._consents = consents
        self._clock = clock

    async def ask(
        self,
        permit: Permit,
        subject: Subject,
        *,
        subject_id: str,
        purpose: str,
        grantee: str,
        case_id: str,
        own: bool = False,
    ) -> dict[str, Scalar] | None:
        """Give the permitted fields of the subject's record, None where the provider has none that the grant covers.

        `own`: the subject asks for themselves: the call is counted as theirs, and is their consent. What was taken back
        while the provider answered is not given: rules are looked at again where any has changed, consent always.

        Raises what refuses the permit by now, RateExceeded, QuotaExceeded, ConsentMissing, ProviderUnavailable,
        ProviderInMaintenance, ProviderBusy, ProviderAnswerInvalid, RemoteRefusal, Unavailable.
        """
        if own:
            self._quotas.take_own(subject.value)
        else:
            if permit.revision != self._rulebook.revision:  # A permit of many rows may be of some seconds ago.
                await self._rulebook.must_still_hold(permit, grantee=grantee, purpose=purpose)
            if permit.limits is not None and permit.limits.rate_per_second:
                self._quotas.pace(permit.grant_id, permit.limits.rate_per_second)
            await self._quotas.take(permit.grant_id, permit.daily_quota)
            await self.must_consent(permit, subject_id=subject_id, grantee=grantee, purpose=purpose)
        key = await self._subjects.key(
            subject, purpose=purpose, basis=permit.basis, on_behalf_of=grantee, case_id=case_id
        )
        inquiry = Inquiry(
            resource=permit.resource.code,
            subject_key=key,
            fields=permit.needed,
            timeout_seconds=permit.resource.timeout_ms / 1000,
        )
        record = await self._providers.ask(permit.resource, inquiry)
        if permit.revision != self._rulebook.revision:
            await self._rulebook.must_still_hold(permit, grantee=grantee, purpose=purpose)
        if not own:
            await self.must_consent(permit, subject_id=subject_id, grantee=grantee, purpose=purpose)
        if record is None or permit.view is None:
            return record
        return permit.view(record, local_date(self._clock()).isoformat())

    async def must_consent(self, permit: Permit, *, subject_id: str, grantee: str, purpose: str) -> None:
        """Return if the permit rests on no consent, or the subject's holds now. Raises ConsentMissing, Unavailable."""
        if permit.limits is not None and permit.limits.consent:
            await self._consents.must_hold(
                subject_id=subject_id,
                grantee=grantee,
                resource=permit.resource.code,
                purpose=purpose,
                fields=permit.fields,
            )
