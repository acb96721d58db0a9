# SPDX-License-Identifier: Apache-2.0
"""What a step that did not end well means for the case."""

from datetime import datetime

from services.gateway.domain.case import CaseState, StepState
from services.gateway.domain.definition import AskedStep, OnFailure
from services.gateway.domain.history import (
    CaseEnded,
    CaseGivenUp,
    CaseOutcome,
    Event,
    RetryPlanned,
    StepFailed,
    StepParked,
)
from services.gateway.domain.plan import CompiledStep, Plan
from services.gateway.domain.reasons import RETRIES_USED_UP
from services.gateway.domain.undoing import beyond_pivot, to_undo


def after_refusal(plan: Plan, compiled: CompiledStep, state: CaseState, now: datetime) -> list[Event]:
    """A refusal fails the step alone, parks it, or ends the case: never that once the pivot is passed."""
    step, record = compiled.step, state.step(compiled.step.id)
    if step.optional or step.on_failure is OnFailure.CONTINUE:
        return [StepFailed(now, step.id, record.reason)]
    if step.on_failure is OnFailure.PARK or beyond_pivot(plan, state):
        return [StepParked(now, step.id, record.reason)]
    failed = StepFailed(now, step.id, record.reason)
    how = (CaseOutcome.REFUSED, step.id, record.reason, record.message)
    return [failed, CaseGivenUp(now, *how) if to_undo(plan, state) else CaseEnded(now, *how)]


def after_unavailability(plan: Plan, compiled: CompiledStep, state: CaseState, now: datetime) -> list[Event]:
    """Try again with growing waits; then an operator is needed: that nobody answered is no reason to refuse anybody."""
    step, record = compiled.step, state.step(compiled.step.id)
    made = record.attempt - record.base
    reason = record.reason
    if isinstance(step, AskedStep) and made < step.retry.max:
        if state.retries < plan.matter.retries_max:
            return [RetryPlanned(now, step.id, record.attempt + 1, now + step.retry.wait(made), reason)]
        reason = RETRIES_USED_UP
    if step.optional or step.on_failure is OnFailure.CONTINUE:
        return [StepFailed(now, step.id, reason)]
    return [StepParked(now, step.id, reason)]


def failures(plan: Plan, state: CaseState, now: datetime) -> list[Event]:
    """What follows from the first step that was answered with anything but `done`; empty where none was."""
    for compiled in (*plan.steps.values(), *plan.undos.values()):
        match state.step(compiled.step.id).state:
            case StepState.REFUSED:
                return after_refusal(plan, compiled, state, now)
            case StepState.UNAVAILABLE:
                return after_unavailability(plan, compiled, state, now)
    return []
