# SPDX-License-Identifier: Apache-2.0
"""Demands: filed by agencies, assigned by the sharing authority, answered by providers, each within its clock."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from services.exchange.domain.demand import (
    CLOCKS,
    Demand,
    DemandBell,
    DemandClockRang,
    DemandMoved,
    DemandState,
    accept,
    assign,
    close,
    decline,
    fulfil,
    moved,
)
from services.exchange.domain.refusals import DemandNotFound
from services.exchange.domain.resource import Resource
from services.exchange.domain.search import Hit, ask
from services.exchange.service.search import SearchService
from services.kit.calendar import Deadlines, Limits, Rung, derivation
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import RequestInvalid
from services.kit.ids import derived_id
from services.kit.paging import Page
from services.kit.text import Text

FILE, ANSWER, REVIEW, READ = "exchange.demand", "exchange.catalogue", "exchange.review", "exchange.read"
KIND: Final = "demand"
PAGE_SIZE = 50
SUGGESTED = 10


@dataclass(frozen=True, slots=True)
class FileDemand:
    """Say what is needed; the id of the demand follows from the request id, so that a repeat finds it."""

    request_id: str
    title: str
    needs: str
    fields: tuple[str, ...]
    scene: str
    basis: str


@dataclass(frozen=True, slots=True)
class DemandView:
    """A demand, what may meet it, and its clock: when whose turn is over, and why then."""

    demand: Demand
    due: datetime | None = None
    derivation: tuple[Text, ...] = ()


class DemandTransaction(Protocol):
    """What a demand reads and writes."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def resource(self, code: str) -> Resource:
        """Read a resource and lock it. Raises ResourceNotFound."""

    async def demand(self, demand_id: str) -> Demand:
        """Read a demand and lock it. Raises DemandNotFound."""

    async def add_demand(self, filed: Demand) -> None:
        """Write a new demand."""

    async def save_demand(self, changed: Demand) -> None:
        """Write where a demand is now."""


class DemandStore(Protocol):
    """Demands."""

    def transaction(self) -> AbstractAsyncContextManager[DemandTransaction]:
        """Open a transaction."""

    async def read_demand(self, demand_id: str) -> Demand:
        """Read one. Raises DemandNotFound."""

    async def list_demands(
        self, *, requester: str, provider: str, state: DemandState | None, page_size: int, page_token: str
    ) -> Page[Demand]:
        """Give demands, newest first; empty does not narrow."""


Step = Callable[[DemandTransaction, Demand], Awaitable[tuple[Demand, DemandMoved]]]


class DemandService:
    """Takes demands from filing to fulfilment. Who may not see a demand is told that there is none."""

    def __init__(
        self,
        store: DemandStore,
        search: SearchService,
        deadlines: Deadlines,
        limits: Limits,
        *,
        clock: Clock,
        region: str,
    ) -> None:
        self._store = store
        self._search = search
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._region = region
        deadlines.react(KIND, self.on_bell)

    async def file(self, command: FileDemand, caller: Caller) -> DemandView:
        """File a demand. Raises RequestIdReused."""
        caller.must(FILE)
        filed = Demand(
            demand_id=derived_id("demand", caller.id, command.request_id),
            requester=_agency(caller),
            title=command.title,
            needs=command.needs,
            fields=command.fields,
            scene=command.scene,
            basis=command.basis,
            file_time=self._clock(),
        )
        async with self._store.transaction() as tx:
            if await tx.first_sight(command.request_id, repr(command)):
                await tx.add_demand(filed)
                await tx.record(moved(filed))
                await self._start_clock(tx, filed)
        return await self.get(filed.demand_id, caller)

    async def suggest(self, demand_id: str, caller: Caller) -> Page[Hit]:
        """Give resources that may meet a demand, best first. Raises DemandNotFound."""
        demand = (await self.get(demand_id, caller)).demand
        try:
            question = ask(demand.text, any_word=True)
        except RequestInvalid:  # It is filed in words that no catalogue has.
            return Page(())
        return await self._search.find(question, page_size=SUGGESTED)

    async def assign(self, request_id: str, demand_id: str, provider: str, caller: Caller) -> DemandView:
        """Give it to a provider to answer. Raises DemandNotFound, DemandNotOpen, RequestInvalid."""
        caller.must(REVIEW)

        async def step(_tx: DemandTransaction, before: Demand) -> tuple[Demand, DemandMoved]:
            return assign(before, provider)

        return await self._go(request_id, demand_id, step, ("assign", provider), caller)

    async def accept(self, request_id: str, demand_id: str, resource: str, caller: Caller) -> DemandView:
        """Say by which resource it is met. Raises DemandNotFound, DemandNotOpen, ResourceNotFound, ResourceNotOwned."""
        caller.must(ANSWER)

        async def step(tx: DemandTransaction, before: Demand) -> tuple[Demand, DemandMoved]:
            _must_be(before.provider, caller)
            return accept(before, await tx.resource(resource))

        return await self._go(request_id, demand_id, step, ("accept", resource), caller)

    async def decline(self, request_id: str, demand_id: str, reason: str, caller: Caller) -> DemandView:
        """Say why not. Raises DemandNotFound, DemandNotOpen."""
        caller.must(ANSWER)

        async def step(_tx: DemandTransaction, before: Demand) -> tuple[Demand, DemandMoved]:
            _must_be(before.provider, caller)
            return decline(before, reason)

        return await self._go(request_id, demand_id, step, ("decline", reason), caller)

    async def fulfil(self, request_id: str, demand_id: str, caller: Caller) -> DemandView:
        """The requester has what it needs. Raises DemandNotFound, DemandNotOpen."""
        caller.must(FILE)

        async def step(_tx: DemandTransaction, before: Demand) -> tuple[Demand, DemandMoved]:
            _must_be(before.requester, caller)
            return fulfil(before)

        return await self._go(request_id, demand_id, step, ("fulfil",), caller)

    async def close(self, request_id: str, demand_id: str, reason: str, caller: Caller) -> DemandView:
        """Requester or authority: nobody pursues it any more. Raises DemandNotFound, DemandNotOpen."""
        caller.must(READ)

        async def step(_tx: DemandTransaction, before: Demand) -> tuple[Demand, DemandMoved]:
            if not _sees_all(caller):
                _must_be(before.requester, caller)
            return close(before, reason)

        return await self._go(request_id, demand_id, step, ("close", reason), caller)

    async def get(self, demand_id: str, caller: Caller) -> DemandView:
        """Read one with its clock: its requester, its provider, the authority, operators. Raises DemandNotFound."""
        demand = await self._store.read_demand(demand_id)
        if not _sees_all(caller) and _agency(caller) not in {demand.requester, demand.provider}:
            raise _not_found()
        if demand.state not in CLOCKS:
            return DemandView(demand)
        deadline, reckoned = await self._deadlines.read(KIND, demand_id)
        return DemandView(demand, reckoned.due, derivation(deadline, reckoned))

    async def list(
        self, *, providing: bool, state: DemandState | None, page_size: int, page_token: str, caller: Caller
    ) -> Page[Demand]:
        """Give demands, newest first: those that an agency filed or is to answer; to the authority and operators all."""
        caller.must(READ)
        own = "" if _sees_all(caller) else _agency(caller)
        return await self._store.list_demands(
            requester="" if providing else own,
            provider=own if providing else "",
            state=state,
            page_size=page_size or PAGE_SIZE,
            page_token=page_token,
        )

    async def on_bell(self, tx: DemandTransaction, rung: Rung) -> None:
        """Tell that somebody is about to be late, or is; the console and the parties hear it."""
        demand = await tx.demand(rung.owner)
        await tx.record(DemandClockRang(demand.demand_id, demand.state, DemandBell(rung.bell.value)))

    async def _go(
        self, request_id: str, demand_id: str, step: Step, asked: tuple[str, ...], caller: Caller
    ) -> DemandView:
        async with self._store.transaction() as tx:
            before = await tx.demand(demand_id)
            if await tx.first_sight(request_id, demand_id, *asked):
                after, fact = await step(tx, before)
                await tx.save_demand(after)
                await tx.record(fact)
                await self._start_clock(tx, after, ran=before.state in CLOCKS)
        return await self.get(demand_id, caller)

    async def _start_clock(self, tx: DemandTransaction, demand: Demand, *, ran: bool = False) -> None:
        """The clock of the state that it is in takes the place of the one before."""
        now, name = self._clock(), CLOCKS.get(demand.state)
        if name is not None:
            await self._deadlines.start(tx, KIND, demand.demand_id, self._limits.terms(name, self._region), now)
        elif ran:
            await self._deadlines.withdraw(tx, KIND, demand.demand_id, now)


def _agency(caller: Caller) -> str:
    return caller.agency or caller.id


def _sees_all(caller: Caller) -> bool:
    return caller.kind is CallerKind.OPERATOR or caller.may(REVIEW)


def _must_be(agency: str, caller: Caller) -> None:
    if _agency(caller) != agency:
        raise _not_found()


def _not_found() -> DemandNotFound:
    return DemandNotFound("There is no such demand.")
