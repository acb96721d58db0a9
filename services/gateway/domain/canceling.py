# SPDX-License-Identifier: Apache-2.0
"""Ending a case before its time: by its applicant, by an operator, or with the case that it is a part of."""

from datetime import datetime

from services.gateway.domain.advance import follow
from services.gateway.domain.case import CaseState
from services.gateway.domain.history import CaseGivenUp, CaseOutcome, Event
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import CaseNotUnderWay, CasePastPivot
from services.gateway.domain.undoing import beyond_pivot


def cancel(
    plan: Plan, case_id: str, state: CaseState, outcome: CaseOutcome, reason: str, *, by: str, why: str, now: datetime
) -> tuple[Event, ...]:
    """Give the case up, undo what was done, and end it so.

    Raises:
        CaseNotUnderWay: it is a draft, has ended, or is given up already.
        CasePastPivot: something that must not be undone is done, or may be.
    """
    if not state.running or state.ending is not None:
        raise CaseNotUnderWay("The case is not under way.")
    if beyond_pivot(plan, state):
        raise CasePastPivot("Something that must not be undone is done: the case can only go forward.")
    given_up = CaseGivenUp(now, outcome, reason=reason, by=by, why=why)
    return follow(plan, case_id, state, [given_up], now)
