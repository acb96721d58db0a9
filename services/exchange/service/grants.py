# SPDX-License-Identifier: Apache-2.0
"""Grants: given and taken back by operators, read by those who may."""

from dataclasses import dataclass
from datetime import datetime

from services.exchange.domain.grant import Grant, grant, revoke
from services.exchange.domain.terms import PLAIN, Terms
from services.exchange.service.ports import Store
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import RequestIdReused
from services.kit.ids import derived_id
from services.kit.paging import Page

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class CreateGrant:
    """Give an agency a grant; the id of the grant follows from the request id, so that a repeat finds it."""

    request_id: str
    resource: str
    grantee: str
    purposes: tuple[str, ...]
    fields: tuple[str, ...]
    verify_fields: tuple[str, ...]
    basis: str
    expire_time: datetime
    daily_quota: int
    terms: Terms = PLAIN


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    """Take a grant back."""

    request_id: str
    grant_id: str
    grounds: str


class GrantService:
    """Keeps the grants."""

    def __init__(self, store: Store, rulebook: Rulebook, *, clock: Clock) -> None:
        self._store = store
        self._rulebook = rulebook
        self._clock = clock

    async def create(self, command: CreateGrant, caller: Caller) -> Grant:
        """Give a grant. Raises ResourceNotFound, SharingRefused, TooManyGrants, RequestInvalid, RequestIdReused."""
        caller.must("exchange.grants")
        draft = self._draft(command, caller)
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id):
                before = await tx.find_grant(draft.grant_id)
                if before is None or not before.same_terms(draft):
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            resource = await tx.resource(command.resource)
            given, fact = grant(draft, resource, beside=await tx.grants_beside(draft))
            await tx.add_grant(given, request_id=command.request_id)
            await tx.record(fact)
        self._rulebook.forget_grants(given.grantee, given.resource)
        return given

    async def revoke(self, command: RevokeGrant, caller: Caller) -> Grant:
        """Take a grant back. Raises GrantNotFound, GrantRevoked, RequestIdReused."""
        caller.must("exchange.grants")
        async with self._store.transaction() as tx:
            before = await tx.grant(command.grant_id)
            if not await tx.first_sight(command.request_id):
                if not before.revoked:
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            after, fact = revoke(before, now=self._clock())
            await tx.save_revocation(after, grounds=command.grounds)
            await tx.record(fact)
        self._rulebook.forget_grants(after.grantee, after.resource)
        return after

    async def list(self, *, resource: str, page_size: int, page_token: str, caller: Caller) -> Page[Grant]:
        """Give grants, newest first: an agency sees its own."""
        caller.must("exchange.read")
        grantee = "" if caller.kind is CallerKind.OPERATOR else caller.agency or caller.id
        return await self._store.list_grants(
            grantee=grantee, resource=resource, page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    def _draft(self, command: CreateGrant, caller: Caller) -> Grant:
        return Grant(
            grant_id=derived_id("grant", caller.id, command.request_id),
            resource=command.resource,
            grantee=command.grantee,
            purposes=command.purposes,
            fields=command.fields,
            verify_fields=command.verify_fields,
            basis=command.basis,
            expire_time=command.expire_time,
            daily_quota=command.daily_quota,
            create_time=self._clock(),
            terms=command.terms,
        )
