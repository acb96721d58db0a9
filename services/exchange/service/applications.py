# SPDX-License-Identifier: Apache-2.0
"""Applications for grants: what agencies and the sharing authority do about them, and what their clocks do."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from services.exchange.domain import applications as domain
from services.exchange.domain.applications import Application, ApplicationClockRang, State
from services.exchange.domain.grant import grant
from services.exchange.domain.refusals import ActNotYours, ApplicationNotFound, HandBackTooLate
from services.exchange.domain.resource import Resource
from services.exchange.domain.scope import Scope
from services.exchange.service.ports import Transaction
from services.exchange.service.rulebook import Rulebook
from services.kit.calendar import Bell, Deadline, Deadlines, Limits, Rung, derivation
from services.kit.calendar import State as ClockState
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Violation
from services.kit.ids import derived_id
from services.kit.paging import Page
from services.kit.store import Tx
from services.kit.text import Text

PAGE_SIZE: Final = 50
LATENESS_DAYS: Final = 365
APPLY, DECIDE, COORDINATE, READ = "exchange.apply", "exchange.decide", "exchange.coordinate", "exchange.read"
FORMAL: Final = "application.formal"
CLOCKS: Final = {
    State.HANDED_BACK: "application.complete",
    State.DECIDING: "application.conditional",
    State.NEGOTIATING: "application.negotiate",
    State.COORDINATING: "application.coordinate",
    State.REFUSED: "application.dispute",
}
"""The clock of each state that somebody is waited for in."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """A provider's row of the league table: applications accepted, decided, late, and late and still waiting."""

    provider: str
    accepted: int
    decided: int
    late: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Running:
    """The clock that an application waits for: when it is over, and how that was counted."""

    name: str
    due: datetime | None
    unverified: bool
    derivation: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply for a grant; the id of the application follows from the request id."""

    request_id: str
    resource: str
    scene: str
    wanted: Scope


@dataclass(frozen=True, slots=True)
class Decision:
    """Give `given`, or refuse where it is None. `grounds`: why less, or why not."""

    given: Scope | None
    grounds: str


class ApplicationTx(Transaction, Protocol):
    """A transaction that knows applications."""

    async def application(self, application_id: str) -> Application:
        """Read and lock. Raises ApplicationNotFound."""

    async def add_application(self, new: Application) -> None:
        """Insert."""

    async def save_application(self, changed: Application) -> None:
        """Write as it stands."""


class ApplicationStore(Protocol):
    """Rows of applications."""

    def transaction(self) -> AbstractAsyncContextManager["ApplicationTx"]:
        """Open a transaction."""

    async def read_application(self, application_id: str) -> Application:
        """Read. Raises ApplicationNotFound."""

    async def list_applications(
        self, *, requester: str, provider: str, state: State | None, page_size: int, page_token: str
    ) -> Page[Application]:
        """Give applications, newest first; what is empty does not narrow."""

    async def lateness(self, *, since: datetime, page_size: int, page_token: str) -> Page[Lateness]:
        """Give providers by how often they were late, the latest first."""


Change = Callable[[Application, Resource, datetime], Application]


class ApplicationService:
    """Orders the acts; what they do is the domain's, when they must be done is the calendar's."""

    def __init__(
        self,
        store: ApplicationStore,
        rulebook: Rulebook,
        deadlines: Deadlines,
        limits: Limits,
        *,
        clock: Clock,
        region: str,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._region = region
        for kind in (*CLOCKS.values(), FORMAL):
            deadlines.react(kind, self.on_bell)

    async def apply(self, command: Apply, caller: Caller) -> Application:
        """Apply. Raises ResourceNotFound, RequestIdReused."""
        caller.must(APPLY)
        application_id = derived_id("application", caller.id, command.request_id)
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.request_id, repr(command)):
                return await tx.application(application_id)
            resource, now = await tx.resource(command.resource), self._clock()
            draft = Application(
                application_id=application_id,
                resource=resource.code,
                requester=_agency(caller),
                provider=resource.provider,
                scene=command.scene,
                wanted=command.wanted,
                state=State.HANDED_BACK,
                history=(),
            )
            after = domain.apply(draft, resource, now=now)
            await tx.add_application(after)
            await self._moved(tx, None, after, resource, now)
        self._forget(after)
        return after

    async def complete(
        self, request_id: str, application_id: str, *, scene: str, wanted: Scope, caller: Caller
    ) -> Application:
        """Hand in again what was handed back."""
        caller.must(APPLY)
        return await self._change(
            request_id,
            application_id,
            ("complete", scene, repr(wanted)),
            lambda each, resource, now: domain.complete(_own(each, caller), scene, wanted, resource, now=now),
        )

    async def hand_back(
        self, request_id: str, application_id: str, missing: tuple[Violation, ...], caller: Caller
    ) -> Application:
        """Hand back what the platform's check could not see is incomplete. Raises HandBackTooLate."""
        caller.must(DECIDE)
        by = _agency(caller)

        async def in_time(tx: Tx, now: datetime) -> None:
            await self._deadlines.change(tx, FORMAL, application_id, lambda each: _running(each).meet(now))

        return await self._change(
            request_id,
            application_id,
            ("hand_back", repr(missing)),
            lambda each, _, now: domain.hand_back(each, missing, by=by, now=now),
            also=in_time,
        )

    async def decide(self, request_id: str, application_id: str, decision: Decision, caller: Caller) -> Application:
        """Agree, agree to less, or refuse, as the provider."""
        caller.must(DECIDE)
        by = _agency(caller)

        def decided(each: Application, resource: Resource, now: datetime) -> Application:
            if decision.given is None:
                return domain.refuse(each, decision.grounds, by=by, now=now)
            return domain.give(each, decision.given, resource, grounds=decision.grounds, by=by, now=now)

        return await self._change(request_id, application_id, ("decide", repr(decision)), decided)

    async def ask_extension(self, request_id: str, application_id: str, grounds: str, caller: Caller) -> Application:
        """Ask the sharing authority for more time."""
        caller.must(DECIDE)
        by = _agency(caller)
        return await self._change(
            request_id,
            application_id,
            ("ask_extension", grounds),
            lambda each, _, now: domain.ask_extension(each, grounds, by=by, now=now),
        )

    async def decide_extension(
        self, request_id: str, application_id: str, *, approved: bool, grounds: str, caller: Caller
    ) -> Application:
        """Give more time or not, as the sharing authority; the requester hears of it."""
        caller.must(COORDINATE)
        by = _agency(caller)

        async def extended(tx: Tx, now: datetime) -> None:
            if approved:
                kind, why = (
                    CLOCKS[State.DECIDING],
                    Text(zh="共享主管部门批准延长", en="Extended by the sharing authority"),
                )
                await self._deadlines.change(tx, kind, application_id, lambda each: each.extend(now, why))

        return await self._change(
            request_id,
            application_id,
            ("decide_extension", str(approved), grounds),
            lambda each, _, now: domain.decide_extension(
                _neutral(each, by), approved=approved, grounds=grounds, by=by, now=now
            ),
            also=extended,
        )

    async def dispute(self, request_id: str, application_id: str, grounds: str, caller: Caller) -> Application:
        """Contest a refusal."""
        caller.must(APPLY)
        return await self._change(
            request_id,
            application_id,
            ("dispute", grounds),
            lambda each, _, now: domain.dispute(_own(each, caller), grounds, now=now),
        )

    async def escalate(self, request_id: str, application_id: str, grounds: str, caller: Caller) -> Application:
        """End a negotiation that leads nowhere, as either party."""
        caller.must(READ)
        by = _agency(caller)
        return await self._change(
            request_id,
            application_id,
            ("escalate", grounds),
            lambda each, _, now: domain.escalate(each, by=by, now=now, words=grounds),
        )

    async def resolve(self, request_id: str, application_id: str, decision: Decision, caller: Caller) -> Application:
        """Decide a dispute, or what the provider left undecided, as the sharing authority."""
        caller.must(COORDINATE)
        by = _agency(caller)

        def resolved(each: Application, resource: Resource, now: datetime) -> Application:
            _neutral(each, by)
            if decision.given is None:
                return domain.resolve_with_refusal(each, decision.grounds, by=by, now=now)
            given, grounds = decision.given, decision.grounds
            return domain.resolve_with_grant(each, given, resource, grounds=grounds, by=by, now=now)

        return await self._change(request_id, application_id, ("resolve", repr(decision)), resolved)

    async def withdraw(self, request_id: str, application_id: str, caller: Caller) -> Application:
        """Take an application back."""
        caller.must(APPLY)
        return await self._change(
            request_id, application_id, ("withdraw",), lambda each, _, now: domain.withdraw(_own(each, caller), now=now)
        )

    async def get(self, application_id: str, caller: Caller) -> tuple[Application, Running | None]:
        """Read one and its clock, as a party or as the sharing authority. Raises ApplicationNotFound."""
        caller.must(READ)
        found = await self._store.read_application(application_id)
        if not _sees_all(caller) and _agency(caller) not in {found.requester, found.provider}:
            raise ApplicationNotFound("There is no such application.")
        if not _clocks(found):
            return found, None
        name = CLOCKS[found.state]
        deadline, reckoned = await self._deadlines.read(name, application_id)
        return found, Running(name, reckoned.due, not deadline.terms.verified, derivation(deadline, reckoned))

    async def list(
        self, *, as_provider: bool, state: State | None, page_size: int, page_token: str, caller: Caller
    ) -> Page[Application]:
        """Give applications, newest first: an agency those that it made, or those made to it."""
        caller.must(READ)
        own = "" if _sees_all(caller) else _agency(caller)
        return await self._store.list_applications(
            requester="" if as_provider else own,
            provider=own if as_provider else "",
            state=state,
            page_size=page_size or PAGE_SIZE,
            page_token=page_token,
        )

    async def lateness(self, *, page_size: int, page_token: str, caller: Caller) -> Page[Lateness]:
        """Give the league table of late providers, over the applications accepted within a year."""
        caller.must(READ)
        since = self._clock() - timedelta(days=LATENESS_DAYS)
        return await self._store.lateness(since=since, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def on_bell(self, tx: ApplicationTx, rung: Rung) -> None:
        """Tell what a clock says, and do what follows from its end."""
        before, now = await tx.application(rung.owner), self._clock()
        if rung.kind == FORMAL:
            return  # It counts as complete; its clock says so.
        due = rung.reckoned.due
        assert due is not None, "A clock that rings has a due moment."
        await tx.record(ApplicationClockRang(rung.owner, before.provider, rung.kind, rung.bell.value, rung.number, due))
        if rung.bell is Bell.EXPIRY:
            after = domain.ran_out(before, now=now)
            await tx.save_application(after)
            await self._moved(tx, before, after, None, now)

    async def _change(
        self,
        request_id: str,
        application_id: str,
        asked: tuple[str, ...],
        change: Change,
        *,
        also: "Callable[[Tx, datetime], Awaitable[None]] | None" = None,
    ) -> Application:
        async with self._store.transaction() as tx:
            before, now = await tx.application(application_id), self._clock()
            if not await tx.first_sight(request_id, application_id, *asked):
                return before
            resource = await tx.resource(before.resource)
            after = change(before, resource, now)
            if also is not None:
                await also(_kit(tx), now)
            await tx.save_application(after)
            await self._moved(tx, before, after, resource, now)
        self._forget(after)
        return after

    async def _moved(
        self,
        tx: ApplicationTx,
        before: Application | None,
        after: Application,
        resource: Resource | None,
        now: datetime,
    ) -> None:
        """Stop the clocks of the state that was left, start those of the new one, give the grant, tell it."""
        stopped = _clocks(before) - _clocks(after)
        for kind in sorted(stopped):
            if after.state is State.WITHDRAWN or kind == FORMAL:
                await self._deadlines.withdraw(_kit(tx), kind, after.application_id, now)
            else:
                await self._deadlines.meet(_kit(tx), kind, after.application_id, now)
        for kind in sorted(_clocks(after) - _clocks(before)):
            terms = self._limits.terms(kind, self._region)
            await self._deadlines.start(_kit(tx), kind, after.application_id, terms, now)
        if after.grant_id and after.given is not None and resource is not None:
            draft = after.given.grant(
                grant_id=after.grant_id,
                resource=after.resource,
                grantee=after.requester,
                application_id=after.application_id,
                now=now,
            )
            given, fact = grant(draft, resource, beside=await tx.grants_beside(draft))
            await tx.add_grant(given, request_id=after.application_id)
            await tx.record(fact)
        await tx.record(domain.changed(after))

    def _forget(self, after: Application) -> None:
        if after.grant_id:
            self._rulebook.forget_grants(after.requester, after.resource)


def _kit(tx: ApplicationTx) -> Tx:
    assert isinstance(tx, Tx), "Clocks are kept in a store."
    return tx


def _clocks(application: Application | None) -> frozenset[str]:
    if application is None or application.final or application.state not in CLOCKS:
        return frozenset()
    kind = CLOCKS[application.state]
    return frozenset({kind, FORMAL} if application.state is State.DECIDING else {kind})


def _running(clock: Deadline) -> Deadline:
    if clock.state is not ClockState.RUNNING:
        raise HandBackTooLate("The time to say what is missing is over: the application counts as complete.")
    return clock


def _agency(caller: Caller) -> str:
    return caller.agency or caller.id


def _own(application: Application, caller: Caller) -> Application:
    if application.requester != _agency(caller):
        raise ActNotYours("Only the requester does that.")
    return application


def _neutral(application: Application, by: str) -> Application:
    if by in {application.requester, application.provider}:
        raise ActNotYours("A party does not coordinate its own application.")
    return application


def _sees_all(caller: Caller) -> bool:
    return caller.kind is CallerKind.OPERATOR or caller.may(COORDINATE)
