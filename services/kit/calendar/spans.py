# SPDX-License-Identifier: Apache-2.0
"""Runs of days, or stretches of hours, that count or don't for one reason."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from services.kit.calendar.days import ONE_DAY, Day, Why, dawn
from services.kit.text import Text

_COUNTED = frozenset({Why.WORKING, Why.MAKE_UP, Why.NATURAL})


@dataclass(frozen=True, slots=True)
class Span:
    """One run. `begin` is its first moment, `end` the first after it."""

    begin: datetime
    end: datetime
    why: Why
    occasion: Text | None
    first: int
    """Number of the first unit counted in it; 0 where nothing counts."""
    last: int
    provisional: bool

    @property
    def counts(self) -> bool:
        """Whether its days, or its hours, count."""
        return self.why in _COUNTED

    @property
    def first_day(self) -> date:
        """The first day."""
        return self.begin.date()

    @property
    def last_day(self) -> date:
        """The last day."""
        return (self.end - ONE_DAY).date()


class Spans:
    """Gathers days into spans."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, day: date, seen: Day, *, number: int) -> None:
        """Add the next day; `number` is what it counts as, 0 where it doesn't."""
        begin = dawn(day)
        last = self._spans[-1] if self._spans else None
        same = last is not None and (last.why, last.occasion, last.provisional) == (
            seen.why,
            seen.occasion,
            seen.provisional,
        )
        if last is not None and same:
            self._spans[-1] = replace(last, end=begin + ONE_DAY, last=number)
        else:
            span = Span(begin, begin + ONE_DAY, seen.why, seen.occasion, number, number, provisional=seen.provisional)
            self._spans.append(span)

    def made(self) -> tuple[Span, ...]:
        """Give what was gathered."""
        return tuple(self._spans)
