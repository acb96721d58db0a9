# SPDX-License-Identifier: Apache-2.0
"""What was done is undone, latest first, when a case is given up; never once a pivot is passed; never in silence."""

import pytest

from services.gateway.domain.advance import react_to_limit, react_to_retry
from services.gateway.domain.case import CaseStatus
from services.gateway.domain.definition import StepKind
from services.gateway.domain.facts import StepRequestedFact
from services.gateway.domain.history import CaseOutcome, Outcome, StepStarted
from services.gateway.domain.parking import give_up, resume, skip
from services.gateway.domain.refusals import CaseNotParked, CaseNotUnderWay, CasePastPivot
from tests.support.gateway_matters import CASE, definition, plan_of, step
from tests.support.gateway_run import Run
from tests.unit.gateway.test_definitions import codes_of

UNDO = {"operation": "take_back"}


def chain() -> Run:
    """a, b side by side, both with an undo; then c."""
    a = step("a", undo={"operation": "undo_a", "input": {"n": "steps.a.output.number"}}, output={"number": "text"})
    b = step("b", undo={"operation": "undo_b", "agency": "police", "retry": {"max": 2}, "time_limit": "PT1H"})
    return Run(plan_of(a, b, step("c", needs=["a", "b"])))


def asked(run: Run) -> list[str]:
    return [event.step_id for event in run.events if isinstance(event, StepStarted)]


def test_a_refusal_undoes_what_was_done_in_the_reverse_order_of_completion() -> None:
    run = chain()
    run.answer("b")
    run.answer("a", output={"number": "N7"})
    assert run.answer("c", Outcome.REFUSED, reason="NO") == ["StepAnswered", "StepFailed", "CaseGivenUp", "StepStarted"]
    assert run.status() is CaseStatus.UNDOING
    (task,) = run.effects.tasks
    assert (task.step_id, task.operation, task.role, dict(task.input)) == ("a.undo", "undo_a", "hospital", {"n": "N7"})
    assert run.answer("a.undo") == ["StepAnswered", "StepStarted"]
    assert run.effects.tasks[0].role == "police"
    assert run.answer("b.undo") == ["StepAnswered", "CaseEnded"]
    assert (run.status(), run.state.reason, run.state.reason_step) == (CaseStatus.REFUSED, "NO", "c")
    assert run.states == {
        "a": "undone", "b": "undone", "c": "failed", "a.undo": "done", "b.undo": "done",
    }  # fmt: skip


def test_what_is_under_way_when_a_case_is_given_up_may_be_done_and_is_undone_first() -> None:
    run = chain()
    run.answer("a", output={"number": "N7"})
    assert run.cancel() == ["CaseGivenUp", "StepStarted"]
    assert run.states == {"a": "done", "b": "canceled", "b.undo": "running"}
    assert (CASE, "b") in run.effects.closed_tasks
    assert run.answer("b", attempt=1) == []
    run.answer("b.undo")
    run.answer("a.undo")
    assert run.status() is CaseStatus.WITHDRAWN
    assert run.state.reason == "BECAUSE"


def test_an_attempt_that_was_not_answered_in_time_may_be_done_too_and_a_refused_one_is_not() -> None:
    run = Run(plan_of(step("a", undo=UNDO, time_limit="PT1H"), step("b", undo=UNDO, on_failure="park"), step("c")))
    run.take(react_to_limit(run.plan, CASE, run.state, "a", 1, now=run.now))
    run.answer("b", Outcome.REFUSED, reason="NO")
    run.answer("c", Outcome.REFUSED, reason="NO")
    assert [step_id for step_id in asked(run) if step_id.endswith(".undo")] == ["a.undo"]


def test_a_case_with_nothing_to_undo_ends_at_once() -> None:
    run = Run(plan_of(step("a"), step("b", needs=["a"], undo=UNDO)))
    assert run.cancel(CaseOutcome.TERMINATED) == ["CaseGivenUp", "CaseEnded"]
    assert run.status() is CaseStatus.TERMINATED
    with pytest.raises(CaseNotUnderWay):
        run.cancel()


def test_an_undoing_that_fails_is_tried_again_and_then_parks_the_case() -> None:
    run = chain()
    run.cancel()
    assert run.answer("b.undo", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "RetryPlanned"]
    run.take(react_to_retry(run.plan, CASE, run.state, "b.undo", 2, now=run.now))
    assert run.answer("b.undo", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "StepParked"]
    assert (run.status(), run.state.parked_step) == (CaseStatus.PARKED, "b.undo")
    with pytest.raises(CaseNotParked):
        give_up(run.parked("b.undo"))
    run.take(resume(run.parked("b.undo")))
    assert run.answer("b.undo", Outcome.REFUSED, reason="NEVER") == ["StepAnswered", "StepParked"]
    assert run.take(skip(run.parked("b.undo"))) == ["StepSkipped", "StepStarted"]
    run.answer("a.undo")
    assert run.status() is CaseStatus.WITHDRAWN
    assert run.states["b"] == "canceled"


def test_beyond_the_pivot_failures_park_and_nobody_can_cancel() -> None:
    run = Run(plan_of(step("a", undo=UNDO), step("p", needs=["a"], pivot=True), step("z", needs=["p"])))
    run.answer("a")
    with pytest.raises(CasePastPivot):
        run.cancel()  # It is under way: nobody can tell whether it is done.
    run.answer("p")
    with pytest.raises(CasePastPivot):
        run.cancel()
    assert run.answer("z", Outcome.REFUSED, reason="NO") == ["StepAnswered", "StepParked"]
    with pytest.raises(CasePastPivot):
        give_up(run.parked("z"))
    run.take(resume(run.parked("z")))
    run.answer("z")
    assert run.status() is CaseStatus.COMPLETED
    assert "a.undo" not in asked(run)


def test_a_refused_pivot_undoes_what_was_done_before_it() -> None:
    run = Run(plan_of(step("a", undo=UNDO), step("p", needs=["a"], pivot=True)))
    run.answer("a")
    run.answer("p", Outcome.REFUSED, reason="NO")
    run.answer("a.undo")
    assert run.status() is CaseStatus.REFUSED


def test_a_refusal_beside_a_pivot_under_way_waits_for_an_operator() -> None:
    run = Run(plan_of(step("a"), step("p", pivot=True)))
    assert run.answer("a", Outcome.REFUSED, reason="NO") == ["StepAnswered", "StepParked"]
    run.answer("p", Outcome.UNAVAILABLE, reason="DOWN")
    assert run.take(give_up(run.parked("a"))) == ["StepFailed", "CaseGivenUp", "CaseEnded"]


def test_a_pivot_whose_answer_never_came_is_given_up_only_by_an_operator_on_that_very_step() -> None:
    run = Run(plan_of(step("p", pivot=True, time_limit="PT1H")))
    run.take(react_to_limit(run.plan, CASE, run.state, "p", 1, now=run.now))
    with pytest.raises(CasePastPivot):
        run.cancel()
    run.take(give_up(run.parked("p")))
    assert run.status() is CaseStatus.REFUSED


def test_a_license_is_undone_by_licenses_and_a_payment_by_who_took_it() -> None:
    run = Run(plan_of(step("l", "license", undo={}), step("p", "pay", undo={}), step("c", needs=["l", "p"])))
    run.answer("l", output={"license_id": "L1"})
    run.answer("p", output={"payment_id": "P1", "paid_fen": 100})
    run.answer("c", Outcome.REFUSED, reason="NO")
    assert StepRequestedFact(CASE, "p.undo", 1, StepKind.PAY, "sample") in run.effects.facts
    run.answer("p.undo")
    assert StepRequestedFact(CASE, "l.undo", 1, StepKind.LICENSE, "sample") in run.effects.facts
    run.answer("l.undo")
    assert run.status() is CaseStatus.REFUSED


def test_retries_of_all_steps_together_are_bounded() -> None:
    plan = plan_of(step("a", "fetch", retry={"max": 9}), step("b", "fetch", retry={"max": 9}), retries_max=1)
    run = Run(plan)
    assert run.answer("a", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "RetryPlanned"]
    assert run.answer("b", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "StepParked"]
    assert run.state.step("b").reason == "RETRIES_USED_UP"


def test_a_pivot_with_an_undo_is_a_contradiction_and_an_undo_reads_only_what_is_there() -> None:
    assert codes_of(definition(step("a", pivot=True, undo=UNDO)))
    assert codes_of(definition(step("a", "fetch", undo=UNDO)))
    late = {"operation": "x", "input": {"n": "steps.b.output.n"}}
    raw = definition(step("a", undo=late), step("b", output={"n": "text"}))
    assert [code.value for code in codes_of(raw)] == ["STEP_NOT_BEFORE"]
