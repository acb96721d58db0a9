# SPDX-License-Identifier: Apache-2.0
"""How a step begins: skipped, settled at once by the engine itself, or asked of its owner."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.gateway.domain.case import SETTLED, CaseState, StepState
from services.gateway.domain.definition import DecideStep, NotifyStep, PayStep, SignStep, WaitStep
from services.gateway.domain.expressions import ExpressionFailed
from services.gateway.domain.history import Event, Outcome, StepAnswered, StepParked, StepSkipped, StepStarted
from services.gateway.domain.kinds import fault_of_uuid
from services.gateway.domain.plan import CompiledStep, Plan
from services.gateway.domain.reasons import (
    CONDITION_FALSE,
    DESELECTED,
    EXPRESSION_FAILED,
    NEEDED_STEP_NOT_DONE,
    SIGNER_IS_APPLICANT,
    SIGNER_UNKNOWN,
)
from services.gateway.domain.values import StepInput, fen, input_of, moment_of, names_of


def begun(plan: Plan, case_id: str, state: CaseState, now: datetime) -> list[Event]:
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


def begin(plan: Plan, case_id: str, compiled: CompiledStep, state: CaseState, now: datetime) -> Event:
    """Begin one step whose turn it is."""
    return _begin(compiled, state, names_of(plan, case_id, state), now)


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


def _begin(compiled: CompiledStep, state: CaseState, names: Mapping[str, Any], now: datetime) -> Event:
    """Start the step, or settle it at once where the engine itself is its owner."""
    step = compiled.step
    try:
        if compiled.when is not None and not state.step(step.id).attempt and not compiled.when.holds(names):
            return StepSkipped(now, step.id, CONDITION_FALSE)
        if isinstance(step, DecideStep):
            return _decide(compiled, names, now)
        given = input_of(compiled, names)  # Its owner must be able to read it.
        if isinstance(step, NotifyStep):
            return StepAnswered(now, step.id, 1, Outcome.DONE)
        return _asked(compiled, state, given, now)
    except ExpressionFailed:
        return StepParked(now, step.id, EXPRESSION_FAILED)


def _asked(compiled: CompiledStep, state: CaseState, given: StepInput, now: datetime) -> Event:
    step = compiled.step
    attempt = state.step(step.id).attempt + 1
    match step:
        case WaitStep():
            until = moment_of(str(given["until"])) if "until" in given else None
            if step.duration is not None:
                until = now + step.duration
            return StepStarted(now, step.id, attempt, until)
        case PayStep() if not compiled.undoes and fen(given.get("amount_fen", "")) == 0:
            return StepAnswered(now, step.id, attempt, Outcome.DONE, output={"paid_fen": 0})
        case SignStep():
            signer = str(given.get("signer", ""))
            if fault_of_uuid(signer):
                return StepAnswered(now, step.id, attempt, Outcome.REFUSED, SIGNER_UNKNOWN)
            if signer == state.applicant_id:
                return StepAnswered(now, step.id, attempt, Outcome.REFUSED, SIGNER_IS_APPLICANT)
            return StepStarted(now, step.id, attempt, signer=signer)
        case _:
            return StepStarted(now, step.id, attempt)


def _decide(compiled: CompiledStep, names: Mapping[str, Any], now: datetime) -> Event:
    for rule, test in compiled.rules:
        if not test.holds(names):
            return StepAnswered(now, compiled.step.id, 1, Outcome.REFUSED, rule.reason, message=rule.message)
    return StepAnswered(now, compiled.step.id, 1, Outcome.DONE)
