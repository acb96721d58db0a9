# SPDX-License-Identifier: Apache-2.0
"""Matters of single departments joined into one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.definitions import as_yaml
from services.gateway.definitions.bpmn_in import from_bpmn
from services.gateway.definitions.bpmn_out import to_bpmn
from services.gateway.definitions.bundle import Bundle, BundleInvalid, bundle
from services.gateway.definitions.lint import lint
from services.gateway.definitions.rewriting import renamed
from services.gateway.definitions.script import Script
from services.gateway.definitions.simulate import simulate
from services.gateway.domain.case import CaseStatus
from services.gateway.domain.definition import Matter
from services.gateway.domain.plan import compile_plan
from services.gateway.domain.problems import DefinitionInvalid, ProblemCode
from services.gateway.workflows import clock_rules, read_matter
from tests.support.gateway_definitions import KNOWN
from tests.support.gateway_matters import TITLE, definition, field, step

RULES = clock_rules()
HEAD = {key: value for key, value in definition(step("a")).items() if key not in {"form", "steps"}}
PROMISED: Any = {"limit": {"promise": 3}}


def item(code: str, *steps: dict[str, Any], form: tuple[dict[str, Any], ...] = ()) -> Matter:
    return Matter.model_validate(definition(*steps, form=form, code=code))


CERTIFICATE = item(
    "certificate",
    step(
        "issue",
        input={"name": "answers.child_name"},
        output={"number": "text"},
        means={"number": "child.birth_certificate_number"},
        **PROMISED,
    ),
    form=(field("child_name", required=True, means="newborn.name"),),
)
HOUSEHOLD = item(
    "household",
    step("check", "decide", rules=[{"test": "answers.number != 'answers.number'", "reason": "NONE", "message": TITLE}]),
    step("enter", needs=["check"], input={"name": "answers.name", "number": "answers.number"}, **PROMISED),
    form=(
        field("name", required=True, means="newborn.name", length={"min": 2, "max": 50}),
        field("number", required=True, means="child.birth_certificate_number"),
    ),
)


def joined(*items: Matter) -> Bundle:
    return bundle(HEAD, items, RULES)


def test_what_means_the_same_is_asked_once_and_what_another_gives_is_not_asked() -> None:
    made = joined(HOUSEHOLD, CERTIFICATE)
    assert (made.asked_apart, made.asked) == (3, 1)
    (only,) = made.matter.form
    assert (only.name, only.required, only.length.min, only.length.max) == ("name", True, 2, 50)
    assert [(one.item, one.field, one.given_by) for one in made.dropped] == [
        ("household", "number", "certificate_issue")
    ]


def test_the_order_follows_from_who_gives_what_and_texts_in_quotes_stay() -> None:
    made = joined(HOUSEHOLD, CERTIFICATE)
    steps = {one.id: one for one in made.matter.steps}
    assert steps["household_check"].needs == ("certificate_issue",)
    assert steps["household_enter"].needs == ("household_check", "certificate_issue")
    rule = steps["household_check"].rules[0]  # type: ignore[union-attr]
    assert rule.test == "steps.certificate_issue.output.number != 'answers.number'"
    assert (made.path.days, made.path.ids) == (6, ("certificate_issue", "household_enter"))


def test_a_bundle_passes_lint_runs_to_its_end_and_is_read_back_the_same() -> None:
    made = joined(CERTIFICATE, HOUSEHOLD).matter
    assert lint(made, KNOWN) == ()
    assert simulate(compile_plan(made), KNOWN, Script()).status is CaseStatus.COMPLETED
    assert read_matter("sample", as_yaml(made)) == made
    assert from_bpmn(to_bpmn(made, {})) == made


def test_items_that_wait_for_each_other_are_a_deadlock_and_found() -> None:
    def half(code: str, gives: str, wants: str) -> Matter:
        made = step("do", input={"x": "answers.x"}, output={"y": "text"}, means={"y": gives})
        return item(code, made, form=(field("x", required=True, means=wants),))

    with pytest.raises(DefinitionInvalid) as caught:
        joined(half("one", "firm.a", "firm.b"), half("two", "firm.b", "firm.a"))
    assert {problem.code for problem in caught.value.problems} == {ProblemCode.STEP_CYCLE}


def test_what_may_not_come_back_is_still_asked() -> None:
    unsure = item("unsure", step("try", optional=True, output={"y": "text"}, means={"y": "firm.a"}))
    missing = item("missing", step("try", output={"y": "text?"}, means={"y": "firm.a"}))
    wants = item("wants", step("use", input={"x": "answers.x"}), form=(field("x", means="firm.a"),))
    assert joined(unsure, wants).asked == 1
    assert joined(missing, wants).asked == 1


def test_fields_of_one_name_and_two_meanings_stay_two() -> None:
    first = item("first", step("do", input={"x": "answers.name"}), form=(field("name", means="newborn.name"),))
    second = item("second", step("do", input={"x": "answers.name"}), form=(field("name", means="firm.name"),))
    made = joined(first, second).matter
    assert [one.name for one in made.form] == ["name", "second_name"]
    assert made.steps[1].input == {"x": "answers.second_name"}  # type: ignore[union-attr]


def test_a_source_that_one_knows_fills_the_field_for_both() -> None:
    prefill = {"source": "identity", "field": "name", "basis": "PIPL art. 13"}
    first = item("first", step("do", input={"x": "answers.a"}), form=(field("a", means="applicant.name"),))
    second = item("second", step("do", input={"x": "answers.b"}), form=(field("b", prefill=prefill, read_only=True),))
    (only,) = joined(first, second).matter.form
    assert only.prefill is not None
    assert not only.read_only


def test_what_can_not_be_joined_is_refused_in_words() -> None:
    dated = item("dated", step("do", input={"x": "answers.x"}), form=(field("x", "date", means="newborn.name"),))
    with pytest.raises(BundleInvalid, match="different types"):
        joined(CERTIFICATE, dated)
    with pytest.raises(BundleInvalid, match="two matters"):
        joined(CERTIFICATE)
    with pytest.raises(BundleInvalid, match="basic_code"):
        bundle({**HEAD, "basic_code": "x"}, (CERTIFICATE, HOUSEHOLD), RULES)


@given(st.permutations(range(4)))
def test_a_chain_of_items_is_done_in_its_order_however_they_are_given(order: list[int]) -> None:
    def link(index: int) -> Matter:
        form = (field("x", required=True, means=f"firm.n{index - 1}"),) if index else ()
        given_in = {"x": "answers.x"} if index else {}
        made = step("do", input=given_in, output={"y": "text"}, means={"y": f"firm.n{index}"}, **PROMISED)
        return item(f"item{index}", made, form=form)

    made = joined(*(link(index) for index in order))
    assert made.path.ids == tuple(f"item{index}_do" for index in range(4))
    assert made.path.days == 12
    assert made.asked == 0


def test_names_are_changed_outside_of_quotes_alone() -> None:
    source = "answers.a == 'answers.a' && steps.s.output.a == \"steps.s\" && answers.ab != answers . a"
    assert renamed(source, {"a": "answers.z"}, {"s": "t"}) == (
        "answers.z == 'answers.a' && steps.t.output.a == \"steps.s\" && answers.ab != answers.z"
    )
