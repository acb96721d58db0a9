# SPDX-License-Identifier: Apache-2.0
"""An open case under another version of its definition."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.advance import Answer, react_to_answer, submit
from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.history import CaseOutcome, DefinitionMoved, Outcome, from_body, kind_of, to_body
from services.gateway.domain.moving import Replay, Stuck, move, replay
from services.gateway.domain.plan import Plan
from services.gateway.workflows import clock_rules
from tests.support.gateway_matters import CASE, NOW, TITLE, draft, field, kinds, plan_of, step

RULES = clock_rules()
PROMISED: Any = {"limit": {"promise": 5}}
OLD = plan_of(step("a", output={"x": "text"}), step("b", needs=["a"], **PROMISED), form=(field("name"),))


def under_way(plan: Plan = OLD, *done: str, answers: Mapping[str, str] | None = None, output: Any = None) -> CaseState:
    state = draft(plan, answers)
    state = fold(submit(plan, CASE, state, NOW), state)
    for step_id in done:
        answer = Answer(step_id, 1, Outcome.DONE, output=dict(output or {"x": "1"}))
        state = fold(react_to_answer(plan, CASE, state, answer, NOW), state)
    return state


def moved(new: Plan, state: CaseState | None = None, old: Plan = OLD) -> Replay:
    return replay(RULES, old, new, CASE, under_way(OLD, "a") if state is None else state, now=NOW)


def new(*steps: dict[str, Any], form: tuple[dict[str, Any], ...] = (field("name"),)) -> Plan:
    return plan_of(*steps, form=form)


A, B = step("a", output={"x": "text"}), step("b", needs=["a"], **PROMISED)


def test_a_case_that_fits_says_what_begins_and_how_its_date_changes() -> None:
    found = moved(new(A, B | {"limit": {"promise": 10}}, step("c", needs=["a"], **PROMISED)))
    assert found.fits
    assert found.starts == ("c",)
    assert (found.before, found.after) == (date(2026, 11, 30), date(2026, 12, 7))
    assert not moved(new(A, B, step("c", needs=["a"], **PROMISED))).date_changes


def test_a_move_is_an_event_and_what_follows_of_it_and_the_state_says_the_definition() -> None:
    plan, state = new(A, B, step("c", needs=["a"])), under_way(OLD, "a")
    events = move(plan, CASE, state, by="op", why="because", now=NOW)
    assert kinds(events) == ["DefinitionMoved", "StepStarted"]
    after = fold(events, state)
    assert after.definition == plan.digest
    assert after.version == state.version + 2
    assert move(plan, CASE, after, by="op", why="because", now=NOW) == ()
    event = events[0]
    assert isinstance(event, DefinitionMoved)
    assert "because" not in repr(event)
    assert from_body(kind_of(event), event.at, "", to_body(event)) == event


@pytest.mark.parametrize(
    ("plan", "stuck", "where"),
    [
        (new(step("z"), B | {"needs": []}), Stuck.STEP_GONE, "a"),
        (new(step("a", "verify"), B), Stuck.STEP_CHANGED, "a"),
        (new(A, B | {"agency": "police"}), Stuck.STEP_CHANGED, "b"),
        (new(A, B | {"input": {"y": "answers.name"}}), Stuck.STEP_CHANGED, "b"),
        (new(A, step("n"), B | {"needs": ["a", "n"]}), Stuck.ORDER_CHANGED, "b"),
        (new(A | {"output": {"x": "text", "y": "text"}}, B), Stuck.OUTPUT_MISSING, "a"),
        (new(A, B, form=(field("more", required=True),)), Stuck.ANSWERS_MISSING, "answers.more"),
        (new(A, B, step("c", when="int(answers.name) > 1", needs=["a"])), Stuck.EXPRESSION_FAILED, "c"),
    ],
)
def test_a_case_that_does_not_fit_says_why_and_where(plan: Plan, stuck: Stuck, where: str) -> None:
    found = moved(plan)
    assert (found.stuck, found.where) == (stuck, where)


def test_answers_that_break_the_rules_there_hold_the_case_back_and_those_nobody_asks_for_do_not() -> None:
    state = under_way(OLD, "a", answers={"name": "王小花"})
    assert moved(new(A, B, form=(field("name", "date"),)), state).stuck is Stuck.ANSWERS_INVALID
    assert moved(new(A, B, form=()), state).fits


def test_a_case_that_a_new_rule_would_refuse_at_once_says_so() -> None:
    rule = {"test": "answers.name == 'x'", "reason": "NOT_ENTITLED", "message": TITLE}
    assert moved(new(A, B, step("c", "decide", needs=["a"], rules=[rule]))).outcome is CaseOutcome.REFUSED
    assert moved(new(A, B, step("c", "decide", needs=["b"], rules=[rule]))).outcome is None


def test_a_draft_fits_whatever_it_still_has_to_answer() -> None:
    found = moved(new(A, B, form=(field("more", required=True),)), draft(OLD))
    assert found.fits
    assert found.before is None
    assert found.starts == ()


@given(st.permutations(["a", "b", "c", "d"]), st.integers(0, 4))
def test_a_case_always_fits_its_own_definition_and_nothing_follows_there(order: list[str], done: int) -> None:
    plan = plan_of(*(step(one, needs=[order[index - 1]] if index else []) for index, one in enumerate(order)))
    state = under_way(plan, *order[:done])
    if state.ended is None:
        found = replay(RULES, plan, plan, CASE, state, now=NOW)
        assert found.fits
        assert found.starts == ()
        assert not found.date_changes
