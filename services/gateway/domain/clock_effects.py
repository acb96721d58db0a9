# SPDX-License-Identifier: Apache-2.0
"""What clocks ask of the world: the next bell, rows for lists, facts, and words for the applicant where the law wants them."""

from collections.abc import Sequence
from datetime import datetime

from services.gateway.domain.case import CaseState
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.clocks import next_bell
from services.gateway.domain.effects import WHOLE_CASE, ClockRow, Effects, Notice, Timer, TimerKind
from services.gateway.domain.facts import ClockChangedFact, ClockRangFact, Fact
from services.gateway.domain.history import (
    Bound,
    CaseAccepted,
    ClockEvent,
    ClockMove,
    ClockMoved,
    ClockRang,
    ClockRecounted,
    Event,
)
from services.gateway.domain.plan import Plan
from services.gateway.domain.wording import clock_title, clock_words
from services.kit.calendar import Bell, Reckoning, State

_CHANGES = {
    ClockMove.PAUSE: "paused",
    ClockMove.RESUME: "resumed",
    ClockMove.RESET: "reset",
    ClockMove.EXTEND: "extended",
    ClockMove.EXCLUDE: "excluded",
}
_ENDED = frozenset({State.MET, State.WITHDRAWN, State.DEEMED})


def clock_effects(
    rules: ClockRules, plan: Plan, case_id: str, *, seq: int, after: CaseState, events: Sequence[Event]
) -> Effects:
    """What these events ask for, as far as they are about clocks; `seq` is the number of the first of them."""
    moved = {event.clock: event for event in events if isinstance(event, ClockEvent)}
    if not moved:
        return Effects()
    rows = tuple(_row(rules, case_id, name, after, event.at) for name, event in moved.items())
    due = next_bell(rules, after)
    facts: list[Fact] = []
    notices: list[Notice] = []
    for number, event in enumerate(events, start=seq):
        if (fact := _fact(case_id, event)) is not None:
            facts.append(fact)
        if _concerns_applicant(event):
            words = clock_words(event, clock_title(plan.matter, event))
            notices.append(Notice(case_id, f"clock:{number}", after.applicant_id, words))
    timers = (Timer(case_id, WHOLE_CASE, TimerKind.CLOCK, 0, due),) if due is not None else ()
    return Effects(timers=timers, facts=tuple(facts), notices=tuple(notices), clocks=rows)


def clock_row(rules: ClockRules, case_id: str, name: str, state: CaseState) -> ClockRow:
    """How a clock that goes on stands."""
    return _row(rules, case_id, name, state, None)


def _row(rules: ClockRules, case_id: str, name: str, state: CaseState, at: datetime | None) -> ClockRow:
    clock = state.clocks[name]
    reckoned = rules.reckoned(clock)
    first: Reckoning = next(iter(reckoned.values()))
    return ClockRow(
        case_id=case_id,
        clock=name,
        step_id=clock.step_id,
        state=clock.binding.state.value,
        started=clock.binding.standing.start,
        ended=at if clock.binding.state in _ENDED else None,
        promised=reckoned[Bound.PROMISE].due if Bound.PROMISE in reckoned else None,
        due=reckoned[Bound.STATUTORY].due if Bound.STATUTORY in reckoned else None,
        calendar=first.calendar,
        calendar_version=first.version,
    )


def _fact(case_id: str, event: Event) -> Fact | None:
    match event:
        case ClockRang():
            return ClockRangFact(
                case_id, event.clock, event.step_id, event.bound.value, event.bell.value, event.number, event.due
            )
        case ClockMoved() if event.move in _CHANGES:
            return _changed(case_id, event, _CHANGES[event.move])
        case ClockRecounted():
            return _changed(case_id, event, "recounted")
        case _:
            return None


def _changed(case_id: str, event: ClockMoved | ClockRecounted, change: str) -> ClockChangedFact:
    promised, due = (event.dates.by.get(bound.value, "") for bound in (Bound.PROMISE, Bound.STATUTORY))
    return ClockChangedFact(
        case_id, event.clock, event.step_id, change, promised, due, provisional=event.dates.provisional
    )


def _concerns_applicant(event: Event) -> bool:
    """What the applicant is to be told: lateness (Business Environment Regulation, art. 36), what moves a date, and by which law."""
    match event:
        case CaseAccepted():
            return event.deemed
        case ClockRang():
            return event.bell is Bell.EXPIRY
        case ClockMoved():
            return event.move in _CHANGES
        case ClockRecounted():
            return event.before.by != event.dates.by
        case _:
            return False
