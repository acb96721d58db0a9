# SPDX-License-Identifier: Apache-2.0
"""The applicant corrects what an agency named, once and completely (Licensing Law, art. 32), or runs out of time."""

from collections.abc import Mapping
from datetime import datetime

from services.gateway.domain.advance import follow
from services.gateway.domain.canceling import cancel
from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.expressions import ExpressionFailed
from services.gateway.domain.form import check_answers
from services.gateway.domain.history import CaseOutcome, CorrectionMade, Event
from services.gateway.domain.materials import uncorrected
from services.gateway.domain.plan import Plan
from services.gateway.domain.reasons import CORRECTION_NOT_MADE
from services.gateway.domain.refusals import AnswersInvalid, AnswersMissing, CasePastPivot, CorrectionNotAsked
from services.gateway.domain.values import input_of, names_of
from services.kit.errors import Violation


def correct(plan: Plan, case_id: str, state: CaseState, answers: Mapping[str, str], now: datetime) -> tuple[Event, ...]:
    """Take the corrections into the case; whoever asked goes on with them.

    Raises:
        CorrectionNotAsked: nothing is to be corrected, or not any more: says what is so.
        AnswersInvalid: answers to something else, or that break the rules of the form.
        AnswersMissing: something that is to be corrected was left out.
    """
    asked = state.open_corrections
    if not asked:
        raise CorrectionNotAsked(_why(state), metadata={"status": state.status.value})
    names = [item.name for items in asked.values() for item in items]
    fields = [name for name in names if name not in plan.materials]
    if other := sorted(answers.keys() - set(fields)):
        violations = [Violation(f"answers.{name}", "Was not asked to be corrected.") for name in other]
        raise AnswersInvalid("Only what was asked for can be corrected.", violations=violations)
    check_answers(plan.matter, answers, ())
    missing = [f"answers.{name}" for name in dict.fromkeys(fields) if not answers.get(name)]
    missing += [f"materials.{name}" for name in dict.fromkeys(uncorrected(state, names, plan))]
    if missing:
        violations = [Violation(name, "Is to be corrected.") for name in missing]
        raise AnswersMissing("Everything that was asked for is corrected at once.", violations=violations)
    made = CorrectionMade(now, tuple(asked), dict(answers))
    _must_be_usable(plan, case_id, fold([made], state), made)
    return follow(plan, case_id, state, [made], now)


def react_to_correction_limit(
    plan: Plan, case_id: str, state: CaseState, step_id: str, _attempt: int, *, now: datetime
) -> tuple[Event, ...]:
    """The time for corrections is over: the case counts as withdrawn.

    Nothing where they were made or are awaited no more; past the pivot the agency decides on what it has.
    """
    asked = state.dealings.asked.get(step_id, ())
    late = bool(asked) and now >= asked[-1] + plan.matter.correction_limit
    if step_id not in state.open_corrections or not late:
        return ()
    try:
        return cancel(plan, case_id, state, CaseOutcome.WITHDRAWN, CORRECTION_NOT_MADE, by="", why="", now=now)
    except CasePastPivot:
        return ()


def _must_be_usable(plan: Plan, case_id: str, after: CaseState, made: CorrectionMade) -> None:
    """What whoever asked reads must still come to something. Raises AnswersInvalid."""
    names = names_of(plan, case_id, after)
    for step_id in made.steps:
        compiled = plan.compiled(step_id)
        try:
            if compiled is not None:
                input_of(compiled, names)
        except ExpressionFailed:
            violations = [Violation(f"answers.{name}", "Can't be used as it stands.") for name in made.answers]
            raise AnswersInvalid("The corrections can't be used.", violations=violations) from None


def _why(state: CaseState) -> str:
    if state.submitted is None:
        return "The case is a draft: change it as you like."
    if state.ended is not None:
        late = ": the time for corrections was over" if state.reason == CORRECTION_NOT_MADE else ""
        return f"The case has ended at {state.ended.isoformat(timespec='seconds')}; it is {state.status.value}{late}."
    if state.ending is not None:
        return "The case is given up; what was done is being undone."
    return "Nothing is to be corrected, or not any more."
