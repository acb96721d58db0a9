# SPDX-License-Identifier: Apache-2.0
"""Registering and verifying organizations."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from services.identity.domain.credit_code import CreditCodeRefused, credit_code
from services.identity.domain.organization import (
    Compared,
    NewOrganization,
    Organization,
    OrganizationNotFound,
    compare_organization,
    deregister_organization,
    register_organization,
)
from services.identity.domain.use import canonical
from services.identity.service.ports import Digest, Request, Store
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Violation


@dataclass(frozen=True, slots=True)
class RegisterOrganizations:
    """Organizations to register, all or none."""

    request_id: str
    organizations: tuple[NewOrganization, ...]


@dataclass(frozen=True, slots=True)
class DeregisterOrganization:
    """An organization was struck off."""

    request_id: str
    uscc: str


class OrganizationsService:
    """Organizations in, and yes or no about them out."""

    def __init__(self, store: Store, *, clock: Clock, new_id: Callable[[], str], digest: Digest) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._digest = digest

    async def register(self, command: RegisterOrganizations, caller: Caller) -> tuple[Organization, ...]:
        """Those on record afterwards, in the order of the request; a code already on record keeps its organization."""
        caller.must("identity.register")
        drafts = [self._draft(position, new) for position, new in enumerate(command.organizations)]
        codes = [draft.uscc for draft in drafts]
        request = Request(
            caller.label,
            "identity.RegisterOrganizations",
            command.request_id,
            self._digest(canonical({"organizations": [asdict(new) for new in command.organizations]})),
        )
        async with self._store.transaction() as tx:
            if await tx.earlier_answer(request) is None:
                await tx.add_organizations(drafts)
                await tx.keep_answer(request, [])
            known = await tx.organizations(codes)
        return tuple(known[code] for code in codes)

    async def deregister(self, command: DeregisterOrganization, caller: Caller) -> Organization:
        """The organization, struck off. Raises OrganizationNotFound."""
        caller.must("identity.register")
        uscc = credit_code(command.uscc)
        fingerprint = self._digest(canonical({"uscc": uscc}))
        request = Request(caller.label, "identity.DeregisterOrganization", command.request_id, fingerprint)
        async with self._store.transaction() as tx:
            first = await tx.earlier_answer(request) is None
            organization = (await tx.organizations([uscc])).get(uscc)
            if organization is None:
                raise OrganizationNotFound("No organization has this code.")
            if first:
                organization = deregister_organization(organization, now=self._clock())
                await tx.end_organization(organization)
                await tx.keep_answer(request, [])
            return organization

    async def verify(self, uscc: str, name: str, caller: Caller) -> Compared:
        """Whether code and name are on record together. Public facts: no leaf."""
        caller.must("identity.verify")
        organization = await self._store.organization(credit_code(uscc))
        return compare_organization(name, organization, existence=caller.may("identity.existence"))

    def _draft(self, position: int, new: NewOrganization) -> Organization:
        try:
            return register_organization(new, subject_id=self._new_id(), now=self._clock())
        except CreditCodeRefused as refusal:
            where = Violation(f"organizations[{position}].uscc", f"{refusal.reason}: {refusal.message}")
            raise type(refusal)(refusal.message, remedy=refusal.remedy, violations=[where]) from refusal
