# SPDX-License-Identifier: Apache-2.0
"""Figures of cases that have ended."""

from pydantic import Field

from services.gateway.rest.shapes.base import Agency, Shape, Words

_FEW = "null where there are fewer than five"


class Share(Shape):
    """Times and dates of so many."""

    number: int
    median_seconds: float | None = Field(description=f"Half take no longer, within a twentieth; {_FEW}.")
    p90_seconds: float | None = Field(description=f"Nine in ten take no longer; {_FEW}.")
    on_time: float | None = Field(description=f"Share for which no limit ran out, 0 to 1; {_FEW}.")


class DepartmentFigures(Shape):
    """One department's steps in a matter."""

    department: Agency
    steps: Share


class MatterFigures(Shape):
    """One matter."""

    matter: str = Field(examples=["birth"])
    title: Words
    cases: Share = Field(description="From submission to end.")
    outcomes: dict[str, int] = Field(examples=[{"completed": 41, "refused": 2}])
    fields: int = Field(description="Questions of the forms of these cases, added up.")
    filled: int = Field(description="Those of them that departments had filled, and the resident left so.")
    not_asked: float | None = Field(description=f"The share of the two, 0 to 1; {_FEW} cases.")
    materials: int = Field(description="Materials that these cases needed, added up.")
    materials_spared: int = Field(
        description="Those that nobody handed in: a license or a department's fact stood for them."
    )
    visits_saved: int = Field(description="Departments that did their part without a visit, added up over the cases.")
    departments: list[DepartmentFigures]


class Comparator(Shape):
    """What is published for the whole country."""

    name: str = Field(examples=["materials"])
    reduction: float = Field(description="By how much it became less, 0 to 1.")
    what: Words


class Statistics(Shape):
    """Figures from day to day."""

    first: str = Field(alias="from", description="First day (China), YYYY-MM-DD.", examples=["2026-09-01"])
    last: str = Field(alias="to", description="Last day.", examples=["2026-11-23"])
    matters: list[MatterFigures] = Field(description="Matters of which a case has ended, by code.")
    comparators: list[Comparator]
