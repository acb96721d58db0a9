# SPDX-License-Identifier: Apache-2.0
"""When a grant answers: windows of the day in UTC+8, on every day or on working days only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final

from services.kit.calendar import CHINA, dawn

DAY_MINUTES: Final = 24 * 60
WINDOWS_MAX: Final = 10
_DAYS_AHEAD = 15  # Longer than any run of public holidays.

WorkingDay = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Window:
    """From one minute of the day up to, without, another: 540 to 1080 is 09:00 to 18:00."""

    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class Hours:
    """Windows in ascending order that don't overlap."""

    windows: tuple[Window, ...]
    working_days_only: bool = False

    @property
    def sound(self) -> bool:
        """Whether there is a window, and each begins after the one before has ended."""
        edges = [edge for each in self.windows for edge in (each.from_minute, each.to_minute)]
        ascending = all(before <= after for before, after in pairwise(edges))
        wide = all(each.from_minute < each.to_minute for each in self.windows)
        return (
            0 < len(self.windows) <= WINDOWS_MAX and ascending and wide and edges[0] >= 0 and edges[-1] <= DAY_MINUTES
        )


@dataclass(frozen=True, slots=True)
class Opening:
    """Hours with the calendar that says which days are working days."""

    hours: Hours
    is_working_day: WorkingDay

    def is_open(self, now: datetime) -> bool:
        """Tell whether questions are answered at this moment."""
        here = now.astimezone(CHINA)
        minute = here.hour * 60 + here.minute
        within = any(each.from_minute <= minute < each.to_minute for each in self.hours.windows)
        return within and self._on(here.date())

    def opens_in_seconds(self, now: datetime) -> float | None:
        """Give how long until the next window begins, None where none begins within two weeks."""
        here = now.astimezone(CHINA)
        for ahead in range(_DAYS_AHEAD):
            day = here.date() + timedelta(days=ahead)
            if not self._on(day):
                continue
            for each in self.hours.windows:
                begins = dawn(day) + timedelta(minutes=each.from_minute)
                if begins >= here:
                    return (begins - here).total_seconds()
        return None

    def _on(self, day: date) -> bool:
        return not self.hours.working_days_only or self.is_working_day(day)
