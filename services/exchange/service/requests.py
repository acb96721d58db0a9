# SPDX-License-Identifier: Apache-2.0
"""Requests: asked under a grant, leased and answered by the provider's people, collected by the asker, each with its leaf."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.exchange.domain.answer import Scalar, accept
from services.exchange.domain.inquiry import Subject, check_words
from services.exchange.domain.permit import Permit
from services.exchange.domain.requests import (
    ANSWER,
    LEASE,
    LEASED_MAX,
    OPEN_MAX,
    Answer,
    DataRequest,
    DataRequestNotFound,
    RequestState,
    TooManyDataRequests,
    answered,
    changed,
    collectable,
    leased,
)
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.ports import Consents, Ledger
from services.exchange.service.quotas import Quotas
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.calendar import Deadlines, Limits, Rung, local_date
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Refusal, RemoteRefusal, RequestIdReused
from services.kit.ids import derived_id, new_id
from services.kit.ledger.access import ANSWERED, Access, Receipt, canonical
from services.kit.paging import Page

ASK, PROVIDE = "exchange.query", "exchange.provide"
PAGE_SIZE = 50
_DROPPED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class RequestData:
    """Ask; the id of the request follows from the request id."""

    request_id: str
    resource: str
    subject: Subject
    purpose: str
    case_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerData:
    """Answer what was leased: with the record (None: there is none), or by refusing with grounds."""

    id: str
    lease_id: str
    record: Mapping[str, Any] | None = field(default=None, repr=False)
    grounds: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Work:
    """One request on the desk of a provider's people: `subject_key` is the number or code that they look up."""

    request: DataRequest
    subject_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """A collected answer."""

    request: DataRequest
    values: dict[str, Scalar] = field(repr=False)
    receipt: Receipt
    disputed: tuple[str, ...] = ()


class RequestTransaction(Protocol):
    """What one change of a request reads and writes."""

    async def first_sight(self, id: str) -> bool:
        """Tell whether this request has had no effect yet."""

    async def find_request(self, id: str, *, now: datetime) -> DataRequest | None:
        """Read a request and lock it, None where there is none, or it is no longer kept."""

    async def request(self, id: str, *, now: datetime, agency: str = "", provider: str = "") -> DataRequest:
        """Read the asker's or the provider's own request and lock it. Raises DataRequestNotFound."""

    async def count_open_requests(self, *, agency: str, resource: str) -> int:
        """Count what waits."""

    async def free_requests(self, *, provider: str, leased_before: datetime, limit: int) -> Sequence[DataRequest]:
        """Give open requests that nobody works on, oldest first, locked; those that others have in hand are passed over."""

    async def save_request(self, request: DataRequest) -> None:
        """Write a request, new or changed."""

    async def drop_requests(self, *, before: datetime, limit: int) -> int:
        """Delete requests that are no longer kept; give how many."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf with this change; the tree is locked from here to the commit."""


class RequestStore(Protocol):
    """The rows of requests."""

    @property
    def ledger(self) -> Ledger:
        """The ledger beside them."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction: a RequestTransaction that deadlines can be written in."""

    def digest(self, payload: bytes) -> str:
        """Give the digest of an answer, for its leaf."""

    async def read_request(self, id: str, *, now: datetime, agency: str) -> DataRequest:
        """Read a request of the asker or of the provider. Raises DataRequestNotFound."""

    async def list_requests(
        self, *, agency: str, state: RequestState | None, now: datetime, page_size: int, page_token: str
    ) -> Page[DataRequest]:
        """Give requests that an agency asked, newest first."""


class RequestService:
    """Questions for providers who need time or a human."""

    def __init__(
        self,
        store: RequestStore,
        rulebook: Rulebook,
        subjects: Subjects,
        quotas: Quotas,
        consents: Consents,
        *,
        disputes: Disputes,
        deadlines: Deadlines,
        limits: Limits,
        region: str,
        clock: Clock,
        days: int,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._subjects = subjects
        self._quotas = quotas
        self._consents = consents
        self._disputes = disputes
        self._deadlines = deadlines
        self._limits = limits
        self._region = region
        self._clock = clock
        self._kept = timedelta(days=days)
        deadlines.react(ANSWER, self.on_bell)

    async def ask(self, command: RequestData, caller: Caller) -> DataRequest:
        """Ask now. Raises what refuses a query (with its leaf), TooManyDataRequests, RequestIdReused."""
        caller.must(ASK)
        check_words(resource=command.resource, purpose=command.purpose, fields=command.fields)
        agency, now = caller.agency or caller.id, self._clock()
        subject_id = await self._subjects.subject_id(command.subject, purpose=command.purpose, case_id=command.case_id)
        draft = DataRequest(
            id=derived_id("data_request", caller.id, command.request_id),
            agency=agency,
            provider="",
            resource=command.resource,
            purpose=command.purpose,
            case_id=command.case_id,
            fields=command.fields,
            subject=command.subject,
            subject_id=subject_id,
            basis="",
            create_time=now,
            expire_time=now + self._kept,
        )
        try:
            permit = await self._permit(draft)
            asked = replace(draft, provider=permit.resource.provider, fields=permit.fields, basis=permit.basis)
            async with self._store.transaction() as tx:
                if not await tx.first_sight(command.request_id):
                    known: DataRequest = await self._known(tx, asked)
                    return known
                if await tx.count_open_requests(agency=agency, resource=asked.resource) >= OPEN_MAX:
                    raise TooManyDataRequests(f"{OPEN_MAX} requests wait for this resource.")
                terms = self._limits.terms(ANSWER, self._region)
                reckoned = await self._deadlines.start(tx, ANSWER, asked.id, terms, now)
                asked = replace(asked, due_time=reckoned.due)
                await tx.save_request(asked)
                await tx.record(changed(asked))
                await tx.leaf(
                    _leaf("request", asked, outcome="ASKED")
                )  # Maybe nobody ever answers: it was asked all the same.
        except Refusal as refusal:
            if not isinstance(refusal, RequestIdReused):
                await self._store.ledger.append(_leaf("request", draft, outcome=refusal.reason))
            raise
        return asked

    async def read(self, id: str, caller: Caller) -> DataRequest:
        """Tell how a request stands: to who asked it, and to its provider. Raises DataRequestNotFound."""
        return await self._store.read_request(id, now=self._clock(), agency=caller.agency or caller.id)

    async def list(
        self, *, state: RequestState | None, page_size: int, page_token: str, caller: Caller
    ) -> Page[DataRequest]:
        """Give the caller's own questions, newest first."""
        caller.must(ASK)
        return await self._store.list_requests(
            agency=caller.agency or caller.id,
            state=state,
            now=self._clock(),
            page_size=page_size or PAGE_SIZE,
            page_token=page_token,
        )

    async def lease(self, most: int, caller: Caller) -> Sequence[Work]:
        """Give a provider's people open requests, oldest first, each for 15 minutes to one of them."""
        caller.must(PROVIDE)
        now = self._clock()
        async with self._store.transaction() as tx:
            free = await tx.free_requests(
                provider=caller.agency or caller.id,
                leased_before=now - LEASE,
                limit=min(most or LEASED_MAX, LEASED_MAX),
            )
            taken = [leased(each, new_id(), now=now) for each in free]
            for each in taken:
                await tx.save_request(each)
        work: list[Work] = []
        for each in taken:
            try:
                work.append(Work(each, await self._key(each)))
            except RemoteRefusal:  # Identity knows nobody of that id: no reason to keep the others waiting.
                await self.answer(AnswerData(each.id, each.lease_id), caller)
        return work

    async def answer(self, command: AnswerData, caller: Caller) -> DataRequest:
        """Answer or refuse what was leased; what the asker may not see is not kept. The same again changes nothing.

        Raises DataRequestNotFound, LeaseLost, DataRequestAnswered, ProviderAnswerInvalid, and what refuses the asker by
        now, e.g. GrantExpired.
        """
        caller.must(PROVIDE)
        provider, now = caller.agency or caller.id, self._clock()
        request = await self._store.read_request(command.id, now=now, agency=provider)
        if request.provider != provider:
            raise DataRequestNotFound("There is no such request to this provider.")
        state, answer = await self._judged(request, command)
        async with self._store.transaction() as tx:
            before: DataRequest = await tx.request(command.id, now=now, provider=provider)
            if before.state is state and before.answer == answer:
                return before
            after = answered(before, state, answer, lease_id=command.lease_id, now=now)
            await self._deadlines.meet(tx, ANSWER, after.id, now)
            await tx.save_request(after)
            await tx.record(changed(after))
            digest = "" if answer.values is None else self._store.digest(canonical(answer.values))
            outcome = ANSWERED if state is RequestState.ANSWERED else state.name
            await tx.leaf(_leaf("request", after, outcome=outcome)._replace(digest=digest))
        return after

    async def collect(self, id: str, caller: Caller) -> Handed:
        """Hand over an answer, with a leaf; as often as asked while it is kept, and only while the asker may see it.

        Raises DataRequestNotFound, DataRequestPending, DataRequestRefused, NotFound, and what refuses a query.
        """
        caller.must(ASK)
        agency, now = caller.agency or caller.id, self._clock()
        request = await self._store.read_request(id, now=now, agency=agency)
        values = collectable(request, agency)
        async with self._store.ledger.account(_leaf("request_collected", request)) as entry:
            await self._permit(request, counted=False)
            receipt = await entry.answered(digest=self._store.digest(canonical(values)))
        disputed = self._disputes.among(request.resource, request.subject_id, values)
        return Handed(request, values, receipt, disputed)

    async def on_bell(self, tx: RequestTransaction, rung: Rung) -> None:
        """Tell that a request is overdue; a warning or an escalation tells it again."""
        request = await tx.find_request(rung.owner, now=self._clock())
        if request is not None and request.state is RequestState.OPEN:
            late = rung.reckoned.due is not None and rung.reckoned.due <= self._clock()
            after = replace(request, overdue=late)
            await tx.save_request(after)
            await tx.record(changed(after))

    async def drop_expired(self) -> int:
        """Delete requests and answers that are no longer kept (PIPL, art. 19); give how many."""
        dropped = 0
        while True:
            async with self._store.transaction() as tx:
                some: int = await tx.drop_requests(before=self._clock(), limit=_DROPPED_MAX)
            dropped += some
            if some < _DROPPED_MAX:
                return dropped

    async def _permit(self, request: DataRequest, *, counted: bool = True) -> Permit:
        """Permit the asker as the rules are now; asking counts as a call, collecting does not again."""
        permit = await self._rulebook.permit_query(
            request.agency, request.resource, purpose=request.purpose, fields=request.fields
        )
        if counted:
            await self._quotas.take(permit.grant_id, permit.daily_quota)
        if permit.limits is not None and permit.limits.consent:
            await self._consents.must_hold(
                subject_id=request.subject_id,
                grantee=request.agency,
                resource=request.resource,
                purpose=request.purpose,
                fields=permit.fields,
            )
        return permit

    async def _judged(self, request: DataRequest, command: AnswerData) -> tuple[RequestState, Answer]:
        """Keep of an answer what the asker may see now, and nothing that is not asked for."""
        if command.grounds:
            return RequestState.REFUSED, Answer(grounds=command.grounds)
        if command.record is None:
            return RequestState.NOT_FOUND, Answer()
        permit = await self._permit(request, counted=False)
        values: dict[str, Scalar] | None = accept(
            command.record, fields=permit.needed, subject_key=await self._key(request)
        )
        if permit.view is not None and values is not None:
            values = permit.view(values, local_date(self._clock()).isoformat())
        return (RequestState.NOT_FOUND, Answer()) if values is None else (RequestState.ANSWERED, Answer(values))

    async def _key(self, request: DataRequest) -> str:
        return await self._subjects.key(
            request.subject,
            purpose=request.purpose,
            basis=request.basis,
            on_behalf_of=request.agency,
            case_id=request.case_id,
        )

    async def _known(self, tx: RequestTransaction, asked: DataRequest) -> DataRequest:
        before = await tx.find_request(asked.id, now=asked.create_time)
        if before is None or not before.same_question(asked):
            raise RequestIdReused("This request id came before, with another request.")
        return before


def _leaf(operation: str, request: DataRequest, *, outcome: str = ANSWERED) -> Access:
    return Access(
        operation=operation,
        subject_id=request.subject_id,
        purpose=request.purpose,
        basis=request.basis,
        fields=request.fields,
        resource=request.resource,
        on_behalf_of=request.agency,
        case_id=request.case_id,
        outcome=outcome,
    )
