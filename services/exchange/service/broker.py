# SPDX-License-Identifier: Apache-2.0
"""Asks a provider under a permit; knows nothing of the ledger."""

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Inquiry, Subject
from services.exchange.domain.permit import Permit
from services.exchange.service.providers import Providers
from services.exchange.service.quotas import Quotas
from services.exchange.service.subjects import Subjects


class Broker:
    """One question, one answer."""

    def __init__(self, subjects: Subjects, quotas: Quotas, providers: Providers) -> None:
        self._subjects = subjects
        self._quotas = quotas
        self._providers = providers

    async def ask(
        self, permit: Permit, subject: Subject, *, purpose: str, grantee: str, case_id: str, own: bool = False
    ) -> dict[str, Scalar] | None:
        """Give the permitted fields of the subject's record, None where the provider has none.

        `own`: the subject asks for themselves, and the call is counted as theirs.

        Raises QuotaExceeded, ProviderUnavailable, ProviderInMaintenance, ProviderBusy, ProviderAnswerInvalid, RemoteRefusal, Unavailable.
        """
        if own:
            self._quotas.take_own(subject.value)
        else:
            await self._quotas.take(permit.grant_id, permit.daily_quota)
        key = await self._subjects.key(
            subject, purpose=purpose, basis=permit.basis, on_behalf_of=grantee, case_id=case_id
        )
        inquiry = Inquiry(
            resource=permit.resource.code,
            subject_key=key,
            fields=permit.fields,
            timeout_seconds=permit.resource.timeout_ms / 1000,
        )
        return await self._providers.ask(permit.resource, inquiry)
