# SPDX-License-Identifier: Apache-2.0
"""The clocks of a case as people see them."""

from dataclasses import dataclass
from datetime import date, datetime

from services.gateway.domain.case import CaseState
from services.gateway.domain.clock import Clock
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.definition import Matter
from services.gateway.domain.history import Bound
from services.gateway.domain.wording import title_of
from services.kit.calendar import Deadline, Reckoning, Span, State, Unit, derivation
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class DaysView:
    """A run of days that count or don't, for one reason."""

    first: date
    last: date
    why: str
    """`working`, `make_up`, `natural`, `weekend`, `holiday`, `paused`, `excluded` or `rolled`."""
    occasion: Text | None
    """The holiday, or the rule's words."""
    counts: bool
    number_first: int
    """Number of the first day counted in it; 0 where none is."""
    number_last: int
    provisional: bool


@dataclass(frozen=True, slots=True)
class CountedView:
    """One limit of a clock, and how its end was counted."""

    bound: str
    """`promise` or `statutory`."""
    state: str
    """`running`, `paused`, `overdue`, `deemed`, `met` or `withdrawn`."""
    amount: int
    """With the extensions given."""
    unit: str
    due: datetime | None
    """The first moment that is too late; None while it is paused, or once it was withdrawn."""
    due_date: date | None
    """The last day, in China."""
    late: bool
    """It is over, or what it waits for came later than that."""
    basis: Text | None
    verified: bool
    """Whether the number was compared with the text of its basis."""
    extensions: int
    provisional: bool
    """It rests on a year whose holidays are not announced yet."""
    calendar: str
    calendar_version: int
    days: tuple[DaysView, ...]
    derivation: tuple[Text, ...]
    """The same in words, line by line."""


@dataclass(frozen=True, slots=True)
class ClockView:
    """A clock of the case as a whole, or of one step."""

    clock: str
    step_id: str
    title: Text
    open: bool
    paused: bool
    late: bool
    """Later than promised, or than the law allows."""
    since: datetime
    """Its day is day 0."""
    limits: tuple[CountedView, ...]


def clock_views(rules: ClockRules, matter: Matter, state: CaseState) -> tuple[ClockView, ...]:
    """Every clock of a case that has run, in the order in which they started."""
    return tuple(_clock(rules, matter, name, clock) for name, clock in state.clocks.items())


def _clock(rules: ClockRules, matter: Matter, name: str, clock: Clock) -> ClockView:
    limits = tuple(_counted(bound, each, rules.reckon(each)) for bound, each in clock.deadlines.items())
    return ClockView(
        clock=name,
        step_id=clock.step_id,
        title=title_of(matter, name, clock.step_id),
        open=clock.open,
        paused=clock.open and clock.paused,
        late=any(each.late for each in limits),
        since=clock.binding.standing.start,
        limits=limits,
    )


def _counted(bound: Bound, deadline: Deadline, reckoned: Reckoning) -> CountedView:
    terms, now = deadline.terms, deadline.standing
    return CountedView(
        bound=bound.value,
        state=deadline.state.value,
        amount=now.total,
        unit=terms.limit.unit.value,
        due=reckoned.due,
        due_date=reckoned.due_date,
        late=now.expired_due is not None and deadline.state is not State.DEEMED,
        basis=terms.basis,
        verified=terms.verified,
        extensions=now.extensions,
        provisional=reckoned.provisional,
        calendar=reckoned.calendar,
        calendar_version=reckoned.version,
        days=tuple(_days(each) for each in reckoned.spans) if terms.limit.unit is not Unit.HOURS else (),
        derivation=derivation(deadline, reckoned),
    )


def _days(span: Span) -> DaysView:
    return DaysView(
        first=span.first_day,
        last=span.last_day,
        why=span.why.value,
        occasion=span.occasion,
        counts=span.counts,
        number_first=span.first,
        number_last=span.last,
        provisional=span.provisional,
    )
