# SPDX-License-Identifier: Apache-2.0
"""When the clocks of a case start, stop and ring. Pure: the same plan, states and moment give the same events.

`clock_changes` compares a case before and after what has just happened, so that whoever adds an event need not know
the clocks; `bells` tells what has run out by a moment; `next_bell` says when to look again.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from services.gateway.domain.case import SETTLED, CaseState, StepState
from services.gateway.domain.clock import Clock, clock_name, clocks_after, moved
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.dealings import REVIEW, Extension, awaits_review
from services.gateway.domain.definition import Matter, Step, StepKind
from services.gateway.domain.history import (
    Bound,
    CaseAccepted,
    CaseOutcome,
    ClockEvent,
    ClockMove,
    ClockMoved,
    ClockRang,
    ClockRecounted,
    ClockStarted,
    Dates,
    Event,
)
from services.gateway.domain.limits import CaseClock, CaseLimit
from services.gateway.domain.plan import Plan
from services.kit.calendar import Deadline, State
from services.kit.text import Text

_UNDER_WAY = frozenset({StepState.RUNNING, StepState.RETRYING, StepState.UNAVAILABLE, StepState.PARKED})
_ANSWERED = frozenset({StepState.DONE, StepState.REFUSED, StepState.FAILED})
_HANDLED = frozenset({CaseOutcome.COMPLETED, CaseOutcome.REFUSED})
_HANDED_OVER = frozenset({StepKind.LICENSE, StepKind.NOTIFY})
_CORRECTING = Text("等待申请人补正", "waiting for the applicant's corrections")
_COMPLETED = Text("材料已补正，自收到之日起重新计算", "everything is there; counted anew from that day")


class Desk:
    """Gathers what follows for the clocks of one case at one moment."""

    def __init__(self, rules: ClockRules, clocks: Mapping[str, Clock], now: datetime) -> None:
        self.events: list[Event] = []
        self.clocks = dict(clocks)
        self._rules = rules
        self.now = now

    def start(self, name: str, limit: CaseLimit, since: datetime, step_id: str = "") -> None:
        """Start a clock."""
        terms = self._rules.terms(limit)
        started = {Bound(bound): Deadline.started(each, since) for bound, each in terms.items()}
        dates = self._rules.dates(Clock(step_id, started, Dates()))
        self._add(ClockStarted(self.now, str(name), since, terms, dates, step_id))

    def move(self, move: ClockMoved) -> None:
        """Do something to a clock: first tell what has run out, then do it, then say what it comes to."""
        self.ring(move.clock)
        clock = self.clocks[move.clock]
        if not clock.open:
            return
        after = clocks_after(self.clocks, move)[move.clock]
        self._add(
            ClockMoved(
                self.now,
                str(move.clock),
                move.move,
                self._rules.dates(after),
                clock.step_id,
                move.because,
                move.amount,
                move.first,
                move.last,
                move.by,
                move.approved_by,
            )
        )

    def extend(self, name: str, granted: Extension) -> None:
        """Give more time where the law of the clock allows any: so much, or as much as it allows."""
        clock = self.clocks[name]
        most = clock.binding.terms.extension
        if most is None or not clock.open:
            return
        move = ClockMoved(
            self.now,
            name,
            ClockMove.EXTEND,
            Dates(),
            because=granted.message,
            amount=min(granted.working_days, most.amount),
            by=granted.by,
            approved_by=granted.granted_by,
        )
        if any(moved(each, move) != each for each in clock.deadlines.values()):
            self.move(move)

    def end(self, name: str, *, met: bool) -> None:
        """What a clock waits for has happened, or is awaited no more."""
        if name in self.clocks and self.clocks[name].open:
            self.move(ClockMoved(self.now, name, ClockMove.MEET if met else ClockMove.WITHDRAW, Dates()))

    def ring(self, name: str) -> None:
        """Tell everything of a clock that is due by now."""
        while (clock := self.clocks[name]).open and (rang := self._due(name, clock)) is not None:
            self._add(rang)

    def recount(self, name: str) -> None:
        """Say where a newer calendar counts otherwise, or now for sure."""
        clock = self.clocks[name]
        dates = self._rules.dates(clock)
        if (dates.by, dates.provisional) != (clock.dates.by, clock.dates.provisional):
            self._add(ClockRecounted(self.now, name, clock.dates, dates, clock.step_id))

    def _due(self, name: str, clock: Clock) -> ClockRang | None:
        due = [
            (each.next, bound)
            for bound, each in self._rules.reckoned(clock).items()
            if each.next is not None and each.next.at <= self.now
        ]
        if not due:
            return None
        bell, bound = min(due, key=lambda each: each[0].at)
        return ClockRang(self.now, name, bound, bell.bell, bell.number, bell.at, clock.step_id)

    def _add(self, event: ClockEvent) -> None:
        self.clocks = clocks_after(self.clocks, event)
        self.events.append(event)


def clock_changes(
    rules: ClockRules, plan: Plan, before: CaseState, after: CaseState, now: datetime
) -> tuple[Event, ...]:
    """What follows for the clocks from what has just happened to the case."""
    if not _has_limits(plan.matter) or after.submitted is None or before.ended is not None:
        return ()
    desk = Desk(rules, after.clocks, now)
    outcome = after.outcome or (after.ending.outcome if after.ending else None)
    if outcome is not None:
        for name in after.clocks:
            desk.end(name, met=outcome in _HANDLED)
        return tuple(desk.events)
    _acceptance(desk, plan, before, after)
    for compiled in plan.steps.values():
        _step(desk, compiled.step, before, after)
    _extended(desk, before, after)
    _stopped(desk, plan, before, after)
    return tuple(desk.events)


def bells(rules: ClockRules, state: CaseState, now: datetime) -> tuple[Event, ...]:
    """What has run out by now; where the law then takes the case for accepted, that as well."""
    desk = Desk(rules, state.clocks, now)
    for name in state.clocks if state.running else ():
        desk.ring(name)
    return (*desk.events, *_deemed(desk.clocks, state, now))


def recounts(rules: ClockRules, state: CaseState, now: datetime) -> tuple[Event, ...]:
    """What a newer calendar changes."""
    desk = Desk(rules, state.clocks, now)
    for name, clock in state.clocks.items():
        if state.running and clock.open:
            desk.recount(name)
    return tuple(desk.events)


def next_bell(rules: ClockRules, state: CaseState) -> datetime | None:
    """When something is to be told next."""
    open_clocks = (clock for clock in state.clocks.values() if state.running and clock.open)
    found = (each.next for clock in open_clocks for each in rules.reckoned(clock).values())
    return min((each.at for each in found if each is not None), default=None)


def decided(plan: Plan, state: CaseState) -> bool:
    """Whether only deliveries are left: licenses to issue and words to say, with nothing behind them that is decided."""
    return all(state.step(step_id).state in SETTLED for step_id in plan.steps if step_id not in deliveries(plan.matter))


def deliveries(matter: Matter) -> frozenset[str]:
    """Steps that hand over what was decided: of these kinds, and only such steps wait for them."""
    found = {step.id for step in matter.steps if step.kind in _HANDED_OVER}
    while behind := {
        other for step in matter.steps if step.id not in found for other in (*step.needs, *step.after) if other in found
    }:
        found -= behind
    return frozenset(found)


def _acceptance(desk: Desk, plan: Plan, before: CaseState, after: CaseState) -> None:
    """From receipt to acceptance to decision to delivery. A department that has done its part has accepted the case."""
    limits = plan.matter.limits
    if before.submitted is None and CaseClock.ACCEPTANCE in limits:
        desk.start(CaseClock.ACCEPTANCE, limits[CaseClock.ACCEPTANCE], after.submitted or desk.now)
    accepted = after.accepted
    waits = desk.clocks.get(CaseClock.ACCEPTANCE)
    if accepted is None and waits is not None and _worked(plan, before, after):
        desk.ring(CaseClock.ACCEPTANCE)
        told = _deemed(desk.clocks, after, desk.now) or (CaseAccepted(desk.now, desk.now),)
        desk.events += told
        accepted = told[0].since
    begin = after.submitted if waits is None else accepted
    if begin is None:
        return
    desk.end(CaseClock.ACCEPTANCE, met=True)
    done = decided(plan, after)
    if CaseClock.DECISION in limits and CaseClock.DECISION not in desk.clocks and not done:
        desk.start(CaseClock.DECISION, limits[CaseClock.DECISION], begin)
    if done:
        desk.end(CaseClock.DECISION, met=True)
        if CaseClock.DELIVERY in limits and CaseClock.DELIVERY not in desk.clocks:
            desk.start(CaseClock.DELIVERY, limits[CaseClock.DELIVERY], desk.now)


def _worked(plan: Plan, before: CaseState, after: CaseState) -> bool:
    return any(
        compiled.step.kind is StepKind.TASK
        and after.step(step_id).state is StepState.DONE
        and before.step(step_id).state is not StepState.DONE
        for step_id, compiled in plan.steps.items()
    )


def _deemed(clocks: Mapping[str, Clock], state: CaseState, now: datetime) -> tuple[CaseAccepted, ...]:
    waits = clocks.get(CaseClock.ACCEPTANCE)
    if waits is None or waits.binding.state is not State.DEEMED or state.accepted is not None:
        return ()
    return (CaseAccepted(now, state.submitted or now, deemed=True),)


def _step(desk: Desk, step: Step, before: CaseState, after: CaseState) -> None:
    was, now = before.step(step.id), after.step(step.id)
    if step.limit is None or was == now:
        return
    name = clock_name(step.id)
    runs = name in desk.clocks and desk.clocks[name].open
    if now.state in _UNDER_WAY and now.started is not None and not runs and was.state not in _UNDER_WAY:
        desk.start(name, step.limit, desk.now, step.id)
    elif now.state in SETTLED | _ANSWERED | {StepState.CANCELED}:
        desk.end(name, met=now.state in _ANSWERED)


def _stopped(desk: Desk, plan: Plan, before: CaseState, after: CaseState) -> None:
    """Stop what waits for the applicant or for what the law leaves out; acceptance runs anew once everything is there (art. 32)."""
    for name, clock in list(desk.clocks.items()):
        was, is_now = (list(stops(plan, state, name)) for state in (before, after))
        if not clock.open or was == is_now:
            continue
        if is_now and not clock.paused:
            desk.move(ClockMoved(desk.now, name, ClockMove.PAUSE, Dates(), because=is_now[0]))
        elif not is_now and clock.paused and not clock.held_by and name == CaseClock.ACCEPTANCE:
            desk.move(ClockMoved(desk.now, name, ClockMove.RESET, Dates(), because=_COMPLETED))
        elif not is_now and clock.paused and not clock.held_by:
            desk.move(ClockMoved(desk.now, name, ClockMove.RESUME, Dates()))


def stops(plan: Plan, state: CaseState, name: str) -> Iterator[Text]:
    """By which words a clock of the case stands still now."""
    whole = name in {CaseClock.ACCEPTANCE, CaseClock.DECISION}
    if name == CaseClock.DECISION and state.running and awaits_review(state.dealings):
        yield REVIEW
    for step_id, compiled in plan.steps.items():
        if state.step(step_id).state not in _UNDER_WAY:
            continue
        if name == CaseClock.DECISION and compiled.step.not_counted is not None:
            yield compiled.step.not_counted
        if step_id in state.dealings.corrections and (whole or name == clock_name(step_id)):
            yield _CORRECTING
        if name == clock_name(step_id) and any(
            one.basis and not one.answered for one in state.dealings.opinions.values() if one.step_id == step_id
        ):
            yield REVIEW


def _extended(desk: Desk, before: CaseState, after: CaseState) -> None:
    """More time that the head has granted: for the step's clock and the decision's, each as far as its law allows (art. 42)."""
    for step_id, asked in after.dealings.extensions.items():
        if asked.granted and before.dealings.extensions.get(step_id) != asked:
            for name in (clock_name(step_id), CaseClock.DECISION.value):
                if name in desk.clocks:
                    desk.extend(name, asked)


def _has_limits(matter: Matter) -> bool:
    return bool(matter.limits) or any(step.limit is not None for step in matter.steps)
