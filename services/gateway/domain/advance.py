# SPDX-License-Identifier: Apache-2.0
"""What follows from what has happened. Pure: the same definition, history and moment give the same events.

Every `react_*` answers one thing that came from outside; an answer that nobody waits for any more gives no event at
all, so a fact that is delivered twice, late or to the wrong step changes nothing. How steps begin stands in
`beginning`, what failures mean in `failing`, compensation in `undoing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.gateway.domain.beginning import begin, begun
from services.gateway.domain.case import SETTLED, CaseState, StepState, fold
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.failing import failures
from services.gateway.domain.history import (
    CaseEnded,
    CaseOutcome,
    CaseSubmitted,
    Event,
    Outcome,
    StepAnswered,
)
from services.gateway.domain.plan import Plan
from services.gateway.domain.reasons import TIME_LIMIT_EXCEEDED
from services.gateway.domain.steps import CAME
from services.gateway.domain.undoing import undoing
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class Answer:
    """What the owner of a step told."""

    step_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    output: "dict[str, Scalar]" = field(default_factory=dict, repr=False)
    message: Text | None = None
    disputed: tuple[str, ...] = ()
    """Names in `output` whose value is in dispute at its source."""


def awaits(state: CaseState, step_id: str, attempt: int) -> bool:
    """Whether exactly this attempt of this step is still to be answered."""
    record = state.step(step_id)
    return state.running and record.state is StepState.RUNNING and record.attempt == attempt


def submit(plan: Plan, case_id: str, state: CaseState, now: datetime) -> tuple[Event, ...]:
    """The resident submits the draft."""
    return follow(plan, case_id, state, [CaseSubmitted(now)], now)


def react_to_answer(plan: Plan, case_id: str, state: CaseState, answer: Answer, now: datetime) -> tuple[Event, ...]:
    """The owner of a step has answered; nothing where this attempt is not awaited."""
    if plan.step(answer.step_id) is None or not awaits(state, answer.step_id, answer.attempt):
        return ()
    told = StepAnswered(
        now,
        answer.step_id,
        answer.attempt,
        answer.outcome,
        answer.reason,
        dict(answer.output),
        answer.message,
        answer.disputed,
    )
    return follow(plan, case_id, state, [told], now)


def react_to_limit(
    plan: Plan, case_id: str, state: CaseState, step_id: str, attempt: int, *, now: datetime
) -> tuple[Event, ...]:
    """An attempt has taken longer than its limit: as if its owner had not been there; unless it waits for the applicant."""
    if step_id in state.open_corrections:
        return ()
    return react_to_answer(
        plan, case_id, state, Answer(step_id, attempt, Outcome.UNAVAILABLE, TIME_LIMIT_EXCEEDED), now
    )


def react_to_time(
    plan: Plan, case_id: str, state: CaseState, step_id: str, attempt: int, *, now: datetime
) -> tuple[Event, ...]:
    """A wait is over by itself."""
    return react_to_answer(plan, case_id, state, Answer(step_id, attempt, Outcome.DONE, output={CAME: "time"}), now)


def react_to_retry(
    plan: Plan, case_id: str, state: CaseState, step_id: str, attempt: int, *, now: datetime
) -> tuple[Event, ...]:
    """The wait before the next attempt is over; nothing where that attempt is not planned any more."""
    record = state.step(step_id)
    compiled = plan.compiled(step_id)
    if compiled is None or not state.running or record.state is not StepState.RETRYING or record.attempt + 1 != attempt:
        return ()
    return follow(plan, case_id, state, [begin(plan, case_id, compiled, state, now)], now)


def advance(plan: Plan, case_id: str, state: CaseState, now: datetime) -> tuple[Event, ...]:
    """Everything that follows from the state as it is, until nothing does."""
    events: list[Event] = []
    while found := _next(plan, case_id, state, now):
        events += found
        state = fold(found, state)
    return tuple(events)


def follow(plan: Plan, case_id: str, state: CaseState, events: Sequence[Event], now: datetime) -> tuple[Event, ...]:
    """These events, and everything that follows from them."""
    return (*events, *advance(plan, case_id, fold(events, state), now))


def _next(plan: Plan, case_id: str, state: CaseState, now: datetime) -> list[Event]:
    """The next thing that follows: failures first, then what is given up, signals, steps that are ready, the end."""
    if not state.running:
        return []
    if failed := failures(plan, state, now):
        return failed
    if state.ending is not None:
        return undoing(plan, case_id, state, now)
    if events := [*_signaled(plan, state, now), *begun(plan, case_id, state, now)]:
        return events
    if all(state.step(step_id).state in SETTLED for step_id in plan.steps):
        return [CaseEnded(now, CaseOutcome.COMPLETED)]
    return []


def _signaled(plan: Plan, state: CaseState, now: datetime) -> list[Event]:
    """Waits whose signal is there, be it that it came before them."""
    events: list[Event] = []
    for signal, step_id in plan.signals.items():
        record = state.step(step_id)
        if record.state is StepState.RUNNING and signal in state.signals:
            output = {**state.signals[signal].output, CAME: "signal"}
            events.append(StepAnswered(now, step_id, record.attempt, Outcome.DONE, output=output))
    return events
