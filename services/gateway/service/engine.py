# SPDX-License-Identifier: Apache-2.0
"""Moves cases: reads, decides and writes in one transaction; decides again where somebody else was first."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.clock_effects import clock_effects
from services.gateway.domain.clocks import clock_changes
from services.gateway.domain.effects import Effects, effects_of
from services.gateway.domain.facts import Fact
from services.gateway.domain.history import CaseEnded, Event
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import CaseNotFound
from services.gateway.service.bell import TIMERS, Bell, case_key, tasks_key
from services.gateway.service.ports import CaseFile, CaseMoved, GatewayStore, GatewayTx
from services.gateway.workflows import Workflows
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import VersionConflict
from services.kit.telemetry import Telemetry, current_traceparent

ResultT = TypeVar("ResultT")


class Turn:
    """One try at moving one case; what it did is announced only after the commit."""

    def __init__(self, engine: "Engine", tx: GatewayTx) -> None:
        self.tx = tx
        self._engine = engine
        self.changed: list[tuple[CaseFile, Effects]] = []
        self.deleted: list[str] = []

    async def load(self, case_id: str) -> tuple[CaseFile, Plan]:
        """The case, locked, with the definition that it is pinned to. Raises CaseNotFound."""
        file = await self.tx.load(case_id)
        if file is None:
            raise CaseNotFound("There is no such case.")
        known = self._engine.workflows.known(file.state.definition)
        return file, known or self._engine.workflows.learn(await self.tx.definition(file.state.definition))

    async def apply(
        self, file: CaseFile, plan: Plan, events: Sequence[Event], *, traceparent: str = "", finished: str = ""
    ) -> CaseFile:
        """Append events and carry out what they ask for, within the case's own trace. No events, no change.

        `finished` is the step whose task this very transaction has closed already.

        Raises:
            CaseMoved: somebody else was first.
        """
        if not events:
            return file
        events = self._engine.with_clocks(plan, file.state, events)
        state = fold(events, file.state)
        after = replace(file, state=state, traceparent=traceparent or file.traceparent)
        effects = effects_of(plan, file.case_id, file.state, state, events, finished=finished).and_those_of(
            clock_effects(
                self._engine.workflows.clocks,
                plan,
                file.case_id,
                seq=file.state.version + 1,
                after=state,
                events=events,
            )
        )
        with self._engine.within_case(after):
            await self.tx.append(file, after, events)
            await self.tx.carry_out(effects, [self._engine.workflows.place(task) for task in effects.tasks])
        self.changed.append((after, effects))
        return after

    async def delete(self, draft: CaseFile) -> None:
        """Let go of a draft, answers and history: nobody but the applicant ever acted on it."""
        await self.tx.delete_draft(draft)
        self.deleted.append(draft.case_id)


class Engine:
    """The one way in which cases move."""

    def __init__(
        self,
        store: GatewayStore,
        workflows: Workflows,
        bell: Bell,
        telemetry: Telemetry,
        *,
        clock: Clock,
        tries_max: int = 8,
    ) -> None:
        self.store = store
        self.workflows = workflows
        self.bell = bell
        self.clock = clock
        self._telemetry = telemetry
        self._tries_max = tries_max

    def uscc(self, role: str) -> str:
        """Who stands in a role here."""
        return self.workflows.agency(role).uscc

    def with_clocks(self, plan: Plan, before: CaseState, events: Sequence[Event]) -> tuple[Event, ...]:
        """The events and what follows from them for the clocks; the end of a case stays the last thing that happens."""
        after = fold(events, before)
        found = clock_changes(self.workflows.clocks, plan, before, after, events[-1].at)
        place = len(events) - isinstance(events[-1], CaseEnded)
        return (*events[:place], *found, *events[place:])

    async def plan_of(self, digest: str) -> Plan:
        """A definition, offered or old."""
        return self.workflows.known(digest) or self.workflows.learn(await self.store.definition_of(digest))

    async def transact(self, work: Callable[[Turn], Awaitable[ResultT]]) -> ResultT:
        """Do `work` in one transaction, again where a case has moved meanwhile.

        Raises:
            VersionConflict: it kept moving.
        """
        for _ in range(self._tries_max):
            try:
                async with self.store.transaction() as tx:
                    turn = Turn(self, tx)
                    result = await work(turn)
            except CaseMoved:
                continue
            self._announce(turn)
            return result
        raise VersionConflict("The case keeps changing; try again.", retry_after_seconds=1)

    def within_case(self, file: CaseFile) -> AbstractContextManager[Any]:
        """A span of the case's trace: what brought us here is its parent if it is of the same trace, a link if not."""
        here = current_traceparent()
        attributes = {"tongban.case": file.case_id}
        if not file.traceparent or trace_id_of(here) == trace_id_of(file.traceparent):
            return self._telemetry.span("gateway.case.advance", attributes=attributes)
        return self._telemetry.span(
            "gateway.case.advance", attributes=attributes, parent=file.traceparent, links=[here] if here else []
        )

    def _announce(self, turn: Turn) -> None:
        for file, effects in turn.changed:
            self.store.keep(file)
            self.bell.ring(case_key(file.case_id))
            if effects.timers:
                self.bell.ring(TIMERS)
            for task in effects.tasks:
                self.bell.ring(tasks_key(self.uscc(task.role)))
            for fact in effects.facts:
                self.bell.tell(*news_of(fact))
        for case_id in turn.deleted:
            self.store.forget(case_id)
            logs.get_logger().info("draft_deleted", case_id=case_id)


def news_of(fact: Fact) -> tuple[str, str, str]:
    """What tells one fact from another of the same case."""
    return type(fact).__name__, fact.case_id, f"{getattr(fact, 'step_id', '')}:{getattr(fact, 'attempt', '')}"


def trace_id_of(traceparent: str) -> str:
    """The trace id within a W3C traceparent; empty for an empty one."""
    return traceparent[3:35]
