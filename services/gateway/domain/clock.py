# SPDX-License-Identifier: Apache-2.0
"""One clock of a case: a history over two limits, the promised one and that of the law. The kit counts them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from services.gateway.domain.history import (
    Bound,
    ClockEvent,
    ClockMove,
    ClockMoved,
    ClockRang,
    ClockRecounted,
    ClockStarted,
    Dates,
)
from services.kit.calendar import Deadline, Ringing, State

_ONGOING = frozenset({State.RUNNING, State.PAUSED, State.OVERDUE})
_COUNTING = frozenset({State.RUNNING, State.PAUSED})


@dataclass(frozen=True, slots=True)
class Clock:
    """What happened to it happened to both of its limits, each as far as it still runs."""

    step_id: str
    """Empty for a clock of the case as a whole."""
    deadlines: Mapping[Bound, Deadline]
    dates: Dates
    """As they were told last."""
    held_by: str = ""
    """Who has paused it, where it was a person."""

    @property
    def binding(self) -> Deadline:
        """The limit of the law, or the promise where there is no other."""
        return self.deadlines.get(Bound.STATUTORY) or self.deadlines[Bound.PROMISE]

    @property
    def open(self) -> bool:
        """Whether what it waits for is still awaited."""
        return self.binding.state in _ONGOING

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return any(each.state is State.PAUSED for each in self.deadlines.values())


def clock_name(step_id: str) -> str:
    """The name of a step's clock."""
    return f"step:{step_id}"


def clocks_after(clocks: Mapping[str, Clock], event: ClockEvent) -> dict[str, Clock]:
    """The fold of a case's clocks."""
    return {**clocks, event.clock: _after(clocks.get(event.clock), event)}


def _after(clock: Clock | None, event: ClockEvent) -> Clock:
    if isinstance(event, ClockStarted):
        started = {Bound(bound): Deadline.started(terms, event.since) for bound, terms in event.terms.items()}
        return Clock(event.step_id, started, event.dates)
    assert clock is not None, "A clock starts before anything else happens to it."
    match event:
        case ClockMoved():
            held = event.by if event.move is ClockMove.PAUSE else clock.held_by
            return replace(
                clock,
                deadlines={bound: moved(each, event) for bound, each in clock.deadlines.items()},
                dates=event.dates,
                held_by="" if event.move is ClockMove.RESUME else held,
            )
        case ClockRang():
            note = Ringing(event.bell, event.number, event.due).note(event.at)
            return replace(clock, deadlines={**clock.deadlines, event.bound: clock.deadlines[event.bound].told(note)})
        case ClockRecounted():
            return replace(clock, dates=event.dates)


def moved(deadline: Deadline, event: ClockMoved) -> Deadline:  # noqa: PLR0911 - one arm for each kind of move
    """The deadline after the move; unchanged where it doesn't run any more."""
    match event.move:
        case ClockMove.MEET:
            return deadline.meet(event.at)
        case ClockMove.WITHDRAW:
            return deadline.withdraw(event.at)
        case ClockMove.RESUME if deadline.state is State.PAUSED:
            return deadline.resume(event.at)
        case ClockMove.PAUSE if deadline.state is State.RUNNING and event.because is not None:
            return deadline.pause(event.at, event.because)
        case ClockMove.EXTEND if (
            deadline.state is State.RUNNING and event.because is not None and _extensible(deadline, event.amount)
        ):
            return deadline.extend(event.at, event.because, event.amount)
        case ClockMove.RESET if deadline.state in _COUNTING and event.because is not None:
            return deadline.reset(event.at, event.because)
        case ClockMove.EXCLUDE if deadline.state in _COUNTING and event.because is not None:
            first, last = date.fromisoformat(event.first), date.fromisoformat(event.last)
            return deadline.exclude(event.at, first, last, event.because)
        case _:
            return deadline


def _extensible(deadline: Deadline, amount: int) -> bool:
    most, given = deadline.terms.extension, deadline.standing.extensions
    return most is not None and given < deadline.terms.extensions_max and 1 <= amount <= most.amount
