# SPDX-License-Identifier: Apache-2.0
"""Answers and outputs, each against its declaration; faults name fields, never values."""

from typing import Any

import pytest

from services.gateway.domain.definition import Matter, TaskStep
from services.gateway.domain.form import check_answers, check_complete, check_output, masked
from services.gateway.domain.refusals import AnswersInvalid, AnswersMissing, TaskOutputInvalid
from tests.support.gateway_matters import definition, field, plan_of, step

CHOICES = [
    {"value": "male", "title": {"zh": "男", "en": "male"}},
    {"value": "female", "title": {"zh": "女", "en": "female"}},
]
FORM = (
    field("name", required=True, length={"min": 2, "max": 4}),
    field("born", "date"),
    field("sex", "enum", choices=CHOICES),
    field("number", "citizen_number"),
    field("account", "account"),
    field("own", read_only=True, prefill={"source": "identity", "field": "name", "basis": "law"}),
)
MATTER = Matter.model_validate(definition(step("a"), step("b", optional=True), form=FORM))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "ab"),
        ("name", "王小二大"),
        ("born", "2024-02-29"),
        ("sex", "female"),
        ("number", "11010519491231002X"),
        ("account", "62220212"),
        ("account", "6" * 34),
        ("name", ""),
    ],
)
def test_what_fits_is_taken(name: str, value: str) -> None:
    check_answers(MATTER, {name: value}, ["b"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "a"),
        ("name", "abcde"),
        ("name", " ab"),
        ("name", "a\nb"),
        ("born", "2023-02-29"),
        ("born", "20230201"),
        ("born", "2023-2-1"),
        ("sex", "other"),
        ("number", "110105194912310021"),
        ("number", "110105194913310020"),
        ("number", "11010519491231002x"),
        ("account", "1234567"),
        ("account", "6222 0212 1234"),
        ("own", "me"),
        ("nobody", "x"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(AnswersInvalid) as caught:
        check_answers(MATTER, {name: value}, [])
    (violation,) = caught.value.violations
    assert violation.field == f"answers.{name}"
    assert len(value) < 5 or value not in violation.description


def test_only_optional_steps_can_be_done_without() -> None:
    with pytest.raises(AnswersInvalid) as caught:
        check_answers(MATTER, {}, ["a", "<script>"])
    assert [one.field for one in caught.value.violations] == ["without.a", "without.?"]


def test_a_form_with_a_hole_can_not_be_submitted() -> None:
    with pytest.raises(AnswersMissing) as caught:
        check_complete(MATTER, {"born": "2024-02-29", "name": ""})
    assert [one.field for one in caught.value.violations] == ["answers.name"]
    check_complete(MATTER, {"name": "ab"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [("", ""), ("王", "*"), ("王五", "王*"), ("王小五", "王*五"), ("990100188001010011", "9" + "*" * 16 + "1")],
)
def test_masks_leave_the_first_and_the_last(value: str, shown: str) -> None:
    assert masked(value) == shown


def output_step() -> TaskStep:
    declared = {
        "n": "serial",
        "when": "date?",
        "id": "uuid?",
        "kg": "number?",
        "ok": "boolean?",
        "who": "citizen_number?",
    }
    found = plan_of(step("a", output=declared)).step("a")
    assert isinstance(found, TaskStep)
    return found


def test_outputs_are_taken_as_declared_and_nothing_else_is_kept() -> None:
    given = {"n": "B99", "when": "2026-01-01", "kg": 3500.5, "ok": False, "secret": "x", "who": None}
    assert check_output(output_step(), given) == {"n": "B99", "when": "2026-01-01", "kg": 3500.5, "ok": False}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"n": ""},
        {"n": 5},
        {"n": "b-1"},
        {"n": "B", "when": "soon"},
        {"n": "B", "id": "x"},
        {"n": "B", "kg": True},
        {"n": "B", "kg": "3"},
        {"n": "B", "ok": "yes"},
        {"n": "B", "who": "1"},
        {"n": ["B"]},
    ],
)
def test_outputs_that_are_missing_or_malformed_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(TaskOutputInvalid) as caught:
        check_output(output_step(), wrong)
    (violation,) = caught.value.violations
    assert violation.field.removeprefix("output.") in str(caught.value)
