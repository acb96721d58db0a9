# SPDX-License-Identifier: Apache-2.0
"""What officers do to clocks, and what a newer calendar does to them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from services.gateway.domain import clock_acts
from services.gateway.domain.case import CaseState
from services.gateway.domain.clock_effects import clock_row
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.clocks import next_bell, recounts
from services.gateway.domain.definition import OwnedStep, canonical_json
from services.gateway.domain.effects import WHOLE_CASE, Timer, TimerKind
from services.gateway.domain.expected_end import ExpectedEnd, expected_end
from services.gateway.domain.history import Event
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import CaseNotFound, ClockNotYours
from services.gateway.service.clocks import ClockView, clock_views
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.once import once
from services.gateway.service.ports import CaseFile
from services.kit import logs
from services.kit.caller import Caller, CallerKind, current_caller
from services.kit.errors import Unavailable, VersionConflict
from services.kit.text import Text

RIGHT: Final = "gateway.clocks"
RECOUNT_CASES: Final = 100
RETRY_SECONDS: Final = 1.0

Act = Callable[[ClockRules, CaseState, str, datetime], tuple[Event, ...]]


@dataclass(frozen=True, slots=True)
class OnClock:
    """A clock of a case, and why an officer touches it: words of a rule, which the applicant reads."""

    request_id: str
    case_id: str
    clock: str
    because: Text


@dataclass(frozen=True, slots=True)
class CaseClocks:
    """Every clock of a case, and when it is expected to end."""

    case_id: str
    clocks: tuple[ClockView, ...]
    expected_end: ExpectedEnd | None = field(default=None)


class ClockDesk:
    """Officers come here: of the leading body for the case's own clocks, of a step's body for that step's; operators for all.

    Every method needs the right `gateway.clocks`, and answers with the clocks as they are then.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def clocks(self, case_id: str) -> CaseClocks:
        """Reads the clocks of a case. CASE_NOT_FOUND also where the caller has no part in it."""
        caller = current_caller()
        caller.must(RIGHT)
        file = await self._engine.store.case_file(case_id)
        if file is None or file.state.submitted is None:
            raise CaseNotFound("There is no such case.")
        plan = await self._engine.plan_of(file.state.definition)
        if not self._takes_part(caller, plan):
            raise CaseNotFound("There is no such case.")
        return self._shown(file, plan)

    async def pause(self, command: OnClock) -> CaseClocks:
        """Stops a clock. CASE_NOT_FOUND, CLOCK_NOT_FOUND, CLOCK_NOT_YOURS, DEADLINE_NOT_RUNNING."""
        return await self._act(
            "pause",
            command,
            lambda rules, state, by, now: clock_acts.pause(
                rules, state, command.clock, command.because, by=by, now=now
            ),
        )

    async def resume(self, command: OnClock) -> CaseClocks:
        """Lets it run on. DEADLINE_NOT_PAUSED, CLOCK_HELD_BY_LAW, and what `pause` refuses."""
        return await self._act(
            "resume",
            command,
            lambda rules, state, by, now: clock_acts.resume(rules, state, command.clock, by=by, now=now),
        )

    async def reset(self, command: OnClock) -> CaseClocks:
        """Lets it run anew. What `pause` refuses."""
        return await self._act(
            "reset",
            command,
            lambda rules, state, by, now: clock_acts.reset(
                rules, state, command.clock, command.because, by=by, now=now
            ),
        )

    async def extend(self, command: OnClock, *, days: int, approved_by: str) -> CaseClocks:
        """Gives more time. APPROVER_NEEDED, EXTENSION_NOT_ALLOWED, and what `pause` refuses."""

        def act(rules: ClockRules, state: CaseState, by: str, now: datetime) -> tuple[Event, ...]:
            return clock_acts.extend(
                rules, state, command.clock, command.because, days=days, approved_by=approved_by, by=by, now=now
            )

        return await self._act("extend", command, act, str(days), approved_by)

    async def exclude(self, command: OnClock, *, first: date, last: date) -> CaseClocks:
        """Leaves days out. DAYS_INVALID, and what `pause` refuses."""

        def act(rules: ClockRules, state: CaseState, by: str, now: datetime) -> tuple[Event, ...]:
            return clock_acts.exclude(
                rules, state, command.clock, command.because, first=first, last=last, by=by, now=now
            )

        return await self._act("exclude", command, act, str(first), str(last))

    async def run(self) -> None:
        """Once in the life of a process: count anew what an older version of a calendar counted."""
        while True:
            try:
                await self.recount()
            except (Unavailable, VersionConflict) as away:
                logs.get_logger().info("clocks_wait", reason=type(away).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.Event().wait()

    async def recount(self) -> int:
        """Count anew; again, nothing changes. Gives how many cases it was."""
        versions, counted = self._engine.workflows.clocks.calendars.versions(), 0
        while found := await self._engine.store.cases_counted_before(versions, RECOUNT_CASES):
            for case_id in found:
                await self._engine.transact(lambda turn, case_id=case_id: self._recount(turn, case_id))  # type: ignore[misc]
            counted += len(found)
        return counted

    async def _recount(self, turn: Turn, case_id: str) -> None:
        rules = self._engine.workflows.clocks
        file, plan = await turn.load(case_id)
        after = await turn.apply(file, plan, recounts(rules, file.state, self._engine.clock()))
        await turn.tx.put_clocks(
            [clock_row(rules, case_id, name, after.state) for name, clock in after.state.clocks.items() if clock.open]
        )
        if (due := next_bell(rules, after.state)) is not None:
            await turn.tx.put_timer(Timer(case_id, WHOLE_CASE, TimerKind.CLOCK, 0, due))

    async def _act(self, name: str, command: OnClock, act: Act, *more: str) -> CaseClocks:
        caller = current_caller()
        caller.must(RIGHT)
        request = {
            name: command.case_id,
            "clock": command.clock,
            "because": [command.because.zh, command.because.en],
            "more": list(more),
        }
        digest = self._engine.store.digest(canonical_json(request))

        async def work(turn: Turn) -> CaseClocks:
            file, plan = await turn.load(command.case_id)
            self._must_be_theirs(caller, plan, file, command.clock)
            if await once(turn, command.request_id, digest, command.case_id):
                return self._shown(file, plan)
            events = act(self._engine.workflows.clocks, file.state, caller.label, self._engine.clock())
            return self._shown(await turn.apply(file, plan, events), plan)

        return await self._engine.transact(work)

    def _must_be_theirs(self, caller: Caller, plan: Plan, file: CaseFile, clock: str) -> None:
        if caller.kind is CallerKind.OPERATOR:
            return
        if not self._takes_part(caller, plan) or file.state.submitted is None:
            raise CaseNotFound("There is no such case.")
        known = file.state.clocks.get(clock)
        step = plan.step(known.step_id) if known is not None else None
        role = step.agency if isinstance(step, OwnedStep) else plan.matter.lead
        if self._engine.uscc(role) != _agency(caller):
            raise ClockNotYours("Another agency is responsible for what this clock measures.")

    def _takes_part(self, caller: Caller, plan: Plan) -> bool:
        roles = {plan.matter.lead, *(step.agency for step in plan.matter.steps if isinstance(step, OwnedStep))}
        return caller.kind is CallerKind.OPERATOR or _agency(caller) in {self._engine.uscc(role) for role in roles}

    def _shown(self, file: CaseFile, plan: Plan) -> CaseClocks:
        rules = self._engine.workflows.clocks
        return CaseClocks(
            file.case_id, clock_views(rules, plan.matter, file.state), expected_end(rules, plan, file.state)
        )


def _agency(caller: Caller) -> str:
    return caller.agency or caller.id
