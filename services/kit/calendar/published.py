# SPDX-License-Identifier: Apache-2.0
"""Calendars as they are published: files that a person edits once a year."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.kit.calendar.days import ONE_DAY, Calendar, Day, Why
from services.kit.errors import StartupError
from services.kit.text import Text
from services.kit.yaml import YAMLError, load_yaml

FOLDER = Path(__file__).parent / "calendars"
_DAYS = "^[0-9]{2}-[0-9]{2}([.][.][0-9]{2}-[0-9]{2})?$"

Jurisdiction = Annotated[str, Field(pattern="^[A-Za-z0-9-]{0,20}$")]
Occasion = Annotated[str, Field(pattern="^[a-z_]{1,40}$")]
Days = Annotated[list[Annotated[str, Field(pattern=_DAYS)]], Field(min_length=1, max_length=20)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Year(_File):
    holidays: dict[Occasion, Days]
    workdays: dict[Occasion, Days]


class _Calendar(_File):
    name: Annotated[str, Field(pattern="^[a-z0-9_-]{1,20}$")]
    version: Annotated[int, Field(ge=1)]
    title: Text
    jurisdictions: Annotated[list[Jurisdiction], Field(min_length=1)]
    source: Annotated[str, Field(min_length=10)]
    known_by_law_source: Annotated[str, Field(min_length=10)]
    known_by_law: dict[Occasion, Days]
    occasions: dict[Occasion, Text]
    years: dict[Annotated[int, Field(ge=1949, le=9998)], _Year]

    def built(self) -> Calendar:
        exceptions: dict[date, Day] = {}
        for number, year in self.years.items():
            for listed, works in ((year.holidays, False), (year.workdays, True)):
                for occasion, day in _listed(number, listed):
                    if day in exceptions:
                        raise ValueError(f"{day} is listed twice")
                    why = Why.MAKE_UP if works else Why.HOLIDAY
                    exceptions[day] = Day(works=works, why=why, occasion=self.occasions[occasion])
        leap = 2000
        law = {(day.month, day.day): self.occasions[name] for name, day in _listed(leap, self.known_by_law)}
        return Calendar(self.name, self.version, self.title, self.source, frozenset(self.years), exceptions, law)


class Calendars:
    """Which calendar holds where: the one with the longest prefix of a jurisdiction, e.g. `65` before the empty one."""

    def __init__(self, calendars: Mapping[str, Calendar]) -> None:
        """`calendars`: by prefix."""
        if "" not in calendars:
            raise StartupError("No calendar says that it holds wherever no other does.")
        self._by_prefix = dict(sorted(calendars.items(), key=lambda each: -len(each[0])))

    def of(self, jurisdiction: str) -> Calendar:
        """Give the calendar of a jurisdiction, e.g. a region's six digits."""
        return next(calendar for prefix, calendar in self._by_prefix.items() if jurisdiction.startswith(prefix))

    def versions(self) -> Mapping[str, int]:
        """Give the version of each calendar by name."""
        return {calendar.name: calendar.version for calendar in self._by_prefix.values()}


@cache
def published(folder: Path = FOLDER) -> Calendars:
    """Read the calendars of a folder (`*.yaml`), once in a process. Raises StartupError, which names the file."""
    by_prefix: dict[str, Calendar] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            read = _Calendar.model_validate(load_yaml(path.read_text(encoding="utf-8")))
            calendar = read.built()
        except (ValidationError, ValueError, KeyError, YAMLError) as error:
            raise StartupError(f"The calendar {path.name} can't be used: {error}") from error
        for prefix in read.jurisdictions:
            if prefix in by_prefix:
                raise StartupError(f"Two calendars hold for the jurisdiction {prefix!r}.")
            by_prefix[prefix] = calendar
    return Calendars(by_prefix)


def _listed(year: int, listed: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, date]]:
    for occasion, ranges in listed.items():
        for each in ranges:
            first, _, last = each.partition("..")
            day, end = (date.fromisoformat(f"{year}-{text}") for text in (first, last or first))
            if end < day:
                raise ValueError(f"{each} of {year} ends before it begins")
            while day <= end:
                yield occasion, day
                day += ONE_DAY
