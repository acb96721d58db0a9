# SPDX-License-Identifier: Apache-2.0
"""Data sets and tables of made-up people, for tests of open data."""

from dataclasses import replace
from typing import Any

from services.exchange.domain.metadata import Opening, UpdateCycle
from services.exchange.domain.opendata.dataset import (
    About,
    Column,
    Dataset,
    Form,
    License,
    Role,
    Theme,
)  # fmt: skip
from services.exchange.domain.opendata.source import FileSource
from services.exchange.domain.opendata.steps import Step, StepKind
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity
from tests.support.exchange_world import household

PEOPLE = "307009/000001"
KEEP, ALL = Step(StepKind.KEEP), Step(StepKind.EVERYTHING)
DATES = (Step(StepKind.MONTH), Step(StepKind.QUARTER), Step(StepKind.YEAR), Step(StepKind.DECADE), ALL)
REGIONS = (Step(StepKind.REGION, digits=6), Step(StepKind.REGION, digits=4), ALL)
BANDS = (Step(StepKind.BAND, width=5), Step(StepKind.BAND, width=10), Step(StepKind.BAND, width=50), ALL)
_FIELDS = {
    "number": Sensitivity.SENSITIVE,
    "name": Sensitivity.PERSONAL,
    "birth_date": Sensitivity.PERSONAL,
    "region": Sensitivity.PERSONAL,
    "age": Sensitivity.PERSONAL,
    "illness": Sensitivity.SENSITIVE,
    "kind": Sensitivity.GENERAL,
    "visits": Sensitivity.GENERAL,
}


def people() -> Resource:
    """A register of people."""
    fields = tuple(ResourceField(name, "字段", name, sensitivity) for name, sensitivity in _FIELDS.items())
    return replace(household(), code=PEOPLE, fields=fields)


def column(name: str, *steps: Step, role: Role = Role.DIMENSION) -> Column:
    return Column(name, "列", name, role, steps or (KEEP,))


def dataset(*columns: Column, **changes: Any) -> Dataset:
    """An entry of the opening list."""
    given = Dataset(
        dataset="people-by-month",
        resource=PEOPLE,
        title_zh="按月统计",
        title_en="People by month",
        description_zh="说明",
        description_en="A description.",
        keywords=("人口", "people"),
        theme=Theme.SOCI,
        cycle=UpdateCycle.MONTHLY,
        license=License.CC_BY_4,
        opening=Opening.UNCONDITIONAL,
        opening_reason="",
        basis="PIPL art. 73(4); Data Security Law art. 42",
        about=About.PERSONS,
        form=Form.RECORDS,
        columns=columns or (column("birth_date", *DATES), column("region", *REGIONS)),
        k=5,
        diversity=1,
        suppress_percent_max=5,
        source=FileSource("people.csv"),
    )
    return replace(given, **changes)
