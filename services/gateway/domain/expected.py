# SPDX-License-Identifier: Apache-2.0
"""When a case ends if every step that is left takes the time it may: the longest way through what is not settled."""

from datetime import datetime, timedelta

from services.gateway.domain.case import CaseState
from services.gateway.domain.definition import Step
from services.gateway.domain.plan import Plan
from services.gateway.domain.record import SETTLED


def expected_end(plan: Plan, state: CaseState, now: datetime) -> datetime:
    """The moment by the steps' own time limits, one attempt each; a step without a limit takes no time."""
    ends: dict[str, datetime] = {}

    def end_of(step: Step) -> datetime:
        if step.id not in ends:
            record = state.step(step.id)
            if record.state in SETTLED:
                ends[step.id] = now
            else:
                waits = [end_of(other) for one in (*step.needs, *step.after) if (other := plan.step(one)) is not None]
                begins = record.started or max(waits, default=now)
                ends[step.id] = max(now, begins + allowed(step))
        return ends[step.id]

    return max((end_of(step) for step in plan.matter.steps), default=now)


def allowed(step: Step) -> timedelta:
    """The time that one attempt of it may take."""
    return getattr(step, "time_limit", None) or getattr(step, "duration", None) or timedelta(0)
