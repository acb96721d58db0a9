# SPDX-License-Identifier: Apache-2.0
"""Compensation: what was done, or may have been, is undone in the reverse order of completion, one after the other."""

from datetime import datetime

from services.gateway.domain.beginning import begin
from services.gateway.domain.case import SETTLED, CaseState, StepState
from services.gateway.domain.definition import AskedStep
from services.gateway.domain.history import CaseEnded, Event
from services.gateway.domain.plan import CompiledStep, Plan

_UNDER_WAY = frozenset({StepState.RUNNING, StepState.DONE})


def beyond_pivot(plan: Plan, state: CaseState, *, but: str = "") -> bool:
    """Whether a pivot is done, or may be: from there on the case can only go forward.

    `but` is a step whose own state an operator answers for.
    """
    return any(
        isinstance(compiled.step, AskedStep) and compiled.step.pivot and step_id != but and _may_be_done(state, step_id)
        for step_id, compiled in plan.steps.items()
    )


def to_undo(plan: Plan, state: CaseState) -> list[CompiledStep]:
    """Everything there is to undo, the latest first: what nobody has answered may be done only now, so it comes before."""

    def completion(compiled: CompiledStep) -> tuple[bool, int]:
        record = state.step(compiled.undoes)
        return record.unsure, record.mark

    found = [compiled for compiled in plan.undos.values() if _may_be_done(state, compiled.undoes)]
    return sorted(found, key=completion, reverse=True)


def undoing(plan: Plan, case_id: str, state: CaseState, now: datetime) -> list[Event]:
    """The next thing to undo, or the end of the case; nothing while one is under way or needs an operator."""
    assert state.ending is not None
    for compiled in to_undo(plan, state):
        record = state.step(compiled.step.id)
        if record.state is StepState.WAITING:
            return [begin(plan, case_id, compiled, state, now)]
        if record.state not in SETTLED:
            return []
    ending = state.ending
    return [CaseEnded(now, ending.outcome, ending.step_id, ending.reason, ending.message)]


def _may_be_done(state: CaseState, step_id: str) -> bool:
    record = state.step(step_id)
    return record.state in _UNDER_WAY or record.unsure
