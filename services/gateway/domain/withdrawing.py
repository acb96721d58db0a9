# SPDX-License-Identifier: Apache-2.0
"""The applicant takes a case back, as long as nothing is done that must not be undone."""

from datetime import datetime

from services.gateway.domain.canceling import cancel
from services.gateway.domain.case import CaseState
from services.gateway.domain.history import CaseOutcome, Event
from services.gateway.domain.plan import Plan
from services.gateway.domain.reasons import WITHDRAWN_BY_APPLICANT
from services.gateway.domain.refusals import CaseNotUnderWay


def withdraw(plan: Plan, case_id: str, state: CaseState, *, by: str, why: str, now: datetime) -> tuple[Event, ...]:
    """Give the case up for its applicant; what was done is undone.

    Raises:
        CaseNotUnderWay: says whether it is a draft, is given up already, or how and when it ended.
        CasePastPivot: something that must not be undone is done, or may be.
    """
    if state.submitted is None:
        raise CaseNotUnderWay("The case is a draft.", remedy="Delete the draft; nobody acts on it.")
    if state.ended is not None and state.outcome is not None:
        when = state.ended.isoformat(timespec="seconds")
        raise CaseNotUnderWay(
            f"The case has ended at {when}: it is {state.outcome.value}.",
            metadata={"status": state.outcome.value, "ended": when},
        )
    if state.ending is not None:
        raise CaseNotUnderWay("The case is given up already; what was done is being undone.")
    return cancel(plan, case_id, state, CaseOutcome.WITHDRAWN, WITHDRAWN_BY_APPLICANT, by=by, why=why, now=now)
