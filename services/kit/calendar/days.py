# SPDX-License-Identifier: Apache-2.0
"""Working days: calendars as versioned data, one day at a time with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum

from services.kit.text import Text

CHINA = timezone(timedelta(hours=8))
"""China Standard Time has had no summer time since 1991: days of law are days there."""

ONE_DAY = timedelta(days=1)
_SATURDAY = 5


class Why(StrEnum):
    """Why a day counts or doesn't."""

    WORKING = "working"
    MAKE_UP = "make_up"
    """A weekend on which people work, for a holiday elsewhere."""
    NATURAL = "natural"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    PAUSED = "paused"
    EXCLUDED = "excluded"
    ROLLED = "rolled"
    """The last day of natural days was no working day, so the next one is the last."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a calendar says of one day."""

    works: bool
    why: Why
    occasion: Text | None = None
    """The holiday, or the one that a make-up day is for."""
    provisional: bool = False
    """No notice covers the year: only what the law itself fixes was taken into account."""


_WORKING = Day(works=True, why=Why.WORKING)
_WEEKEND = Day(works=False, why=Why.WEEKEND)
_WORKING_MAYBE = Day(works=True, why=Why.WORKING, provisional=True)
_WEEKEND_MAYBE = Day(works=False, why=Why.WEEKEND, provisional=True)


@dataclass(frozen=True)
class Calendar:
    """The working days of one jurisdiction, in one version. `exceptions` are the days that aren't as their weekday says."""

    name: str
    version: int
    title: Text
    source: str
    years: frozenset[int]
    """Those that are published."""
    exceptions: Mapping[date, Day]
    known_by_law: Mapping[tuple[int, int], Text]
    """(month, day) that is a holiday in every year."""

    def day(self, day: date) -> Day:
        """Say whether people work on it, and why."""
        if day.year in self.years:
            return self.exceptions.get(day) or (_WORKING if day.weekday() < _SATURDAY else _WEEKEND)
        if (holiday := self.known_by_law.get((day.month, day.day))) is not None:
            return Day(works=False, why=Why.HOLIDAY, occasion=holiday, provisional=True)
        return _WORKING_MAYBE if day.weekday() < _SATURDAY else _WEEKEND_MAYBE


def local_date(moment: datetime) -> date:
    """Give the day in China."""
    return moment.astimezone(CHINA).date()


def dawn(day: date) -> datetime:
    """Give the moment at which a day begins in China; the end of a day is the dawn of the next."""
    return datetime(day.year, day.month, day.day, tzinfo=CHINA)
