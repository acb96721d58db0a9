# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a definition is found when it is loaded, with a code and a place."""

from typing import Any

import pytest
import yaml

from services.gateway.domain.definition import Matter
from services.gateway.domain.plan import compile_plan
from services.gateway.domain.problems import DefinitionInvalid, Problem, ProblemCode
from services.gateway.workflows import Workflows, load_workflows, read_agencies, read_matter
from services.kit.errors import StartupError
from tests.support.gateway_matters import AGENCIES, BIRTH, definition, field, plan_of, step


def problems_of(raw: dict[str, Any]) -> list[Problem]:
    with pytest.raises(DefinitionInvalid) as caught:
        compile_plan(read_matter("sample", yaml.safe_dump(raw)))
    return list(caught.value.problems)


def codes_of(raw: dict[str, Any]) -> list[ProblemCode]:
    return [problem.code for problem in problems_of(raw)]


def test_the_birth_can_be_loaded_with_the_agencies_of_the_city() -> None:
    workflows = load_workflows(BIRTH.parent, BIRTH.parents[3] / "sandbox" / "agencies.yaml")
    plan = workflows.current("birth")
    assert plan.matter.lead == "health"
    assert len(plan.steps) == 20
    assert workflows.known(plan.digest) is plan


def test_a_definition_is_named_by_its_content_and_comes_back_the_same() -> None:
    matter = Matter.model_validate(yaml.safe_load(BIRTH.read_text(encoding="utf-8")))
    again = Matter.model_validate_json(matter.canonical())
    assert again == matter
    assert again.digest == matter.digest
    assert len(matter.digest) == 64
    assert plan_of(step("a")).digest != plan_of(step("b")).digest


def test_a_reference_to_no_step_is_found() -> None:
    assert codes_of(definition(step("a", needs=["nobody"]))) == [ProblemCode.STEP_UNKNOWN]
    assert codes_of(definition(step("a", when="steps.nobody.state == 'done'"))) == [ProblemCode.STEP_UNKNOWN]


def test_cycles_are_found_and_what_waits_behind_them_is_out_of_reach() -> None:
    raw = definition(step("a", needs=["b"]), step("b", after=["a"]), step("c", needs=["a"]), step("d"))
    found = {problem.where: problem.code for problem in problems_of(raw)}
    assert found == {
        "steps.a": ProblemCode.STEP_CYCLE,
        "steps.b": ProblemCode.STEP_CYCLE,
        "steps.c": ProblemCode.STEP_UNREACHABLE,
    }


def test_a_condition_that_never_holds_puts_its_step_out_of_reach() -> None:
    assert codes_of(definition(step("a"), step("b", when="1 > 2"))) == [ProblemCode.STEP_UNREACHABLE]


def test_an_expression_that_is_no_cel_is_found_with_its_place() -> None:
    (problem,) = problems_of(definition(step("a", input={"x": "answers."})))
    assert (problem.code, problem.where) == (ProblemCode.EXPRESSION_MALFORMED, "steps.a.input.x")


def test_an_expression_reads_only_fields_that_the_form_has() -> None:
    assert codes_of(definition(step("a", input={"x": "answers.nothing"}))) == [ProblemCode.FIELD_UNKNOWN]
    plan_of(step("a", input={"x": "answers.name + 'answers.nothing'"}), form=(field("name"),))


def test_an_expression_reads_only_steps_that_it_waits_for() -> None:
    raw = definition(step("a", "verify"), step("b", input={"x": "steps.a.output.result"}))
    assert codes_of(raw) == [ProblemCode.STEP_NOT_BEFORE]


def test_an_expression_reads_only_outputs_that_a_step_gives() -> None:
    raw = definition(step("a", "verify"), step("b", needs=["a"], input={"x": "steps.a.output.name"}))
    assert codes_of(raw) == [ProblemCode.OUTPUT_UNKNOWN]


def test_a_step_that_must_happen_may_not_need_one_that_may_be_skipped() -> None:
    raw = definition(step("a", optional=True), step("b", needs=["a"]))
    assert codes_of(raw) == [ProblemCode.NEED_MAY_BE_SKIPPED]
    plan_of(step("a", optional=True), step("b", after=["a"]))
    plan_of(step("a", on_failure="continue"), step("b", needs=["a"], optional=True))


def test_unknown_fields_and_kinds_are_refused() -> None:
    assert codes_of(definition(step("a", colour="red"))) == [ProblemCode.FIELD_UNKNOWN]
    assert codes_of(definition(step("a", "script"))) == [ProblemCode.FIELD_INVALID]
    assert codes_of(definition(step("a"), nonsense=1)) == [ProblemCode.FIELD_UNKNOWN]


def test_two_of_a_name_are_refused() -> None:
    assert codes_of(definition(step("a"), step("a"))) == [ProblemCode.STEP_DUPLICATE]
    assert codes_of(definition(step("a"), form=(field("x"), field("x")))) == [ProblemCode.FIELD_DUPLICATE]


@pytest.mark.parametrize(
    "wrong",
    [
        field("x", "enum"),
        field("x", choices=[{"value": "a", "title": {"zh": "甲", "en": "a"}}]),
        field("x", read_only=True),
        field("x", length={"min": 9, "max": 2}),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    assert codes_of(definition(step("a"), form=(wrong,))) == [ProblemCode.FIELD_INVALID]


def test_what_is_no_yaml_is_said_with_its_line() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        read_matter("sample", "code: [\n")
    assert caught.value.problems[0].code is ProblemCode.YAML_MALFORMED
    assert "line" in str(caught.value)


def test_a_role_that_nobody_has_stops_the_start() -> None:
    plan = plan_of(step("a", agency="nobody"))
    with pytest.raises(DefinitionInvalid, match="AGENCY_UNKNOWN"):
        Workflows({"sample": plan}, AGENCIES)


def test_a_list_of_agencies_that_is_none_stops_the_start() -> None:
    with pytest.raises(StartupError, match="no list of agencies"):
        read_agencies("agencies: [{key: a}]", "somewhere")


def test_an_old_definition_stays_known_for_its_cases() -> None:
    old, new = plan_of(step("a")), plan_of(step("a"), step("b"))
    workflows = Workflows({"sample": new}, AGENCIES)
    assert workflows.known(old.digest) is None
    assert workflows.learn(old.matter.canonical()).digest == old.digest
    assert workflows.known(old.digest) is not None
    assert workflows.current("sample") is new
