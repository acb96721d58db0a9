# SPDX-License-Identifier: Apache-2.0
"""What an operator may do with a parked step: let it go on, skip it, give up and undo, give it to another agency, or do it by hand.

Every action stands in the history with who and why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.gateway.domain.advance import follow
from services.gateway.domain.case import CaseState, StepRecord, StepState
from services.gateway.domain.definition import OwnedStep, Step, TaskStep, WaitStep
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.form import check_output
from services.gateway.domain.history import (
    CaseGivenUp,
    CaseOutcome,
    Event,
    Outcome,
    OutputConfirmed,
    OutputProposed,
    StepAnswered,
    StepFailed,
    StepHandedOver,
    StepResumed,
    StepSkipped,
)
from services.gateway.domain.plan import Plan, outputs_of
from services.gateway.domain.reasons import SKIPPED_BY_OPERATOR
from services.gateway.domain.refusals import (
    CaseNotParked,
    CasePastPivot,
    FourEyes,
    NothingProposed,
    RoleUnknown,
    StepNeeded,
)
from services.gateway.domain.steps import CAME
from services.gateway.domain.structure import may_be_skipped
from services.gateway.domain.undoing import beyond_pivot


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked step, and the operator who acts on it."""

    plan: Plan
    case_id: str
    state: CaseState
    step_id: str
    by: str
    """Who, e.g. `operator:wang`."""
    why: str = field(repr=False)
    now: datetime

    def record(self) -> StepRecord:
        """Raises CaseNotParked."""
        record = self.state.step(self.step_id)
        if not self.state.running or record.state is not StepState.PARKED:
            raise CaseNotParked("This step is not parked.")
        return record

    def step(self) -> Step:
        """Raises CaseNotParked."""
        self.record()
        step = self.plan.step(self.step_id)
        assert step is not None
        return step

    def follow(self, *events: Event) -> tuple[Event, ...]:
        """These, and what follows."""
        return follow(self.plan, self.case_id, self.state, events, self.now)


def resume(parked: Parked) -> tuple[Event, ...]:
    """It goes on, with a new budget of attempts."""
    parked.record()
    return parked.follow(StepResumed(parked.now, parked.step_id, parked.by, parked.why))


def skip(parked: Parked) -> tuple[Event, ...]:
    """The case goes on without it.

    Raises:
        StepNeeded: a step that must happen needs it, and would vanish with it.
    """
    parked.record()
    needing = [
        step.id for step in parked.plan.matter.steps if parked.step_id in step.needs and not may_be_skipped(step)
    ]
    if needing:
        raise StepNeeded(f"It is needed by {', '.join(needing)}.", remedy="Do it by hand, or give the case up.")
    skipped = StepSkipped(parked.now, parked.step_id, SKIPPED_BY_OPERATOR, parked.by, parked.why)
    return parked.follow(skipped)


def give_up(parked: Parked) -> tuple[Event, ...]:
    """The case is refused for this step's reason, and what was done is undone.

    Raises:
        CasePastPivot: another step that must not be undone is done.
        CaseNotParked: it is an undoing step that is parked; the case is given up already.
    """
    record = parked.record()
    if parked.state.ending is not None:
        raise CaseNotParked("The case is given up already.", remedy="Resume, skip or settle the step.")
    if beyond_pivot(parked.plan, parked.state, but=parked.step_id):
        raise CasePastPivot("Something that must not be undone is done: the case can only go forward.")
    outcome, message = CaseOutcome.REFUSED, record.message
    return parked.follow(
        StepFailed(parked.now, parked.step_id, record.reason),
        CaseGivenUp(parked.now, outcome, parked.step_id, record.reason, message, parked.by, parked.why),
    )


def hand_over(parked: Parked, role: str) -> tuple[Event, ...]:
    """Another agency does it from here on; whether there is such an agency, the service knows.

    Raises:
        RoleUnknown: the step is not an agency's.
    """
    if not isinstance(parked.step(), OwnedStep):
        raise RoleUnknown("This step is not an agency's: it can't be handed over to one.")
    return parked.follow(StepHandedOver(parked.now, parked.step_id, role, parked.by, parked.why))


def propose(parked: Parked, output: Mapping[str, Any]) -> tuple[Event, ...]:
    """It was done by hand, and this came of it; a second operator confirms.

    Raises:
        TaskOutputInvalid: it is not what the step declares.
    """
    step = parked.step()
    return parked.follow(OutputProposed(parked.now, step.id, parked.by, parked.why, _kept(step, output)))


def confirm(parked: Parked) -> tuple[Event, ...]:
    """A second operator confirms what the first one said: the step is done.

    Raises:
        NothingProposed: nobody said anything.
        FourEyes: it was the same one.
    """
    record = parked.record()
    if record.proposed is None:
        raise NothingProposed("Nobody has said yet what came of this step.")
    if record.proposed.by == parked.by:
        raise FourEyes("Another operator must confirm it.")
    attempt = max(record.attempt, 1)
    return parked.follow(
        OutputConfirmed(parked.now, parked.step_id, parked.by, parked.why),
        StepAnswered(parked.now, parked.step_id, attempt, Outcome.DONE, output=record.proposed.output),
    )


def _kept(step: Step, output: Mapping[str, Any]) -> dict[str, Scalar]:
    if isinstance(step, TaskStep | WaitStep):
        return check_output(step, output)
    names = outputs_of(step) - {CAME}
    return {name: value for name, value in output.items() if name in names and isinstance(value, str | int | float)}
