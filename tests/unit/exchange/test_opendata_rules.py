# SPDX-License-Identifier: Apache-2.0
"""An entry of the opening list whose rules could let a person through is refused when it is stored."""

from typing import Any

import pytest

from services.exchange.domain.metadata import Opening
from services.exchange.domain.opendata.dataset import (
    COUNT,
    About,
    Column,
    Form,
    Role,
    check_dataset,
)  # fmt: skip
from services.exchange.domain.opendata.source import FileSource, SqlSource
from services.exchange.domain.opendata.steps import Step, StepKind
from services.kit.errors import RequestInvalid
from tests.support.opendata import ALL, BANDS, DATES, KEEP, column, dataset, people

ILL = column("illness", role=Role.SENSITIVE)
MONTH, YEAR = Step(StepKind.MONTH), Step(StepKind.YEAR)


def faults(*columns: Column, **changes: Any) -> list[str]:
    try:
        check_dataset(dataset(*columns, **changes), people())
    except RequestInvalid as refused:
        return [each.field for each in refused.violations]
    return []


def test_a_sound_entry_is_taken() -> None:
    assert faults() == []
    assert faults(column("birth_date", *DATES), ILL, diversity=2) == []
    assert faults(column("kind"), column("visits", role=Role.MEASURE), form=Form.COUNTS) == []
    assert faults(column("kind"), about=About.THINGS, k=1) == []


@pytest.mark.parametrize("name", ["number", "name", "birth_date", "region", "age"])
def test_a_field_about_a_person_is_never_kept_as_it_is(name: str) -> None:
    assert faults(column(name)) == ["dataset.columns[0]"]
    assert faults(column(name, KEEP, ALL)) == ["dataset.columns[0]"]


def test_what_is_not_about_persons_has_no_field_about_a_person() -> None:
    assert faults(column("name", ALL), about=About.ORGANIZATIONS, k=1) == ["dataset.columns[0]"]
    assert faults(ILL, about=About.ORGANIZATIONS, k=1) == ["dataset.columns[0]"]


def test_measures_tell_nothing_about_a_person_and_stand_in_counts() -> None:
    assert faults(column("kind"), column("age", role=Role.MEASURE), form=Form.COUNTS) == ["dataset.columns[1]"]
    assert faults(column("visits", role=Role.MEASURE)) == ["dataset.columns[0]"]


@pytest.mark.parametrize(
    "steps",
    [
        (YEAR, MONTH), (MONTH, MONTH), (ALL, MONTH), (MONTH, KEEP), (MONTH, Step(StepKind.REGION, digits=4)),
        (Step(StepKind.REGION, digits=3),), (Step(StepKind.REGION, digits=4), Step(StepKind.REGION, digits=6)),
        (Step(StepKind.BAND, width=5), Step(StepKind.BAND, width=7)), (Step(StepKind.BAND, width=0),),
        (Step(StepKind.BAND, width=5, floor=9, ceiling=3),), (MONTH,) * 9,
        (Step(StepKind.BAND, width=5), Step(StepKind.BAND, width=10, ceiling=60)),
    ],
)  # fmt: skip
def test_steps_go_from_fine_to_coarse(steps: tuple[Step, ...]) -> None:
    assert faults(column("birth_date", *steps)) == ["dataset.columns[0]"]


def test_steps_of_bands_are_taken() -> None:
    assert faults(column("age", *BANDS)) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dataset": "No"}, "dataset"), ({"dataset": "a/b"}, "dataset"), ({"title_en": " "}, "title"),
        ({"basis": ""}, "basis"), ({"k": 4}, "k"), ({"k": 1001}, "k"), ({"diversity": 0}, "diversity"),
        ({"suppress_percent_max": 21}, "suppress_percent_max"), ({"keywords": ("",)}, "keywords"),
        ({"opening": Opening.CONDITIONAL}, "opening_reason"), ({"opening": Opening.CLOSED}, "opening_reason"),
        ({"source": FileSource("../etc/passwd")}, "source.file"), ({"source": FileSource("a.xlsx")}, "source.file"),
        ({"source": SqlSource("sqlite:////a", "DELETE FROM a")}, "source.statement"),
        ({"source": SqlSource("sqlite:////a", "SELECT 1; SELECT 2")}, "source.statement"),
        ({"source": SqlSource("file:///a", "SELECT 1")}, "source.url"),
    ],
)  # fmt: skip
def test_each_fault_is_named(changes: dict[str, Any], field: str) -> None:
    assert faults(**changes) == [f"dataset.{field}"]


def test_columns_are_fields_of_the_resource_each_once() -> None:
    assert faults(column("nowhere", ALL)) == ["dataset.columns[0]"]
    assert faults(column(COUNT, ALL)) == ["dataset.columns[0]"]
    assert faults(column("kind"), column("kind")) == ["dataset.columns[0]", "dataset.columns[1]"]


def test_a_sensitive_column_asks_for_diversity() -> None:
    assert faults(column("birth_date", *DATES), ILL, diversity=1) == ["dataset.diversity"]


def test_a_sensitive_column_is_kept_or_left_out() -> None:
    assert faults(column("birth_date", *DATES), column("illness", ALL, role=Role.SENSITIVE), diversity=2) == [
        "dataset.columns[1]"
    ]
