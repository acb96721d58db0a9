# SPDX-License-Identifier: Apache-2.0
"""What people may do to a clock: stop it, let it run on, anew or longer, or leave days out; each with its reason in words."""

from dataclasses import replace
from datetime import date, datetime
from typing import Final

from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.clock import Clock, moved
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.clocks import Desk, bells
from services.gateway.domain.history import ClockMove, ClockMoved, Dates, Event
from services.gateway.domain.refusals import ApproverNeeded, ClockBusy, ClockHeldByLaw, ClockNotFound, DaysInvalid
from services.kit.calendar import Deadline, DeadlineNotRunning, State
from services.kit.text import Text

MOVES_MAX: Final = 100
"""By people, for one clock: far below what a deadline can hold, so that what must happen to it always can."""
DAYS_MAX: Final = 366


def pause(
    rules: ClockRules, state: CaseState, clock: str, because: Text, *, by: str, now: datetime
) -> tuple[Event, ...]:
    """From today on nothing counts. Raises ClockNotFound, DeadlineNotRunning."""
    return _moved(rules, state, ClockMoved(now, clock, ClockMove.PAUSE, Dates(), because=because, by=by))


def resume(rules: ClockRules, state: CaseState, clock: str, *, by: str, now: datetime) -> tuple[Event, ...]:
    """Today counts again. Raises ClockNotFound, DeadlineNotPaused, ClockHeldByLaw."""
    return _moved(rules, state, ClockMoved(now, clock, ClockMove.RESUME, Dates(), by=by))


def reset(
    rules: ClockRules, state: CaseState, clock: str, because: Text, *, by: str, now: datetime
) -> tuple[Event, ...]:
    """Today is day 0 again. Raises ClockNotFound, DeadlineNotRunning."""
    return _moved(rules, state, ClockMoved(now, clock, ClockMove.RESET, Dates(), because=because, by=by))


def extend(
    rules: ClockRules,
    state: CaseState,
    clock: str,
    because: Text,
    *,
    days: int,
    approved_by: str,
    by: str,
    now: datetime,
) -> tuple[Event, ...]:
    """So many days more, approved by the head of the body, who is somebody else; the applicant is told why (art. 42).

    Raises:
        ClockNotFound, DeadlineNotRunning, ExtensionNotAllowed.
        ApproverNeeded: nobody approved, or whoever asks did.
    """
    if not approved_by or approved_by == by:
        raise ApproverNeeded("An extension is approved by the head of the body, not by whoever asks for it.")
    move = ClockMoved(
        now, clock, ClockMove.EXTEND, Dates(), because=because, amount=days, by=by, approved_by=approved_by
    )
    return _moved(rules, state, move)


def exclude(
    rules: ClockRules, state: CaseState, clock: str, because: Text, *, first: date, last: date, by: str, now: datetime
) -> tuple[Event, ...]:
    """These days never count, first and last included (art. 45). Raises ClockNotFound, DeadlineNotRunning, DaysInvalid."""
    if not 0 <= (last - first).days < DAYS_MAX:
        raise DaysInvalid(f"1 to {DAYS_MAX} days, first and last included.")
    move = ClockMoved(
        now,
        clock,
        ClockMove.EXCLUDE,
        Dates(),
        because=because,
        first=first.isoformat(),
        last=last.isoformat(),
        by=by,
    )
    return _moved(rules, state, move)


def _moved(rules: ClockRules, state: CaseState, move: ClockMoved) -> tuple[Event, ...]:
    """Tell first what has run out, in the whole case; then do it, if what is left of the clock allows it."""
    rang = bells(rules, state, move.at)
    desk = Desk(rules, fold(rang, state).clocks, move.at)
    clock = desk.clocks.get(move.clock)
    if clock is None:
        raise ClockNotFound("The case has no such clock, or it has not started.")
    _allowed(clock, move)
    desk.move(replace(move, step_id=clock.step_id))
    return (*rang, *desk.events)


def _allowed(clock: Clock, move: ClockMoved) -> None:
    if not clock.open:
        raise DeadlineNotRunning(f"The clock is {clock.binding.state.value}.")
    if len(clock.binding.events) > MOVES_MAX:
        raise ClockBusy(f"A clock is moved at most {MOVES_MAX} times.")
    if move.move is ClockMove.RESUME and clock.paused and not clock.held_by:
        raise ClockHeldByLaw("A rule has stopped the clock; it runs on when that rule's time is over.")
    if all(moved(each, move) == each for each in clock.deadlines.values()):
        _refuse(_running(clock), move)


def _running(clock: Clock) -> Deadline:
    """The limit whose refusal says most: one that is not over."""
    going = (each for each in clock.deadlines.values() if each.state is not State.OVERDUE)
    return next(going, clock.binding)


def _refuse(deadline: Deadline, move: ClockMoved) -> None:
    """Let the kit say what is so."""
    because = move.because or Text("-", "-")
    match move.move:
        case ClockMove.RESUME:
            deadline.resume(move.at)
        case ClockMove.EXTEND:
            deadline.extend(move.at, because, move.amount)
        case _:
            deadline.pause(move.at, because)
    raise DeadlineNotRunning(f"The clock is {deadline.state.value}.")
