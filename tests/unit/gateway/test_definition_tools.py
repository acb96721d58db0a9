# SPDX-License-Identifier: Apache-2.0
"""A definition drawn, compared and described for editors."""

import json
from xml.etree import ElementTree as ET

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from services.gateway.definitions.diff import changes
from services.gateway.definitions.draw import draw
from services.gateway.definitions.layout import layout
from services.gateway.definitions.schema import schema_text
from services.gateway.domain.definition import Matter
from services.gateway.domain.problems import DefinitionInvalid
from services.kit.text import Text
from tests.support.gateway_matters import BIRTH, definition, field, step

SVG = "{http://www.w3.org/2000/svg}"
NAMES = {"hospital": Text("医院", "Hospital <1>"), "police": Text("公安", "Police")}


def matter(*steps: dict[str, object], **more: object) -> Matter:
    return Matter.model_validate(definition(*steps, **more))  # type: ignore[arg-type]


def test_the_published_schema_is_that_of_the_code() -> None:
    assert (BIRTH.parent / "schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_schema_accepts_what_ships_and_finds_a_misspelled_key() -> None:
    validator = Draft202012Validator(json.loads(schema_text()))
    for path in BIRTH.parent.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "# yaml-language-server: $schema=schema.json" in text, path.name
        validator.validate(yaml.safe_load(text))
    assert list(validator.iter_errors(definition(step("a", neds=["b"]))))


def test_a_drawing_is_the_same_each_time_and_names_every_step_and_agency() -> None:
    made = matter(step("a"), step("b", agency="police", needs=["a"], optional=True), step("c", "notify", after=["b"]))
    drawn = draw(made, NAMES)
    assert drawn == draw(made, NAMES)
    root = ET.fromstring(drawn)
    assert root.get("role") == "img"
    words = [one.text for one in root.iter() if one.text]
    assert {"医院", "Hospital <1>", "公安", "办件引擎"} <= set(words)
    assert [title.text for title in root.iter(f"{SVG}title")] == [
        "题 Title",
        *(f"{name}: 题 Title" for name in ("a", "b", "c")),
    ]
    assert len(root.findall(f"{SVG}path[@class='need']")) == 1
    assert len(root.findall(f"{SVG}path[@class='after']")) == 1
    assert "Title, after Title." in str(root.findtext(f"{SVG}desc"))


def test_no_two_steps_share_a_place_and_each_stands_behind_what_it_waits_for() -> None:
    birth = Matter.model_validate(yaml.safe_load(BIRTH.read_text(encoding="utf-8")))
    placed = layout(birth)
    assert len(set(placed.places.values())) == len(birth.steps)
    for one in birth.steps:
        for other in (*one.needs, *one.after):
            assert placed.places[other].column < placed.places[one.id].column


def test_what_has_no_order_is_not_drawn() -> None:
    with pytest.raises(DefinitionInvalid):
        draw(matter(step("a", needs=["b"]), step("b", needs=["a"])), NAMES)


def test_a_comparison_tells_each_value_and_whom_it_concerns() -> None:
    before = matter(step("a", time_limit="P5D"), step("b"), form=(field("x"), field("y", required=True)))
    after = matter(step("a", time_limit="P10D"), step("c", agency="police"), form=(field("y"), field("x")))
    found = {(one.where, one.whom): (one.before, one.after) for one in changes(before, after)}
    assert found["steps.a.time_limit", "hospital"] == ("P5D", "P10D")
    assert found["form.y.required", "resident"] == ("true", "")
    assert found["steps.c.agency", "police"] == ("", "police")
    assert found["steps.b.agency", "hospital"] == ("hospital", "")
    assert not any(where.startswith("form.x") for where, _ in found)
    assert changes(before, before) == ()
    assert "~ steps.a.time_limit [hospital]: P5D -> P10D" in map(str, changes(before, after))


def test_two_long_values_that_differ_only_at_their_end_are_a_change() -> None:
    long = "answers.x == '" + "y" * 300
    before, after = (matter(step("a", when=f"{long}{end}'"), form=(field("x"),)) for end in "12")
    (change,) = changes(before, after)
    assert change.where == "steps.a.when"
    assert len(str(change)) < 300
