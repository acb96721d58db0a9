# SPDX-License-Identifier: Apache-2.0
"""What whoever is refused may do about it: a refusal says so itself (Licensing Law, art. 38)."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import Field

from services.gateway.domain.parts import Basis, Part
from services.kit.text import Text

_MONTHS = 12


class Redress(Part):
    """Where one turns to, and how long one may. The numbers were not compared with the texts of the laws."""

    reconsideration: Text = Text(
        "作出决定的部门的本级人民政府（行政复议机构）",
        "The people's government of the department that decided (its reconsideration body)",
    )
    reconsideration_days: int = Field(default=60, ge=1, le=366)
    """Natural days after the decision was told."""
    reconsideration_basis: Basis = "Administrative Reconsideration Law (2023), art. 20"
    court: Text = Text("有管辖权的人民法院", "The people's court that has jurisdiction")
    court_months: int = Field(default=6, ge=1, le=24)
    court_basis: Basis = "Administrative Litigation Law (2017), art. 46"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way to have a refusal looked at again."""

    kind: str
    """`reconsideration` or `litigation`."""
    where: Text
    until: date
    """The last day, in China; a last day on a holiday may be later by law, never earlier."""
    basis: str


def remedies(redress: Redress, told: date) -> tuple[Remedy, ...]:
    """What is open to the applicant of a case that was refused on a day (China)."""
    return (
        Remedy(
            "reconsideration",
            redress.reconsideration,
            told + timedelta(days=redress.reconsideration_days),
            redress.reconsideration_basis,
        ),
        Remedy("litigation", redress.court, months_after(told, redress.court_months), redress.court_basis),
    )


def months_after(day: date, months: int) -> date:
    """The same day of a later month; its last one where it has no such day."""
    years, month = divmod(day.month - 1 + months, _MONTHS)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
