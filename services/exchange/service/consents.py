# SPDX-License-Identifier: Apache-2.0
"""Consents: given and withdrawn by the resident, looked up in memory before every answer that rests on one."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cachetools import TTLCache

from services.exchange.domain.consents import BASIS, Consent, give, withdraw
from services.exchange.domain.inquiry import check_words
from services.exchange.domain.refusals import ConsentMissing, ResourceNotFound
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Refusal, RequestIdReused
from services.kit.flight import Flight
from services.kit.ids import derived_id
from services.kit.ledger.access import Access, Receipt
from services.kit.paging import Page

PAGE_SIZE = 50
HELD_MAX = 100_000
"""Pairs of resident and recipient whose consents are held in memory."""
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class GiveConsent:
    """Let an agency have fields of one's own record; the id of the consent follows from the request id."""

    request_id: str
    grantee: str
    resource: str
    purpose: str
    fields: tuple[str, ...]
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class WithdrawConsent:
    """Withdraw a consent."""

    request_id: str
    consent_id: str


class ConsentTransaction(Protocol):
    """What one change of a consent reads and writes."""

    async def first_sight(self, id: str) -> bool:
        """Tell whether this request has had no effect yet."""

    async def find_consent(self, consent_id: str) -> Consent | None:
        """Read a consent and lock it, None where there is none."""

    async def consent(self, consent_id: str, *, subject_id: str) -> Consent:
        """Read a resident's own consent and lock it. Raises ConsentNotFound."""

    async def add_consent(self, consent: Consent) -> None:
        """Write a new consent."""

    async def save_consent(self, consent: Consent) -> None:
        """Write that a consent was withdrawn."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf with this change; the tree is locked from here to the commit."""


class ConsentStore(Protocol):
    """The rows of consents."""

    def transaction(self) -> AbstractAsyncContextManager[ConsentTransaction]:
        """Open a transaction."""

    async def consents_of(self, subject_id: str, grantee: str) -> Sequence[Consent]:
        """Give a resident's consents to one recipient that were not withdrawn, newest first, bounded."""

    async def list_consents(self, *, subject_id: str, page_size: int, page_token: str) -> Page[Consent]:
        """Give a resident's consents, newest first, withdrawn ones too."""


class ConsentService:
    """Keeps consents, and tells whether one holds. A withdrawal holds here at once, elsewhere within a second."""

    def __init__(
        self, store: ConsentStore, rulebook: Rulebook, *, clock: Clock, age_seconds_max: float, held_max: int = HELD_MAX
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._clock = clock
        self._held: TTLCache[Pair, Sequence[Consent]] = TTLCache(held_max, age_seconds_max)
        self._flight: Flight[Pair, Sequence[Consent]] = Flight(self._read, self._keep)

    async def must_hold(
        self, *, subject_id: str, grantee: str, resource: str, purpose: str, fields: Sequence[str]
    ) -> None:
        """Return if the subject's consent covers these fields (or questions) now. Raises ConsentMissing, Unavailable."""
        pair = (subject_id, grantee)
        consents = self._held.get(pair)
        if consents is None:
            consents = await self._flight.answer(pair)
        now = self._clock()
        for each in consents:
            if each.resource == resource and each.purpose == purpose and each.covers(fields, now=now):
                return
        raise ConsentMissing(
            "The subject has not consented to this.", remedy="Ask the resident for consent, or for a preview."
        )

    async def give(self, command: GiveConsent, caller: Caller) -> Consent:
        """Give a consent; a leaf proves when, to whom, for what. Raises RequestInvalid, ResourceNotFound."""
        check_words(
            resource=command.resource,
            purpose=command.purpose,
            fields=command.fields,
            on_behalf_of=command.grantee,
        )
        draft = Consent(
            consent_id=derived_id("consent", caller.id, command.request_id),
            subject_id=caller.id,
            grantee=command.grantee,
            resource=command.resource,
            purpose=command.purpose,
            fields=command.fields,
            give_time=self._clock(),
            expire_time=command.expire_time,
        )
        given, fact = give(draft, await self._known(draft))
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id):
                before = await tx.find_consent(draft.consent_id)
                if before is None or replace(draft, give_time=before.give_time, withdraw_time=before.withdraw_time) != (
                    before
                ):
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            await tx.add_consent(given)
            await tx.record(fact)
            await tx.leaf(_leaf("consent_given", given))
        self.forget(given.subject_id, given.grantee)
        return given

    async def withdraw(self, command: WithdrawConsent, caller: Caller) -> Consent:
        """Withdraw a consent: from the commit on nobody here goes by it. Raises ConsentNotFound, ConsentWithdrawn."""
        async with self._store.transaction() as tx:
            before = await tx.consent(command.consent_id, subject_id=caller.id)
            if not await tx.first_sight(command.request_id):
                if before.withdraw_time is None:
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            after, fact = withdraw(before, now=self._clock())
            await tx.save_consent(after)
            await tx.record(fact)
            await tx.leaf(_leaf("consent_withdrawn", after))
        self.forget(after.subject_id, after.grantee)
        return after

    async def list(self, *, page_size: int, page_token: str, caller: Caller) -> Page[Consent]:
        """Give the resident's own consents, newest first."""
        return await self._store.list_consents(
            subject_id=caller.id, page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    def forget(self, subject_id: str, grantee: str) -> None:
        """Read the pair's consents again next time; what is on its way is not kept either."""
        self._held.pop((subject_id, grantee), None)
        self._flight.forget((subject_id, grantee))

    async def _known(self, draft: Consent) -> frozenset[str]:
        """Give what can be consented to: fields of the resource, and the questions if the agency may ask them."""
        resource = await self._rulebook.resource(draft.resource)
        if resource is None:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        questions = tuple(name for name in draft.fields if name not in resource.field_names)
        if questions:
            with suppress(Refusal):
                permit = await self._rulebook.permit_ask(
                    draft.grantee, draft.resource, purpose=draft.purpose, questions=questions
                )
                return resource.field_names | frozenset(permit.fields)
        return resource.field_names

    async def _read(self, pair: Pair) -> Sequence[Consent]:
        return await self._store.consents_of(*pair)

    def _keep(self, pair: Pair, consents: Sequence[Consent]) -> None:
        self._held[pair] = consents


def _leaf(operation: str, consent: Consent) -> Access:
    return Access(
        operation=operation,
        subject_id=consent.subject_id,
        purpose=consent.purpose,
        basis=BASIS,
        fields=consent.fields,
        resource=consent.resource,
        on_behalf_of=consent.grantee,
    )
