# SPDX-License-Identifier: Apache-2.0
"""Previews: an agency asks for a transfer, the resident sees and confirms, and exactly that is sent, once."""

import hmac
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.exchange.domain import previews
from services.exchange.domain.answer import Scalar
from services.exchange.domain.consents import BASIS
from services.exchange.domain.inquiry import Subject, SubjectKind, check_words
from services.exchange.domain.permit import Permit
from services.exchange.domain.previews import PENDING_MAX, Preview, PreviewChanged, PreviewState, TooManyPreviews
from services.exchange.service.broker import Broker
from services.exchange.service.consents import PAGE_SIZE
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.ports import Ledger
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import NotFound, RequestIdReused
from services.kit.ids import derived_id, new_id
from services.kit.ledger.access import Access, Receipt, canonical
from services.kit.paging import Page

RIGHT = "exchange.query"
_DROPPED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class RequestPreview:
    """Ask for one transfer about one resident; the id of the preview follows from the request id."""

    request_id: str
    resource: str
    subject: Subject
    purpose: str
    case_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecidePreview:
    """Confirm what `token` was shown for, or decline (no token)."""

    request_id: str
    preview_id: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """What a resident sees: the preview, and where it is pending the values and the token that stands for them."""

    preview: Preview
    provider: str
    values: dict[str, Scalar] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was sent."""

    preview: Preview
    values: dict[str, Scalar] = field(repr=False)
    receipt: Receipt
    disputed: tuple[str, ...] = ()


class PreviewTransaction(Protocol):
    """What one change of a preview reads and writes."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def find_preview(self, preview_id: str, *, now: datetime) -> Preview | None:
        """Read a preview and lock it, None where there is none, or its time is over."""

    async def preview(self, preview_id: str, *, now: datetime, subject_id: str = "", agency: str = "") -> Preview:
        """Read the resident's or the agency's own preview and lock it. Raises PreviewNotFound."""

    async def count_pending_previews(self, *, agency: str, subject_id: str, now: datetime) -> int:
        """Count what waits for one resident."""

    async def save_preview(self, preview: Preview) -> None:
        """Write a preview, new or changed."""

    async def drop_previews(self, *, before: datetime, limit: int) -> int:
        """Delete previews whose time was over before this moment; give how many."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf with this change; the tree is locked from here to the commit."""


class PreviewStore(Protocol):
    """The rows of previews."""

    @property
    def ledger(self) -> Ledger:
        """The ledger beside them."""

    def transaction(self) -> AbstractAsyncContextManager[PreviewTransaction]:
        """Open a transaction."""

    def digest(self, payload: bytes) -> str:
        """Give the digest of an answer, for its leaf."""

    def keyed_digest(self, payload: bytes) -> str:
        """Give the digest under which a look is remembered: it tells nothing of the values to who reads the rows."""

    async def read_preview(self, preview_id: str, *, now: datetime, subject_id: str = "", agency: str = "") -> Preview:
        """Read the resident's or the agency's own preview. Raises PreviewNotFound."""

    async def list_previews(self, *, subject_id: str, now: datetime, page_size: int, page_token: str) -> Page[Preview]:
        """Give a resident's previews, newest first."""


class PreviewService:
    """Keeps what waits for residents, never what they were shown: only its keyed digest."""

    def __init__(
        self,
        store: PreviewStore,
        rulebook: Rulebook,
        subjects: Subjects,
        broker: Broker,
        *,
        disputes: Disputes,
        clock: Clock,
        days: int,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._subjects = subjects
        self._broker = broker
        self._disputes = disputes
        self._clock = clock
        self._kept = timedelta(days=days)

    async def request(self, command: RequestPreview, caller: Caller) -> Preview:
        """Ask a resident to look. Raises what refuses a query of the agency, NotFound, TooManyPreviews."""
        caller.must(RIGHT)
        check_words(resource=command.resource, purpose=command.purpose, fields=command.fields)
        agency, now = caller.agency or caller.id, self._clock()
        permit = await self._rulebook.permit_query(
            agency, command.resource, purpose=command.purpose, fields=command.fields
        )
        subject_id = await self._subjects.subject_id(command.subject, purpose=command.purpose, case_id=command.case_id)
        if ":" in subject_id:  # The mark of a number or code that no resident has.
            raise NotFound("There is no such resident.")
        draft = Preview(
            preview_id=derived_id("preview", caller.id, command.request_id),
            subject_id=subject_id,
            agency=agency,
            resource=command.resource,
            purpose=command.purpose,
            case_id=command.case_id,
            fields=permit.fields,
            create_time=now,
            expire_time=now + self._kept,
        )
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id):
                before = await tx.find_preview(draft.preview_id, now=now)
                if before is None or not before.same_question(draft):
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            if await tx.count_pending_previews(agency=agency, subject_id=subject_id, now=now) >= PENDING_MAX:
                raise TooManyPreviews("Too many previews wait for this resident.", remedy="Wait for the resident.")
            await tx.save_preview(draft)
            await tx.record(previews.asked(draft))
        return draft

    async def look(self, preview_id: str, caller: Caller) -> Look:
        """Show the resident exactly what would go now, with a leaf; a decided preview shows no values.

        Raises PreviewNotFound, NotFound, and what keeps the provider from answering.
        """
        preview = await self._store.read_preview(preview_id, now=self._clock(), subject_id=caller.id)
        resource = await self._rulebook.resource(preview.resource)
        provider = "" if resource is None else resource.provider
        if preview.state is not PreviewState.PENDING:
            return Look(preview, provider)
        permit = await self._permit(preview)
        async with self._store.ledger.account(_leaf("preview", preview, permit)) as entry:
            values = await self._values(preview, permit, own=True)
            content = canonical(values)
            await entry.answered(digest=self._store.digest(content))
            digest = self._store.keyed_digest(content)
        async with self._store.transaction() as tx:
            before = await tx.preview(preview_id, now=self._clock(), subject_id=caller.id)
            after = previews.shown(before, token=new_id(), digest=digest, now=self._clock())
            await tx.save_preview(after)
        return Look(after, provider, values)

    async def confirm(self, command: DecidePreview, caller: Caller) -> Preview:
        """Let what was shown be sent. Raises PreviewNotFound, PreviewNotPending, PreviewTokenInvalid."""
        return await self._decide(command, caller, confirmed=True)

    async def decline(self, command: DecidePreview, caller: Caller) -> Preview:
        """Keep it from being sent. Raises PreviewNotFound, PreviewNotPending."""
        return await self._decide(command, caller, confirmed=False)

    async def collect(self, preview_id: str, caller: Caller) -> Collected:
        """Give the agency exactly what the resident confirmed, once; anything else is refused and shown again.

        Raises PreviewNotFound, PreviewNotConfirmed, PreviewDeclined, PreviewCollected, PreviewChanged, and what
        refuses a query.
        """
        caller.must(RIGHT)
        agency = caller.agency or caller.id
        preview = await self._store.read_preview(preview_id, now=self._clock(), agency=agency)
        previews.must_be_collectable(preview)
        permit = await self._permit(preview)
        access = _leaf("preview_collected", preview, permit)
        values: dict[str, Scalar] = {}
        async with self._store.ledger.account(access) as entry:
            values = await self._values(preview, permit, own=False)
            content = canonical(values)
            if not hmac.compare_digest(self._store.keyed_digest(content), preview.digest):
                await self._changed(preview_id, agency)
                raise PreviewChanged(
                    "What would be sent is no longer what was shown.", remedy="The resident looks again."
                )
            async with self._store.transaction() as tx:
                before = await tx.preview(preview_id, now=self._clock(), agency=agency)
                previews.must_be_collectable(before)
                await tx.save_preview(previews.collected(before))
            receipt = await entry.answered(digest=self._store.digest(content))
        disputed = self._disputes.among(preview.resource, preview.subject_id, values)
        return Collected(previews.collected(preview), values, receipt, disputed)

    async def list(self, *, page_size: int, page_token: str, caller: Caller) -> Page[Preview]:
        """Give the resident's own previews, newest first."""
        return await self._store.list_previews(
            subject_id=caller.id, now=self._clock(), page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    async def drop_expired(self) -> int:
        """Delete previews whose time is over; give how many."""
        dropped = 0
        while True:
            async with self._store.transaction() as tx:
                some = await tx.drop_previews(before=self._clock(), limit=_DROPPED_MAX)
            dropped += some
            if some < _DROPPED_MAX:
                return dropped

    async def _decide(self, command: DecidePreview, caller: Caller, *, confirmed: bool) -> Preview:
        now = self._clock()
        async with self._store.transaction() as tx:
            before = await tx.preview(command.preview_id, now=now, subject_id=caller.id)
            if not await tx.first_sight(command.request_id, command.preview_id, str(confirmed), command.token):
                return before
            if confirmed:
                after, fact = previews.confirm(before, command.token, now=now)
            else:
                after, fact = previews.decline(before)
            await tx.save_preview(after)
            await tx.record(fact)
            await tx.leaf(_leaf(f"preview_{after.state.value}", after, None))
        return after

    async def _permit(self, preview: Preview) -> Permit:
        """Permit the transfer as the rules are now; the resident's word on this preview is the consent it needs."""
        permit = await self._rulebook.permit_query(
            preview.agency, preview.resource, purpose=preview.purpose, fields=preview.fields
        )
        if permit.limits is None or not permit.limits.consent:
            return permit
        return permit._replace(limits=permit.limits._replace(consent=False))

    async def _values(self, preview: Preview, permit: Permit, *, own: bool) -> dict[str, Scalar]:
        values = await self._broker.ask(
            permit,
            Subject(SubjectKind.SUBJECT_ID, preview.subject_id),
            subject_id=preview.subject_id,
            purpose=preview.purpose,
            grantee=preview.agency,
            case_id=preview.case_id,
            own=own,
        )
        if values is None:
            raise NotFound("The provider has no record of the resident.")
        return values

    async def _changed(self, preview_id: str, agency: str) -> None:
        async with self._store.transaction() as tx:
            before = await tx.preview(preview_id, now=self._clock(), agency=agency)
            if before.state is PreviewState.CONFIRMED:
                after, fact = previews.changed(before)
                await tx.save_preview(after)
                await tx.record(fact)


def _leaf(operation: str, preview: Preview, permit: Permit | None) -> Access:
    return Access(
        operation=operation,
        subject_id=preview.subject_id,
        purpose=preview.purpose,
        basis=BASIS if permit is None else permit.basis,
        fields=preview.fields,
        resource=preview.resource,
        on_behalf_of=preview.agency,
        case_id=preview.case_id,
    )
