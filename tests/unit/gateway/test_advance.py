# SPDX-License-Identifier: Apache-2.0
"""What follows from what has happened."""

from datetime import timedelta
from typing import Any

import pytest

from services.gateway.domain.advance import (
    Answer,
    advance,
    react_to_answer,
    react_to_limit,
    react_to_retry,
    submit,
)
from services.gateway.domain.case import CaseStatus, fold
from services.gateway.domain.effects import TimerKind, effects_of
from services.gateway.domain.history import (
    CaseEnded,
    Outcome,
    Prefilled,
    PrefillRepeated,
    PrefillState,
    RetryPlanned,
    StepAnswered,
    StepParked,
    StepStarted,
    from_body,
    kind_of,
    step_of,
    to_body,
)
from services.gateway.domain.parking import resume
from services.gateway.domain.reasons import (
    CONDITION_FALSE,
    DESELECTED,
    EXPRESSION_FAILED,
    NEEDED_STEP_NOT_DONE,
    TIME_LIMIT_EXCEEDED,
)
from services.gateway.domain.refusals import CaseNotParked
from services.kit.text import Text
from tests.support.gateway_matters import CASE, NOW, draft, field, plan_of, step
from tests.support.gateway_run import Run


def test_steps_that_wait_for_nothing_start_side_by_side() -> None:
    run = Run(plan_of(step("a", "verify"), step("b", "fetch"), step("c", needs=["a", "b"])))
    assert run.states == {"a": "running", "b": "running"}
    assert run.status() == CaseStatus.SUBMITTED
    run.answer("a")
    assert run.states == {"a": "done", "b": "running"}
    assert run.status() == CaseStatus.IN_PROGRESS
    run.answer("b")
    assert run.states["c"] == "running"


def test_a_case_ends_when_every_step_has_settled() -> None:
    run = Run(plan_of(step("a"), step("n", "notify", needs=["a"])))
    assert run.answer("a") == ["StepAnswered", "StepAnswered", "CaseEnded"]
    assert run.status() == CaseStatus.COMPLETED
    assert run.state.ended == NOW


def test_a_condition_that_does_not_hold_skips_the_step_and_what_needs_it() -> None:
    plan = plan_of(
        step("a", when="answers.wanted == 'yes'"),
        step("b", needs=["a"], optional=True),
        step("c", after=["b"]),
        form=(field("wanted"),),
    )
    run = Run(plan)
    assert run.states == {"a": "skipped", "b": "skipped", "c": "running"}
    assert run.state.step("a").reason == CONDITION_FALSE
    assert run.state.step("b").reason == NEEDED_STEP_NOT_DONE
    assert Run(plan, {"wanted": "yes"}).states == {"a": "running"}


def test_an_optional_step_can_be_done_without() -> None:
    run = Run(plan_of(step("a", optional=True), step("b")), without=("a",))
    assert run.states == {"a": "skipped", "b": "running"}
    assert run.state.step("a").reason == DESELECTED


def test_a_refusal_ends_the_case_and_cancels_what_runs() -> None:
    run = Run(plan_of(step("a"), step("b"), step("c", needs=["b"])))
    words = Text("不行", "No")
    assert run.answer("a", Outcome.REFUSED, reason="NO", message=words) == ["StepAnswered", "StepFailed", "CaseEnded"]
    assert run.states == {"a": "failed", "b": "canceled"}
    assert (run.status(), run.state.reason, run.state.message) == (CaseStatus.REFUSED, "NO", words)
    assert run.answer("b") == []


@pytest.mark.parametrize("how", [{"optional": True}, {"on_failure": "continue"}])
def test_a_refusal_of_a_step_that_may_fail_undoes_nothing(how: dict[str, Any]) -> None:
    run = Run(plan_of(step("a", **how), step("b", needs=["a"], optional=True), step("c", after=["a"])))
    assert run.answer("a", Outcome.REFUSED, reason="NO") == ["StepAnswered", "StepFailed", "StepSkipped", "StepStarted"]
    run.answer("c")
    assert run.status() == CaseStatus.COMPLETED


def test_a_refusal_can_park_the_case_for_an_operator() -> None:
    run = Run(plan_of(step("a", on_failure="park"), step("b")))
    run.answer("a", Outcome.REFUSED, reason="NO")
    assert (run.status(), run.state.parked_step) == (CaseStatus.PARKED, "a")
    run.answer("b")
    assert run.status() == CaseStatus.PARKED
    assert run.take(resume(run.parked("a"))) == ["StepResumed", "StepStarted"]
    assert run.state.step("a").attempt == 2
    run.answer("a")
    assert run.status() == CaseStatus.COMPLETED


def test_what_can_not_be_done_now_is_tried_again_with_growing_waits_and_then_parked() -> None:
    plan = plan_of(step("a", "fetch", retry={"max": 3, "waits": ["PT1S", "PT5S"]}))
    run = Run(plan)
    waits = []
    for attempt in (1, 2):
        assert run.answer("a", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "RetryPlanned"]
        planned = run.events[-1]
        assert isinstance(planned, RetryPlanned)
        waits.append(planned.due - NOW)
        assert run.states == {"a": "retrying"}
        assert run.take(react_to_retry(plan, CASE, run.state, "a", attempt + 1, now=NOW)) == ["StepStarted"]
    assert waits == [timedelta(seconds=1), timedelta(seconds=5)]
    assert run.answer("a", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "StepParked"]
    assert run.status() == CaseStatus.PARKED
    run.take(resume(run.parked("a")))
    assert run.answer("a", Outcome.UNAVAILABLE, reason="DOWN") == ["StepAnswered", "RetryPlanned"]


def test_an_optional_step_that_can_not_be_done_fails_alone() -> None:
    run = Run(plan_of(step("a", "fetch", optional=True)))
    assert run.answer("a", Outcome.UNAVAILABLE) == ["StepAnswered", "StepFailed", "CaseEnded"]
    assert run.status() == CaseStatus.COMPLETED


def test_a_step_that_takes_too_long_counts_as_not_possible_now() -> None:
    plan = plan_of(step("a", time_limit="PT1H"))
    run = Run(plan)
    assert run.take(react_to_limit(plan, CASE, run.state, "a", 2, now=NOW)) == []
    assert run.take(react_to_limit(plan, CASE, run.state, "a", 1, now=NOW)) == ["StepAnswered", "StepParked"]
    assert run.state.step("a").reason == TIME_LIMIT_EXCEEDED
    assert run.answer("a") == []


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    run = Run(plan_of(step("a"), step("b", needs=["a"])))
    assert run.answer("nobody", attempt=1) == []
    assert run.answer("b", attempt=1) == []
    assert run.answer("a", attempt=2) == []
    assert run.answer("a") != []
    assert run.answer("a", attempt=1) == []
    assert run.take(react_to_retry(run.plan, CASE, run.state, "a", 2, now=NOW)) == []
    with pytest.raises(CaseNotParked):
        resume(run.parked("a"))


def test_a_decision_refuses_with_the_first_rule_that_does_not_hold() -> None:
    rules = [
        {"test": "steps.a.output.result == 'match'", "reason": "NOT_VERIFIED", "message": {"zh": "未", "en": "Not"}},
        {
            "test": "full_years('2026-01-01', case.submitted_date) < 1",
            "reason": "OLD",
            "message": {"zh": "大", "en": "Old"},
        },
    ]
    plan = plan_of(step("a", "verify"), step("d", "decide", needs=["a"], rules=rules))
    good = Run(plan)
    good.answer("a", output={"result": "match"})
    assert good.status() == CaseStatus.COMPLETED
    bad = Run(plan)
    bad.answer("a", output={"result": "no_match"})
    assert (bad.status(), bad.state.reason) == (CaseStatus.REFUSED, "NOT_VERIFIED")
    assert bad.state.message == Text("未", "Not")


def test_a_decision_that_refuses_the_case_is_the_last_thing_that_happens_to_it() -> None:
    rules = [{"test": "false", "reason": "NO", "message": {"zh": "不", "en": "No"}}]
    run = Run(
        plan_of(
            *(
                step(name, kind, **more)
                for name, kind, more in (
                    ("d", "decide", {"rules": rules}),
                    ("e", "decide", {"rules": rules}),
                    ("f", "fetch", {}),
                )
            )
        )
    )
    assert run.status() == CaseStatus.REFUSED
    assert run.states == {"d": "failed"}


def test_an_expression_that_fails_over_a_case_parks_it_and_tells_no_value() -> None:
    run = Run(plan_of(step("a", input={"x": "answers.name[9]"}), form=(field("name"),)), {"name": "secret"})
    assert run.states == {"a": "parked"}
    assert run.state.step("a").reason == EXPRESSION_FAILED
    assert "secret" not in repr(run.events)


def test_advance_is_done_when_it_is_done() -> None:
    run = Run(plan_of(step("a"), step("b", needs=["a"])))
    assert advance(run.plan, CASE, run.state, NOW) == ()
    assert advance(run.plan, CASE, draft(run.plan), NOW) == ()


def test_effects_close_before_they_open_and_tell_everything() -> None:
    plan = plan_of(
        step("a", "fetch", time_limit="PT1H", retry={"max": 2}),
        step("b", needs=["a"], operation="do_it", input={"s": "steps.a.output.status"}, time_limit="P1D"),
        step("n", "notify", needs=["b"]),
    )
    before = draft(plan)
    first = submit(plan, CASE, before, NOW)
    running = fold(first, before)
    effects = effects_of(plan, CASE, before, running, first)
    assert [type(fact).__name__ for fact in effects.facts] == ["CaseSubmittedFact", "StepRequestedFact"]
    assert [(timer.kind, timer.due - NOW) for timer in effects.timers] == [(TimerKind.LIMIT, timedelta(hours=1))]

    second = react_to_answer(plan, CASE, running, Answer("a", 1, Outcome.DONE, output={"status": "ok"}), NOW)
    working = fold(second, running)
    effects = effects_of(plan, CASE, running, working, second)
    assert (effects.closed_tasks, effects.closed_timers) == ((), ((CASE, "a"),))
    (task,) = effects.tasks
    assert (task.operation, task.role, dict(task.input)) == ("do_it", "hospital", {"s": "ok"})

    third = react_to_answer(plan, CASE, working, Answer("b", 1, Outcome.DONE), NOW)
    effects = effects_of(plan, CASE, working, fold(third, working), third)
    assert effects.ended == CASE
    assert [notice.step_id for notice in effects.notices] == ["n"]
    assert [type(fact).__name__ for fact in effects.facts] == ["CaseEndedFact"]


def test_every_event_comes_back_from_its_json() -> None:
    run = Run(plan_of(step("a", "fetch", retry={"max": 2}), step("b", on_failure="park"), step("c", optional=True)))
    run.answer("a", Outcome.UNAVAILABLE, reason="DOWN")
    run.answer("b", Outcome.REFUSED, reason="NO", message=Text("不", "No"))
    run.answer("c", output={"x": 1.5, "y": True, "z": "text"})
    run.take(resume(run.parked("b")))
    run.answer("b", Outcome.DONE)
    run.take(react_to_retry(run.plan, CASE, run.state, "a", 2, now=NOW))
    run.answer("a")
    assert {StepStarted, StepAnswered, StepParked, CaseEnded} <= {type(event) for event in run.events}
    filled = [Prefilled(name, PrefillState.FILLED, "v", "exchange", disputed=name == "b") for name in ("a", "b")]
    for event in (*run.events, PrefillRepeated(NOW, tuple(filled))):
        assert from_body(kind_of(event), event.at, step_of(event), to_body(event)) == event
