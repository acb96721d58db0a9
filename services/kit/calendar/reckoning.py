# SPDX-License-Identifier: Apache-2.0
"""When a deadline is due, and how that was counted: every day with its reason, runs of equal days as one span."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.kit.calendar.days import ONE_DAY, Calendar, Day, Why, dawn, local_date
from services.kit.calendar.deadline import Deadline, Escalated, Expired, Standing, State, Warned
from services.kit.calendar.hours import counted_until, uncounted
from services.kit.calendar.spans import Span, Spans
from services.kit.calendar.terms import Limit, Unit, Warn

DAYS_MAX = 250_000
"""More than all bounds of a deadline come to together: whoever counts so far ahead has made a mistake."""


class Bell(StrEnum):
    """What is told at a time."""

    WARNING = "warning"
    EXPIRY = "expiry"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True)
class Ringing:
    """A bell and when it rings; `number` counts those of its kind from 1."""

    bell: Bell
    number: int
    at: datetime

    def note(self, now: datetime) -> Warned | Expired | Escalated:
        """What the deadline's history keeps of its ringing."""
        match self.bell:
            case Bell.WARNING:
                return Warned(at=now, number=self.number)
            case Bell.EXPIRY:
                return Expired(at=now, due=self.at)
            case Bell.ESCALATION:
                return Escalated(at=now, number=self.number)


@dataclass(frozen=True)
class Reckoning:
    """What the count comes to."""

    due: datetime | None
    """The first moment that is too late; None while a pause lasts, or once the deadline was withdrawn."""
    due_date: date | None
    """The last day, in China."""
    spans: tuple[Span, ...]
    """The derivation, from the day after the start to the due date (hours: from the start to the due moment)."""
    ringings: tuple[Ringing, ...]
    """What is still to be told, in order."""
    provisional: bool
    """It rests on days of a year that isn't published yet: it may move when that year's calendar arrives."""
    calendar: str
    version: int

    @property
    def next(self) -> Ringing | None:
        """What is told next."""
        return self.ringings[0] if self.ringings else None


def reckon(deadline: Deadline, calendar: Calendar) -> Reckoning:
    """Count. The same deadline and calendar give the same answer, whenever and wherever it is asked for."""
    now = deadline.standing
    if now.state is State.WITHDRAWN:
        return Reckoning(None, None, (), (), provisional=False, calendar=calendar.name, version=calendar.version)
    if deadline.terms.limit.unit is Unit.HOURS:
        due, spans, reached = _hours(now, deadline.terms.warn)
    else:
        due, spans, reached = _days(now, deadline.terms.limit, deadline.terms.warn, calendar)
    last = None if due is None else local_date(due - timedelta(microseconds=1))
    return Reckoning(
        due,
        last,
        spans,
        _ringings(deadline, due, reached, calendar),
        provisional=any(span.provisional for span in spans),
        calendar=calendar.name,
        version=calendar.version,
    )


def _days(
    now: Standing, limit: Limit, warn: tuple[Warn, ...], calendar: Calendar
) -> tuple[datetime | None, tuple[Span, ...], list[datetime]]:
    """Walk day by day until all are counted; a pause that lasts ends the walk. 0 days end with the first day that counts, the start's own if it does."""
    spans = Spans()
    ends = [local_date(now.start)]  # ends[n]: the day on which n units are used
    for day in _from(ends[0] if now.total == 0 else ends[0] + ONE_DAY):
        found = _seen(now, limit, calendar, day)
        if found is None:
            return None, spans.made(), []
        if found.works:
            ends.append(day)
        spans.add(day, found, number=min(len(ends) - 1, now.total) if found.works else 0)
        if len(ends) > max(now.total, 1):
            break
    last = ends[-1]
    if limit.rolls and not calendar.day(last).works:
        last = _rolled(last, calendar, spans)
    warned = [dawn(ends[each.used(now.total)] + ONE_DAY) for each in warn]
    return dawn(last + ONE_DAY), spans.made(), warned


def _seen(now: Standing, limit: Limit, calendar: Calendar, day: date) -> Day | None:
    """Say how the day is counted in this deadline; None from the first day of a pause that lasts."""
    for pause in now.pauses:
        if local_date(pause.begin) <= day:
            if pause.end is None:
                return None
            if day < local_date(pause.end):
                return Day(works=False, why=Why.PAUSED, occasion=pause.why)
    for period in now.excluded:
        if period.first <= day <= period.last:
            return Day(works=False, why=Why.EXCLUDED, occasion=period.why)
    return calendar.day(day) if limit.unit is Unit.WORKING_DAYS else Day(works=True, why=Why.NATURAL)


def _rolled(last: date, calendar: Calendar, spans: Spans) -> date:
    for day in _from(last + ONE_DAY):
        found = calendar.day(day)
        if found.works:
            spans.add(day, Day(works=False, why=Why.ROLLED, provisional=found.provisional), number=0)
            return day
        spans.add(day, found, number=0)
    raise AssertionError("unreachable: every calendar has working days")


def _hours(now: Standing, warn: tuple[Warn, ...]) -> tuple[datetime | None, tuple[Span, ...], list[datetime]]:
    gaps = uncounted(now)
    due, spans = counted_until(now.start, gaps, timedelta(hours=now.total))
    if due is None:
        return None, spans, []
    reached = [counted_until(now.start, gaps, timedelta(hours=each.used(now.total)))[0] for each in warn]
    return due, spans, [each for each in reached if each is not None]


def _ringings(
    deadline: Deadline, due: datetime | None, warned: list[datetime], calendar: Calendar
) -> tuple[Ringing, ...]:
    """Give what is still to be told. What was told stays told, even if a later calendar would have told it later."""
    now, terms = deadline.standing, deadline.terms
    if now.state is State.RUNNING and due is not None:
        order = sorted(at for at in warned if at < due)
        left = [Ringing(Bell.WARNING, number, at) for number, at in enumerate(order, 1) if number > now.warned]
        return (*left, Ringing(Bell.EXPIRY, 1, due))
    if now.state is not State.OVERDUE:
        return ()
    assert now.expired_due is not None
    start = now.expired_due - timedelta(microseconds=1)  # the due date is day 0
    after = sorted(_end(start, each, calendar) for each in terms.escalate)
    return tuple(Ringing(Bell.ESCALATION, at, end) for at, end in enumerate(after, 1) if at > now.escalated)


def _end(start: datetime, limit: Limit, calendar: Calendar) -> datetime:
    standing = Standing(start, limit.amount)
    found = _hours(standing, ())[0] if limit.unit is Unit.HOURS else _days(standing, limit, (), calendar)[0]
    assert found is not None, "without pauses every count ends"
    return found


def _from(day: date) -> Iterator[date]:
    for ahead in range(DAYS_MAX):
        yield day + ahead * ONE_DAY
    raise OverflowError("No deadline is so long.")
