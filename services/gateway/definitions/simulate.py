# SPDX-License-Identifier: Apache-2.0
"""Runs a matter through the rules that cases follow, on a made-up clock: same script, same timeline, nothing is waited for."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.gateway.definitions.known import Known
from services.gateway.definitions.samples import Samples
from services.gateway.definitions.script import A_MORNING, AT_ONCE, Script
from services.gateway.domain.advance import (
    Answer,
    react_to_answer,
    react_to_limit,
    react_to_retry,
    react_to_time,
    submit,
)
from services.gateway.domain.case import CaseState, CaseStatus, fold
from services.gateway.domain.definition import TaskStep
from services.gateway.domain.effects import TimerKind, effects_of
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import CaseOpened, Event, Outcome, StepStarted, kind_of, step_of
from services.gateway.domain.plan import Plan, outputs_of
from services.gateway.domain.values import CHINA

EVENTS_MAX = 10_000
CASE = "00000000-0000-4000-8000-000000000000"
_REACTIONS: Mapping[TimerKind, Callable[..., tuple[Event, ...]]] = {
    TimerKind.RETRY: react_to_retry,
    TimerKind.LIMIT: react_to_limit,
    TimerKind.WAIT: react_to_time,
}
Reaction = Callable[[CaseState, datetime], tuple[Event, ...]]


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    at: datetime
    event: Event

    def __str__(self) -> str:
        told = [f"{self.at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}", f"{kind_of(self.event):<15}", step_of(self.event)]
        told += [str(getattr(self.event, name, "") or "") for name in ("attempt", "outcome", "reason")]
        if (due := getattr(self.event, "due", None)) is not None:
            told.append(f"due {due.astimezone(CHINA):%Y-%m-%d %H:%M:%S}")
        return " ".join(part for part in told if part).rstrip()


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it."""

    moments: tuple[Moment, ...]
    state: CaseState

    @property
    def status(self) -> CaseStatus:
        """Where the case stands when nothing is left to happen."""
        return self.state.status

    def lines(self) -> Iterator[str]:
        """The timeline in words, and how long it took."""
        yield from map(str, self.moments)
        took = self.moments[-1].at - self.moments[0].at
        yield f"{self.status.value} {self.state.reason}".rstrip() + f" after {took}"


def simulate(plan: Plan, known: Known, script: Script) -> Run:
    """Run it until nothing is left to happen: ended, parked, or waiting for somebody."""
    return _Simulation(plan, known, script).run()


class _Simulation:
    def __init__(self, plan: Plan, known: Known, script: Script) -> None:
        self._plan = plan
        self._script = script
        self._usual = Samples(plan, known).usual()
        self._agenda: list[tuple[datetime, int, Reaction]] = []
        self._planned = 0
        self._moments: list[Moment] = []
        self._state = CaseState()

    def run(self) -> Run:
        at = self._script.submitted
        answers = {name: str(value) for name, value in self._usual["answers"].items()} | self._script.answers
        self._state = fold(
            [CaseOpened(at, "", self._plan.matter.code, self._plan.digest, CASE, answers, self._script.without)]
        )
        self._happen(submit(self._plan, CASE, self._state, at))
        while self._agenda and len(self._moments) < EVENTS_MAX:
            now, _, reaction = heapq.heappop(self._agenda)
            self._happen(reaction(self._state, now))
        return Run(tuple(self._moments), self._state)

    def _happen(self, events: tuple[Event, ...]) -> None:
        before, self._state = self._state, fold(events, self._state)
        self._moments += [Moment(event.at, event) for event in events]
        for event in events:
            if isinstance(event, StepStarted):
                self._answer(event)
        for timer in effects_of(self._plan, CASE, before, self._state, events).timers:
            react = _REACTIONS.get(timer.kind)
            if react is not None:
                self._plan_at(timer.due, _timed(self._plan, react, timer.step_id, timer.attempt))

    def _answer(self, started: StepStarted) -> None:
        step = self._plan.step(started.step_id)
        assert step is not None
        if started.until is not None and step.id not in self._script.steps:
            return  # The time comes by itself; a signal only where the script says so.
        said = self._script.step(step.id)
        takes = said.takes or (A_MORNING if isinstance(step, TaskStep) else AT_ONCE)
        outcome, reason = said.outcome(started.attempt)
        output: dict[str, Scalar] = {}
        if outcome is Outcome.DONE:
            usual = self._usual["steps"].get(step.id, {}).get("output", {})
            output = {name: said.output.get(name, usual.get(name, "")) for name in sorted(outputs_of(step))}
        answer = Answer(step.id, started.attempt, outcome, reason, output)
        self._plan_at(started.at + takes, lambda state, now: react_to_answer(self._plan, CASE, state, answer, now))

    def _plan_at(self, due: datetime, reaction: Reaction) -> None:
        """In order of time, then of planning: no two runs of a script differ."""
        self._planned += 1
        heapq.heappush(self._agenda, (due, self._planned, reaction))


def _timed(plan: Plan, react: Callable[..., tuple[Event, ...]], step_id: str, attempt: int) -> Reaction:
    return lambda state, now: react(plan, CASE, state, step_id, attempt, now=now)


def unknown_names(plan: Plan, script: Script) -> Iterable[str]:
    """Fields and steps of a script that the matter does not have: a run that leaves them out would mislead."""
    fields = {one.name for one in plan.matter.form}
    yield from (f"answers.{name}" for name in script.answers if name not in fields)
    yield from (f"steps.{name}" for name in script.steps if plan.step(name) is None)
