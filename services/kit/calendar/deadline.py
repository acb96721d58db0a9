# SPDX-License-Identifier: Apache-2.0
"""A deadline: terms and what has happened to it. Its state is a fold; what may happen next is decided here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from services.kit.calendar.days import ONE_DAY
from services.kit.calendar.terms import Terms
from services.kit.errors import Refusal
from services.kit.text import Text

EVENTS_MAX = 500
"""A clock that was stopped and started more often than this is nobody's honest clock."""
EXCLUDED_MAX = 366 * ONE_DAY


class DeadlineNotRunning(Refusal):
    """It is paused, kept, withdrawn or over: it can't be changed in this way."""


class DeadlineNotPaused(Refusal):
    """It runs, or has ended: there is nothing to resume."""


class ExtensionNotAllowed(Refusal):
    """Its terms have no extension, all of them were given, or this one is longer than they allow."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    at: AwareDatetime


class Started(_Event):
    """The day of this moment is day 0."""

    kind: Literal["started"] = "started"


class Paused(_Event):
    """From the day of this moment on nothing counts (hours: from this moment on)."""

    kind: Literal["paused"] = "paused"
    why: Text


class Resumed(_Event):
    """The day of this moment counts again (hours: from this moment on)."""

    kind: Literal["resumed"] = "resumed"


class Reset(_Event):
    """The whole limit runs anew: the day of this moment is day 0. Extensions that were given lapse with what they extended."""

    kind: Literal["reset"] = "reset"
    why: Text


class Extended(_Event):
    """So many units more; what was warned of is warned of anew."""

    kind: Literal["extended"] = "extended"
    amount: Annotated[int, Field(ge=1, le=1000)]
    why: Text


class Excluded(_Event):
    """Days that never count, first and last included: past or to come, e.g. those of an expert review."""

    kind: Literal["excluded"] = "excluded"
    first: date
    last: date
    why: Text


class Warned(_Event):
    """Warning number `number` (from 1) was told."""

    kind: Literal["warned"] = "warned"
    number: int


class Expired(_Event):
    """It was told that it is over: everything was due by `due`."""

    kind: Literal["expired"] = "expired"
    due: AwareDatetime


class Escalated(_Event):
    """Escalation number `number` (from 1) was told."""

    kind: Literal["escalated"] = "escalated"
    number: int


class Met(_Event):
    """What was awaited has happened, in time or late."""

    kind: Literal["met"] = "met"


class Withdrawn(_Event):
    """Nothing is awaited any more."""

    kind: Literal["withdrawn"] = "withdrawn"


Event = Started | Paused | Resumed | Reset | Extended | Excluded | Warned | Expired | Escalated | Met | Withdrawn
EVENTS: TypeAdapter[tuple[Event, ...]] = TypeAdapter(tuple[Annotated[Event, Field(discriminator="kind")], ...])


class State(StrEnum):
    """Where it stands."""

    RUNNING = "running"
    PAUSED = "paused"
    OVERDUE = "overdue"
    """It has expired and what was awaited is still awaited."""
    DEEMED = "deemed"
    """It has expired, and by that what was awaited counts as done."""
    MET = "met"
    WITHDRAWN = "withdrawn"


OPEN = frozenset({State.RUNNING, State.PAUSED, State.OVERDUE})


@dataclass(frozen=True, slots=True)
class Pause:
    """A time that doesn't count; without an end while it lasts."""

    begin: datetime
    end: datetime | None
    why: Text


@dataclass(frozen=True, slots=True)
class Standing:
    """The fold: what the count needs to know."""

    start: datetime
    total: int
    """Units of the limit and of the extensions given."""
    state: State = State.RUNNING
    pauses: tuple[Pause, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    extensions: int = 0
    warned: int = 0
    escalated: int = 0
    expired_due: datetime | None = None
    """The moment that was told as missed; it stays, whatever calendar comes later."""


@dataclass(frozen=True)
class Deadline:
    """Terms and history. Every change gives a new one; a moment before the last event counts as that of the last event."""

    terms: Terms
    events: tuple[Event, ...]
    standing: Standing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "standing", fold(self.terms, self.events))

    @classmethod
    def started(cls, terms: Terms, at: datetime) -> "Deadline":
        """Start: the day of `at` is day 0."""
        return cls(terms, (Started(at=at),))

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.standing.state

    def pause(self, at: datetime, why: Text) -> "Deadline":
        """Stop counting. `why` is a rule's words, never about a person. Raises DeadlineNotRunning."""
        self._must_run()
        return self._with(Paused(at=self._after(at), why=why))

    def resume(self, at: datetime) -> "Deadline":
        """Count on. Raises DeadlineNotPaused."""
        if self.state is not State.PAUSED:
            raise DeadlineNotPaused("The deadline is not paused.")
        return self._with(Resumed(at=self._after(at)))

    def reset(self, at: datetime, why: Text) -> "Deadline":
        """Count anew, also out of a pause. Raises DeadlineNotRunning."""
        if self.state not in {State.RUNNING, State.PAUSED}:
            self._must_run()
        return self._with(Reset(at=self._after(at), why=why))

    def extend(self, at: datetime, why: Text, amount: int | None = None) -> "Deadline":
        """Give more time, by default all that one extension may add. Raises DeadlineNotRunning, ExtensionNotAllowed."""
        self._must_run()
        most = self.terms.extension
        if most is None or self.standing.extensions >= self.terms.extensions_max:
            raise ExtensionNotAllowed(f"The deadline can be extended {self.terms.extensions_max} times.")
        amount = most.amount if amount is None else amount
        if not 1 <= amount <= most.amount:
            raise ExtensionNotAllowed(f"An extension adds 1 to {most.amount} {most.unit.value}.")
        return self._with(Extended(at=self._after(at), amount=amount, why=why))

    def exclude(self, at: datetime, first: date, last: date, why: Text) -> "Deadline":
        """Don't count these days, first and last included. Raises DeadlineNotRunning."""
        if self.state not in {State.RUNNING, State.PAUSED}:
            self._must_run()
        if not ONE_DAY <= last - first + ONE_DAY <= EXCLUDED_MAX:
            raise ValueError("An excluded period has 1 to 366 days.")
        return self._with(Excluded(at=self._after(at), first=first, last=last, why=why))

    def meet(self, at: datetime) -> "Deadline":
        """What was awaited has happened; again, or after the end, nothing changes."""
        return self._with(Met(at=self._after(at))) if self.state in OPEN else self

    def withdraw(self, at: datetime) -> "Deadline":
        """Nothing is awaited any more; again, or after the end, nothing changes."""
        return self._with(Withdrawn(at=self._after(at))) if self.state in OPEN else self

    def told(self, event: Warned | Expired | Escalated) -> "Deadline":
        """Note what was told; the desk does it."""
        return self._with(event.model_copy(update={"at": self._after(event.at)}))

    def _with(self, event: Event) -> "Deadline":
        if len(self.events) >= EVENTS_MAX:
            raise DeadlineNotRunning(f"A deadline has at most {EVENTS_MAX} events.")
        return Deadline(self.terms, (*self.events, event))

    def _after(self, at: datetime) -> datetime:
        return max(at, self.events[-1].at)

    def _must_run(self) -> None:
        if self.state is not State.RUNNING:
            raise DeadlineNotRunning(f"The deadline is {self.state.value}.")


def fold(terms: Terms, events: Sequence[Event]) -> Standing:
    """Give the standing that a history comes to; the first event is the start."""
    first, *rest = events
    if not isinstance(first, Started):
        raise ValueError("The first event of a deadline is its start.")  # noqa: TRY004 - the kind is the value here
    standing = Standing(first.at, terms.limit.amount)
    for event in rest:
        standing = _next(terms, standing, event)
    return standing


def _next(terms: Terms, now: Standing, event: Event) -> Standing:  # noqa: C901, PLR0911 - one arm for each kind of event
    match event:
        case Paused():
            return replace(now, state=State.PAUSED, pauses=(*now.pauses, Pause(event.at, None, event.why)))
        case Resumed():
            *before, last = now.pauses
            return replace(now, state=State.RUNNING, pauses=(*before, replace(last, end=event.at)))
        case Reset():
            return Standing(event.at, terms.limit.amount, excluded=now.excluded)
        case Extended():
            return replace(now, total=now.total + event.amount, extensions=now.extensions + 1, warned=0)
        case Excluded():
            return replace(now, excluded=(*now.excluded, event))
        case Warned():
            return replace(now, warned=event.number)
        case Expired():
            state = State.OVERDUE if terms.deemed is None else State.DEEMED
            return replace(now, state=state, expired_due=event.due)
        case Escalated():
            return replace(now, escalated=event.number)
        case Met():
            return replace(now, state=State.MET)
        case Withdrawn():
            return replace(now, state=State.WITHDRAWN)
        case Started():
            raise ValueError("A deadline starts once.")
