# SPDX-License-Identifier: Apache-2.0
"""The people whom the matters are tried with: families like any other of the city, with days of birth that count."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from sandbox import numbers
from sandbox.city import City, Enrollment, Family, Household, Marriage, Resident
from services.kit.yaml import load_yaml

PATH = Path(__file__).with_name("cast.yaml")
_ENROLLED = date(2019, 1, 7)
_REFERENCE = re.compile(r"\{([a-z]+-[0-9]+)(\.name)?\}")


@dataclass(frozen=True, slots=True)
class Cast:
    """Who they are, by key."""

    families: tuple[Family, ...]
    people: Mapping[str, Resident]
    titles: Mapping[str, tuple[str, str]]
    """Chinese and English, of those who have an account."""

    def told(self, text: str) -> str:
        """A text of an office or a script: `{parent-1}` is her number, `{parent-1.name}` her name."""
        return _REFERENCE.sub(self._referred, text)

    def _referred(self, match: re.Match[str]) -> str:
        person = self.people[match[1]]
        return person.name if match[2] else person.number


@cache
def cast() -> Cast:
    """Read the file; the same people at every look."""
    rows = load_yaml(PATH.read_text(encoding="utf-8"))["households"]
    used: dict[tuple[date, bool], int] = {}
    people = {row["key"]: _resident(row, each["number"], used) for each in rows for row in each["people"]}
    titles = {
        row["key"]: (row["title"]["zh"], row["title"]["en"])
        for each in rows
        for row in each["people"]
        if "title" in row
    }
    return Cast(tuple(_family(each, index, people) for index, each in enumerate(rows)), people, titles)


def peopled(city: City) -> City:
    """The city with the cast among its families."""
    return replace(city, families=(*city.families, *cast().families))


def _resident(row: Mapping[str, Any], household: str, used: dict[tuple[date, bool], int]) -> Resident:
    born, male = date.fromisoformat(row["born"]), row["sex"] == "male"
    sequence = numbers.next_sequence(used.get((born, male), 0), male=male)
    used[born, male] = sequence
    return Resident(
        number=numbers.citizen_number(born, sequence),
        name=row["name"],
        male=male,
        birth_date=born,
        phone="",
        household_number=household,
        relation=row["relation"],
    )


def _family(row: Mapping[str, Any], index: int, people: Mapping[str, Resident]) -> Family:
    residents = tuple(people[each["key"]] for each in row["people"])
    marriage = None
    if couple := row.get("marriage"):
        husband, wife = people[couple["husband"]], people[couple["wife"]]
        marriage = Marriage(
            certificate_number=f"J{numbers.REGION}-{couple['date'][:4]}-9{index:05d}",
            husband_number=husband.number,
            husband_name=husband.name,
            wife_number=wife.number,
            wife_name=wife.name,
            marriage_date=date.fromisoformat(couple["date"]),
            status="valid",
        )
    return Family(
        household=Household(row["number"], row["address"], residents[0].number),
        residents=residents,
        marriage=marriage,
        enrollments=tuple(Enrollment(one.number, "employee", "active", _ENROLLED) for one in residents),
        flaws=(),
    )
