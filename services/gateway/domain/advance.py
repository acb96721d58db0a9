# SPDX-License-Identifier: Apache-2.0
"""What follows from what has happened. Pure: the same definition, history and moment give the same events.

Every `react_*` answers one thing that came from outside; an answer that nobody waits for any more gives no event at
all, so a fact that is delivered twice, late or to the wrong step changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.gateway.domain.case import SETTLED, CaseState, StepState, fold
from services.gateway.domain.definition import OnFailure, OwnedStep, StepKind
from services.gateway.domain.expressions import ExpressionFailed, Scalar
from services.gateway.domain.history import (
    CaseEnded,
    CaseOutcome,
    CaseSubmitted,
    Event,
    Outcome,
    RetryPlanned,
    StepAnswered,
    StepFailed,
    StepParked,
    StepResumed,
    StepSkipped,
    StepStarted,
)
from services.gateway.domain.plan import CompiledStep, Plan
from services.gateway.domain.values import input_of, names_of
from services.kit.text import Text

DESELECTED = "DESELECTED"
CONDITION_FALSE = "CONDITION_FALSE"
NEEDED_STEP_NOT_DONE = "NEEDED_STEP_NOT_DONE"
EXPRESSION_FAILED = "EXPRESSION_FAILED"
TIME_LIMIT_EXCEEDED = "TIME_LIMIT_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the owner of a step told."""

    step_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    output: "dict[str, Scalar]" = field(default_factory=dict, repr=False)
    message: Text | None = None


def awaits(state: CaseState, step_id: str, attempt: int) -> bool:
    """Whether exactly this attempt of this step is still to be answered."""
    record = state.step(step_id)
    return state.running and record.state is StepState.RUNNING and record.attempt == attempt


def submit(plan: Plan, case_id: str, state: CaseState, now: datetime) -> tuple[Event, ...]:
    """The resident submits the draft."""
    return _with_what_follows(plan, case_id, state, [CaseSubmitted(now)], now)


def react_to_answer(plan: Plan, case_id: str, state: CaseState, answer: Answer, now: datetime) -> tuple[Event, ...]:
    """The owner of a step has answered; nothing where this attempt is not awaited."""
    if plan.step(answer.step_id) is None or not awaits(state, answer.step_id, answer.attempt):
        return ()
    told = StepAnswered(
        now, answer.step_id, answer.attempt, answer.outcome, answer.reason, dict(answer.output), answer.message
    )
    return _with_what_follows(plan, case_id, state, [told], now)


def react_to_limit(
    plan: Plan, case_id: str, state: CaseState, step_id: str, attempt: int, *, now: datetime
) -> tuple[Event, ...]:
    """An attempt has taken longer than its limit: as if its owner had not been there."""
    return react_to_answer(
        plan, case_id, state, Answer(step_id, attempt, Outcome.UNAVAILABLE, TIME_LIMIT_EXCEEDED), now
    )


def react_to_retry(
    plan: Plan, case_id: str, state: CaseState, step_id: str, attempt: int, *, now: datetime
) -> tuple[Event, ...]:
    """The wait before the next attempt is over; nothing where that attempt is not planned any more."""
    record = state.step(step_id)
    compiled = plan.steps.get(step_id)
    if compiled is None or not state.running or record.state is not StepState.RETRYING or record.attempt + 1 != attempt:
        return ()
    return _with_what_follows(plan, case_id, state, [StepStarted(now, step_id, attempt)], now)


def resume(plan: Plan, case_id: str, state: CaseState, step_id: str, by: str, *, now: datetime) -> tuple[Event, ...]:
    """An operator lets a parked step go on; nothing where it is not parked."""
    if not state.running or state.step(step_id).state is not StepState.PARKED:
        return ()
    return _with_what_follows(plan, case_id, state, [StepResumed(now, step_id, by)], now)


def advance(plan: Plan, case_id: str, state: CaseState, now: datetime) -> tuple[Event, ...]:
    """Everything that follows from the state as it is, until nothing does."""
    events: list[Event] = []
    while found := _next(plan, case_id, state, now):
        events += found
        state = fold(found, state)
    return tuple(events)


def _with_what_follows(
    plan: Plan, case_id: str, state: CaseState, events: Sequence[Event], now: datetime
) -> tuple[Event, ...]:
    return (*events, *advance(plan, case_id, fold(events, state), now))


def _next(plan: Plan, case_id: str, state: CaseState, now: datetime) -> list[Event]:
    """The next thing that follows: failures first, then steps that are ready, then the end."""
    if not state.running:
        return []
    for step_id, compiled in plan.steps.items():
        match state.step(step_id).state:
            case StepState.REFUSED:
                return _after_refusal(compiled, state, now)
            case StepState.UNAVAILABLE:
                return _after_unavailability(compiled, state, now)
    events = _begun(plan, case_id, state, now)
    if not events and all(state.step(step_id).state in SETTLED for step_id in plan.steps):
        return [CaseEnded(now, CaseOutcome.COMPLETED)]
    return events


def _begun(plan: Plan, case_id: str, state: CaseState, now: datetime) -> list[Event]:
    """Begin or skip the steps that are ready, up to one that is refused at once.

    A refusal may end the case: what else is ready comes after it, or not at all.
    """
    names = None
    events: list[Event] = []
    for compiled in plan.steps.values():
        if state.step(compiled.step.id).state is not StepState.WAITING:
            continue
        if (skipped := _skip(compiled, state, now)) is not None:
            events.append(skipped)
        elif _ready(compiled, state):
            names = names or names_of(plan, case_id, state)
            events.append(_begin(compiled, state, names, now))
            if isinstance(events[-1], StepAnswered) and events[-1].outcome is Outcome.REFUSED:
                break
    return events


def _skip(compiled: CompiledStep, state: CaseState, now: datetime) -> Event | None:
    step = compiled.step
    if step.optional and step.id in state.without:
        return StepSkipped(now, step.id, DESELECTED)
    if any(state.step(other).state in {StepState.SKIPPED, StepState.FAILED} for other in step.needs):
        return StepSkipped(now, step.id, NEEDED_STEP_NOT_DONE)
    return None


def _ready(compiled: CompiledStep, state: CaseState) -> bool:
    step = compiled.step
    return all(state.step(other).state is StepState.DONE for other in step.needs) and all(
        state.step(other).state in SETTLED for other in step.after
    )


def _begin(compiled: CompiledStep, state: CaseState, names: dict[str, object], now: datetime) -> Event:
    """Start the step, or settle it at once where the engine itself is its owner."""
    step = compiled.step
    try:
        if compiled.when is not None and not compiled.when.holds(names):
            return StepSkipped(now, step.id, CONDITION_FALSE)
        if step.kind is StepKind.DECIDE:
            return _decide(compiled, names, now)
        input_of(compiled, names)  # only to see that its owner will be able to read it
    except ExpressionFailed:
        return StepParked(now, step.id, EXPRESSION_FAILED)
    if step.kind is StepKind.NOTIFY:
        return StepAnswered(now, step.id, 1, Outcome.DONE)
    return StepStarted(now, step.id, state.step(step.id).attempt + 1)


def _decide(compiled: CompiledStep, names: dict[str, object], now: datetime) -> Event:
    for rule, test in compiled.rules:
        if not test.holds(names):
            return StepAnswered(now, compiled.step.id, 1, Outcome.REFUSED, rule.reason, message=rule.message)
    return StepAnswered(now, compiled.step.id, 1, Outcome.DONE)


def _after_refusal(compiled: CompiledStep, state: CaseState, now: datetime) -> list[Event]:
    step, record = compiled.step, state.step(compiled.step.id)
    if step.optional or step.on_failure is OnFailure.CONTINUE:
        return [StepFailed(now, step.id, record.reason)]
    if step.on_failure is OnFailure.PARK:
        return [StepParked(now, step.id, record.reason)]
    return [
        StepFailed(now, step.id, record.reason),
        CaseEnded(now, CaseOutcome.REFUSED, step.id, record.reason, record.message),
    ]


def _after_unavailability(compiled: CompiledStep, state: CaseState, now: datetime) -> list[Event]:
    """Try again with growing waits; then an operator is needed: that nobody answered is no reason to refuse anybody."""
    step, record = compiled.step, state.step(compiled.step.id)
    made = record.attempt - record.base
    if isinstance(step, OwnedStep) and made < step.retry.max:
        due = now + step.retry.wait(made)
        return [RetryPlanned(now, step.id, record.attempt + 1, due, record.reason)]
    if step.optional or step.on_failure is OnFailure.CONTINUE:
        return [StepFailed(now, step.id, record.reason)]
    return [StepParked(now, step.id, record.reason)]
