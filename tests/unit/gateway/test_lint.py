# SPDX-License-Identifier: Apache-2.0
"""What lint finds in a definition, and that what ships has nothing to mend."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.cli.definitions import known, problems_of, shipped
from services.gateway.definitions.lint import lint
from services.gateway.domain.definition import Matter
from services.gateway.domain.problems import REMEDIES, ProblemCode
from tests.support.gateway_definitions import KNOWN, LICENSE
from tests.support.gateway_matters import TITLE, definition, field, step

ASKED = {"asked_because": {"zh": "部门信息可能滞后。", "en": "The register may lag behind."}}


def found(*steps: Mapping[str, Any], form: tuple[Mapping[str, Any], ...] = (), **more: Any) -> list[tuple[str, str]]:
    matter = Matter.model_validate(definition(*steps, form=form, **more))
    return [(problem.code.value, problem.where) for problem in lint(matter, KNOWN)]


def license_step(attributes: Mapping[str, str], **more: Any) -> dict[str, Any]:
    own = {"holder_id": "applicant.id", "serial": "'A1'", "attributes": dict(attributes)}
    return step("made", "license", license_type=LICENSE, input=own, **more)


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_every_matter_that_ships_has_nothing_to_mend(path: Any) -> None:
    assert [f"{problem} {problem.remedy}" for problem in problems_of(path, known())] == []


def test_every_problem_has_a_remedy() -> None:
    assert set(REMEDIES) == set(ProblemCode)


def test_a_field_that_a_department_holds_is_not_asked() -> None:
    asked = field("born", "date", required=True, means="applicant.birth_date")
    used = step("a", input={"born": "answers.born"})
    assert found(used, form=(asked,)) == [("ONCE_ONLY", "form.born")]
    (problem,) = lint(Matter.model_validate(definition(used, form=(asked,))), KNOWN)
    assert "identity birth_date" in problem.message
    assert f"license {LICENSE} born" in problem.message


def test_a_field_is_asked_where_it_is_prefilled_or_says_why_or_nobody_holds_it() -> None:
    prefill = {"source": "identity", "field": "birth_date", "basis": "PIPL art. 13"}
    used = step("a", input={"born": "answers.born"})
    assert found(used, form=(field("born", "date", prefill=prefill),)) == []
    assert found(used, form=(field("born", "date", means="applicant.birth_date", **ASKED),)) == []
    assert found(used, form=(field("born", "date", means="newborn.birth_date"),)) == []


def test_a_field_that_says_nothing_of_its_meaning_is_a_problem_of_its_own() -> None:
    assert found(step("a", input={"x": "answers.x"}), form=(field("x"),)) == [("MEANING_MISSING", "form.x")]


def test_a_field_that_a_step_of_the_same_matter_gives_is_not_asked() -> None:
    steps = (
        step("a", output={"number": "text"}, means={"number": "child.birth_certificate_number"}),
        step("b", input={"x": "answers.number"}),
    )
    assert found(*steps, form=(field("number", means="child.birth_certificate_number"),)) == [
        ("ONCE_ONLY", "form.number")
    ]


def test_a_field_that_no_step_reads_is_not_asked() -> None:
    assert found(step("a"), form=(field("x", means="newborn.name"),)) == [("FIELD_UNUSED", "form.x")]


def test_a_license_needs_what_its_type_requires_of_the_kind_it_wants() -> None:
    form = (field("name", required=True, means="newborn.name"), field("maybe", means="newborn.nickname"))
    used = step("use", input={"a": "answers.name", "b": "answers.maybe"})
    place = "steps.made.input.attributes"
    assert found(license_step({"name": "answers.name"}), used, form=form) == []
    assert found(license_step({}), used, form=form) == [("INPUT_MISSING", place)]
    assert found(license_step({"name": "answers.maybe"}), used, form=form) == [("INPUT_MAY_BE_EMPTY", f"{place}.name")]
    guarded = license_step({"name": "answers.maybe"}, when="answers.maybe != ''")
    assert found(guarded, used, form=form) == []
    wrong = license_step({"name": "answers.name", "born": "answers.name", "other": "answers.name"})
    assert found(wrong, used, form=form) == [("TYPE_MISMATCH", f"{place}.born"), ("INPUT_UNKNOWN", f"{place}.other")]


def test_a_step_that_ends_licenses_says_whose_and_may_say_which_and_what_takes_their_place() -> None:
    made = license_step({"name": "'x'"})
    ended = {"holder_id": "applicant.id", "successor_id": "steps.made.output.license_id", "attributes": {"name": "'x'"}}

    def ends(given: Mapping[str, Any]) -> dict[str, Any]:
        return step("end", "license", license_type=LICENSE, ends=True, needs=["made"], input=dict(given))

    place = "steps.end.input"
    assert found(made, ends(ended)) == []
    assert found(made, ends({"holder_id": "applicant.id"})) == []
    assert found(made, ends({})) == [("INPUT_MISSING", place)]
    assert found(made, ends({**ended, "serial": "'A1'"})) == [("INPUT_UNKNOWN", f"{place}.serial")]
    assert found(made, ends({**ended, "successor_id": "'A1'"})) == [("TYPE_MISMATCH", f"{place}.successor_id")]
    other = {**ended, "attributes": {"born": "'x'", "other": "'x'"}}
    assert found(made, ends(other)) == [
        ("TYPE_MISMATCH", f"{place}.attributes.born"),
        ("INPUT_UNKNOWN", f"{place}.attributes.other"),
    ]


def test_each_choice_of_an_enum_has_to_fit() -> None:
    choices = [{"value": value, "title": TITLE} for value in ("male", "female", "unknown")]
    form = (
        field("name", required=True, means="newborn.name"),
        field("sex", "enum", required=True, choices=choices, means="newborn.sex"),
    )
    made = license_step({"name": "answers.name", "sex": "answers.sex"})
    assert found(made, form=form) == [("TYPE_MISMATCH", "steps.made.input.attributes.sex")]
    mapped = license_step({"name": "answers.name", "sex": "answers.sex == 'male' ? 'male' : 'female'"})
    assert found(mapped, form=form) == []


def test_a_license_type_and_a_resource_must_be_known() -> None:
    unknown = license_step({"name": "'x'"}) | {"license_type": "2" * 21}
    assert found(unknown) == [("LICENSE_TYPE_UNKNOWN", "steps.made")]
    assert found(step("a", "fetch", resource="999/1")) == [("RESOURCE_UNKNOWN", "steps.a")]
    assert found(step("a", "fetch", fields=["nothing"])) == [("RESOURCE_UNKNOWN", "steps.a")]
    two = {"subject_id": "applicant.id", "number": "'1'"}
    assert found(step("a", "fetch", input=two)) == [("INPUT_MISSING", "steps.a.input")]
    assert found(step("a", "verify", input={"shoe_size": "'42'"})) == [("INPUT_UNKNOWN", "steps.a.input.shoe_size")]


def test_a_prefill_comes_from_a_field_that_there_is_and_that_fits() -> None:
    def prefilled(name: str) -> tuple[dict[str, Any], ...]:
        source = {"source": "exchange", "resource": "307001/000001", "agency": "hospital", "basis": "PIPL art. 13"}
        return (field("x", prefill={**source, "field": name}),)

    used = step("a", input={"x": "answers.x"})
    assert found(used, form=prefilled("spouse_name")) == []
    assert found(used, form=prefilled("shoe_size")) == [("RESOURCE_UNKNOWN", "form.x.prefill")]
    assert found(used, form=prefilled("marriage_date")) == [("TYPE_MISMATCH", "form.x.prefill")]


def test_an_expression_that_fails_where_a_value_is_missing_would_park_the_case() -> None:
    asked = step("asked", "fetch", fields=["children"])
    over = [{"test": "steps.asked.output.children > 1", "reason": "TOO_FEW", "message": TITLE}]
    assert found(asked, step("rule", "decide", needs=["asked"], rules=over)) == [
        ("EXPRESSION_MAY_FAIL", "steps.rule.rules.0.test")
    ]
    careful = "steps.asked.output.children != '' && steps.asked.output.children > 1"
    over = [{"test": careful, "reason": "TOO_FEW", "message": TITLE}]
    assert found(asked, step("rule", "decide", needs=["asked"], rules=over)) == []


def test_a_condition_gives_true_or_false_and_runs_at_all() -> None:
    assert found(step("a", when="'yes'")) == [("TYPE_MISMATCH", "steps.a.when")]
    assert found(step("a", when="applicant.id > 3")) == [("TYPE_MISMATCH", "steps.a.when")]


def test_words_stand_in_both_languages_and_a_basis_names_its_law() -> None:
    same = {"zh": "Title", "en": "Title"}
    assert found(step("a", title=same)) == [("TEXT_UNTRANSLATED", "steps.a.title")]
    assert found(step("a", title={"zh": "题", "en": "题"})) == [("TEXT_UNTRANSLATED", "steps.a.title")]
    assert found(step("a"), basis="as usual") == [("BASIS_UNNAMED", "basis")]
    for basis in ("PIPL art. 13(1)(3)", "行政许可法第三十二条", "《婚姻登记条例》", "国办发〔2025〕24号"):
        assert found(step("a", basis=basis)) == []


def test_a_structure_that_does_not_hold_is_told_alone() -> None:
    assert found(step("a", needs=["b"]), step("b", needs=["a"], title={"zh": "x", "en": "x"})) == [
        ("STEP_CYCLE", "steps.a"),
        ("STEP_CYCLE", "steps.b"),
    ]


def test_a_role_that_nobody_has_is_found() -> None:
    assert found(step("a", agency="nobody")) == [("AGENCY_UNKNOWN", "steps.a.agency")]


def test_whoever_waits_for_a_signal_or_a_person_has_a_clock() -> None:
    waits = step("w", "wait", signal="arrived", agency="hospital")
    assert found(waits) == [("WAIT_UNBOUNDED", "steps.w")]
    assert found(waits | {"time_limit": "P30D"}) == []
    assert found(step("s", "sign", signer="applicant.id", time_limit="P30D")) == []
    assert found(step("s", "sign", signer="case.receipt", time_limit="P30D")) == [
        ("TYPE_MISMATCH", "steps.s.input.signer")
    ]


def test_what_a_signal_brings_may_be_missing_where_the_time_came_first() -> None:
    waits = step("w", "wait", signal="arrived", agency="hospital", duration="P10D", output={"count": "number"})
    over = [{"test": "steps.w.output.count > 1", "reason": "TOO_FEW", "message": TITLE}]
    assert found(waits, step("rule", "decide", needs=["w"], rules=over)) == [
        ("EXPRESSION_MAY_FAIL", "steps.rule.rules.0.test")
    ]


def test_a_material_that_proves_only_what_is_held_is_not_handed_in() -> None:
    words = {"title": TITLE, "basis": "PIPL art. 13", "seen_by": ["a"]}

    def asked(**more: Any) -> list[tuple[str, str]]:
        return found(step("a"), materials=[{"id": "extract", **words, **more}])

    held = ["applicant.birth_date"]
    assert asked() == [("MEANING_MISSING", "materials.extract")]
    assert asked(proves=held) == [("ONCE_ONLY", "materials.extract")]
    assert asked(proves=[*held, "shop.floor_plan"]) == []
    assert asked(proves=held, license_type=LICENSE) == []
    assert asked(proves=held, **ASKED) == []
