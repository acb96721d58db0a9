# SPDX-License-Identifier: Apache-2.0
"""A random walk over one clock: whatever officers and days do to it, no day is lost, no bell rings twice."""

from contextlib import suppress
from datetime import date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.gateway.domain import clock_acts
from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.clocks import bells, clock_changes, next_bell
from services.gateway.domain.history import (
    Bound,
    CaseSubmitted,
    ClockRang,
    Event,
    from_body,
    kind_of,
    step_of,
    to_body,
)
from services.gateway.workflows import clock_rules
from services.kit.calendar import DeadlineNotRunning, ExtensionNotAllowed, State
from services.kit.calendar.deadline import DeadlineNotPaused
from services.kit.text import Text
from tests.support.gateway_clocks import matter, nine
from tests.support.gateway_matters import draft, opened, step

RULES = clock_rules()
PLAN = matter(step("work"), limits={"decision": {"terms": "decision", "promise": 8}})
WHY = Text("原因", "Why")
REFUSED = (DeadlineNotRunning, DeadlineNotPaused, ExtensionNotAllowed)
DECISION = "decision"
STATES = TypeAdapter(CaseState)


class Walk:
    """One case whose clock is pulled at."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.history: list[Event] = [opened(PLAN)]
        self.state: CaseState = draft(PLAN)
        self.take((CaseSubmitted(now),))
        self.take(clock_changes(RULES, PLAN, draft(PLAN), self.state, now))

    def take(self, events: tuple[Event, ...]) -> None:
        self.history += events
        self.state = fold(events, self.state)

    def wait(self, days: int) -> None:
        """Days pass; each bell rings when it is due."""
        goal = self.now + timedelta(days=days)
        while (due := next_bell(RULES, self.state)) is not None and due <= goal:
            self.now = max(self.now, due)
            self.take(bells(RULES, self.state, self.now))
        self.now = goal

    def due(self, bound: Bound) -> date | None:
        return RULES.reckoned(self.state.clocks[DECISION])[bound].due_date


def check(walk: Walk) -> None:
    """What holds at every moment."""
    assert fold(walk.history) == walk.state
    again = [from_body(kind_of(each), each.at, step_of(each), to_body(each)) for each in walk.history]
    assert fold(again) == walk.state
    assert STATES.validate_json(STATES.dump_json(walk.state)) == walk.state  # as a snapshot keeps it
    clock = walk.state.clocks[DECISION]
    for bound, reckoned in RULES.reckoned(clock).items():
        if reckoned.due_date is not None:
            counted = [span for span in reckoned.spans if span.counts]
            assert sum((span.last - span.first) + 1 for span in counted) == clock.deadlines[bound].standing.total
            assert reckoned.spans[-1].last_day == reckoned.due_date
            assert reckoned.due_date.isoformat() == clock.dates.by[bound.value]
    told = [(each.bound, each.bell, each.number, each.due) for each in walk.history if isinstance(each, ClockRang)]
    assert len(told) == len(set(told))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_day_is_lost_no_date_comes_nearer_and_no_bell_rings_twice(data: st.DataObject) -> None:
    walk = Walk(nine(data.draw(st.sampled_from(["2025-09-26", "2026-02-05", "2026-04-24", "2026-09-29"]))))
    check(walk)
    for _ in range(data.draw(st.integers(1, 12))):
        before = {bound: walk.due(bound) for bound in Bound}
        act = data.draw(st.sampled_from(["wait", "pause", "resume", "extend", "exclude"]))
        if act == "wait":
            walk.wait(data.draw(st.integers(1, 20)))
        else:
            with suppress(*REFUSED):
                walk.take(acted(walk, act, data))
        for bound, was in before.items():
            due = walk.due(bound)
            if was is not None and due is not None:
                assert due >= was, act
        check(walk)


def acted(walk: Walk, act: str, data: st.DataObject) -> tuple[Event, ...]:
    """What an officer does."""
    by, now = "clerk:1", walk.now
    match act:
        case "pause":
            return clock_acts.pause(RULES, walk.state, DECISION, WHY, by=by, now=now)
        case "resume":
            return clock_acts.resume(RULES, walk.state, DECISION, by=by, now=now)
        case "extend":
            days = data.draw(st.integers(1, 10))
            return clock_acts.extend(RULES, walk.state, DECISION, WHY, days=days, approved_by="head", by=by, now=now)
        case _:
            first = now.date() + timedelta(days=data.draw(st.integers(-5, 20)))
            last = first + timedelta(days=data.draw(st.integers(0, 9)))
            return clock_acts.exclude(RULES, walk.state, DECISION, WHY, first=first, last=last, by=by, now=now)


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_a_pause_moves_the_end_by_exactly_the_working_days_it_took(begin: int, length: int) -> None:
    walk = Walk(nine("2026-02-05"))
    walk.wait(begin)
    if walk.state.clocks[DECISION].binding.state is not State.RUNNING:
        return
    calendar = RULES.calendars.of(RULES.region)
    was, start = walk.due(Bound.STATUTORY), walk.now.date()
    assert was is not None
    walk.take(clock_acts.pause(RULES, walk.state, DECISION, WHY, by="clerk:1", now=walk.now))
    assert walk.due(Bound.STATUTORY) is None
    walk.wait(length)
    walk.take(clock_acts.resume(RULES, walk.state, DECISION, by="clerk:1", now=walk.now))
    now = walk.due(Bound.STATUTORY)
    assert now is not None
    first = max(start, date(2026, 2, 6))  # day 0 never counts, paused or not
    took = sum(calendar.day(start + timedelta(days=ahead)).works for ahead in range((first - start).days, length))
    moved = sum(calendar.day(was + timedelta(days=ahead)).works for ahead in range(1, (now - was).days + 1))
    assert moved == took
