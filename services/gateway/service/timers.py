# SPDX-License-Identifier: Apache-2.0
"""Waits that are over: the next attempt of a step, a limit that was exceeded, a draft that nobody touched."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from services.gateway.domain.advance import advance, react_to_limit, react_to_retry, react_to_time
from services.gateway.domain.case import fold
from services.gateway.domain.clocks import bells, next_bell
from services.gateway.domain.correcting import react_to_correction_limit
from services.gateway.domain.effects import WHOLE_CASE, Timer, TimerKind
from services.gateway.domain.plan import Plan
from services.gateway.service.bell import TIMERS
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.ports import CaseFile
from services.gateway.service.subcases import SubCases
from services.kit import logs
from services.kit.errors import Unavailable, VersionConflict

_POSTPONED = timedelta(minutes=1)
_SECONDS_MIN = 0.01
_REACTIONS = {
    TimerKind.CORRECTION: react_to_correction_limit,
    TimerKind.LIMIT: react_to_limit,
    TimerKind.RETRY: react_to_retry,
    TimerKind.WAIT: react_to_time,
}


class TimerDesk:
    """Fires timers; several processes may, each timer is fired by one."""

    def __init__(self, engine: Engine, *, poll_seconds: float) -> None:
        self._engine = engine
        self._poll_seconds = poll_seconds
        sub_cases = SubCases(engine)
        self._between_cases: Mapping[TimerKind, Callable[[Turn, Timer], Awaitable[None]]] = {
            TimerKind.OPEN: sub_cases.open,
            TimerKind.CHILD: sub_cases.ended,
            TimerKind.PARENT: sub_cases.let_go,
        }

    async def run(self) -> None:
        """Fire what is due, wait for what comes; lives as long as the process."""
        while True:
            with self._engine.bell.listening(TIMERS) as ear:
                try:
                    while await self.fire():
                        pass
                    seconds = await self._seconds_to_next()
                except (Unavailable, VersionConflict):
                    seconds = self._poll_seconds
                await ear.rung(seconds)

    async def fire(self) -> bool:
        """Fire one timer that is due; False where there is none.

        A case that can't be read must not hold up the others: its timer is put off by a minute and logged.
        """
        taken: list[Timer] = []

        async def work(turn: Turn) -> bool:
            timer = await turn.tx.take_due_timer(self._engine.clock())
            if timer is None:
                return False
            taken.append(timer)
            await self._react(turn, timer)
            return True

        try:
            return await self._engine.transact(work)
        except (Unavailable, VersionConflict):
            raise
        except Exception as error:
            if not taken:
                raise
            logs.get_logger().error(
                "timer_broke",
                case_id=taken[-1].case_id,
                step_id=taken[-1].step_id,
                error=type(error).__name__,
                stack=logs.stack_of(error),
            )
            await self._postpone(taken[-1])
            return True

    async def _react(self, turn: Turn, timer: Timer) -> None:
        if timer.kind in self._between_cases:
            await self._between_cases[timer.kind](turn, timer)
            return
        file, plan = await turn.load(timer.case_id)
        if timer.kind is TimerKind.DRAFT:
            if file.state.submitted is None:
                await turn.delete(file)
            return
        if timer.kind is TimerKind.CLOCK:
            await self._ring(turn, file, plan)
            return
        events = _REACTIONS[timer.kind](
            plan, timer.case_id, file.state, timer.step_id, timer.attempt, now=self._engine.clock()
        )
        await turn.apply(file, plan, events)

    async def _ring(self, turn: Turn, file: CaseFile, plan: Plan) -> None:
        """Tell what has run out, and go on with what follows from it; a bell that a newer calendar has moved is set anew."""
        rules, now = self._engine.workflows.clocks, self._engine.clock()
        rang = bells(rules, file.state, now)
        if rang:
            await turn.apply(file, plan, (*rang, *advance(plan, file.case_id, fold(rang, file.state), now)))
        elif (due := next_bell(rules, file.state)) is not None:
            await turn.tx.put_timer(Timer(file.case_id, WHOLE_CASE, TimerKind.CLOCK, 0, due))

    async def _postpone(self, timer: Timer) -> None:
        due = self._engine.clock() + _POSTPONED
        later = Timer(timer.case_id, timer.step_id, timer.kind, timer.attempt, due)
        async with self._engine.store.transaction() as tx:
            await tx.put_timer(later)

    async def _seconds_to_next(self) -> float:
        due = await self._engine.store.next_due()
        if due is None:
            return self._poll_seconds
        left = (due - self._engine.clock()).total_seconds()
        return min(self._poll_seconds, max(_SECONDS_MIN, left))
