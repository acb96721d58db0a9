# SPDX-License-Identifier: Apache-2.0
"""Deadlines: golden dates, what moves them, and what holds for any history."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.kit.calendar import (
    CHINA,
    Bell,
    Deadline,
    DeadlineNotPaused,
    DeadlineNotRunning,
    ExtensionNotAllowed,
    Limit,
    State,
    Terms,
    Unit,
    Warn,
    dawn,
    derivation,
    published,
    reckon,
)
from services.kit.calendar.deadline import EVENTS, Escalated, Expired, Warned
from services.kit.text import Text

CN = published().of("990100")
WHY = Text(zh="专家评审", en="expert review")
ONE_DAY = timedelta(days=1)


def noon(day: str | date) -> datetime:
    return dawn(date.fromisoformat(str(day))) + timedelta(hours=12)


def working(amount: int, **terms: object) -> Terms:
    return Terms.model_validate({"limit": Limit(amount=amount), **terms})


def due_date(deadline: Deadline) -> str:
    return str(reckon(deadline, CN).due_date)


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        ("2025-09-26", 5, "2025-10-10"),
        ("2025-09-30", 10, "2025-10-21"),
        ("2026-02-12", 5, "2026-02-26"),
        ("2026-02-12", 10, "2026-03-04"),
        ("2026-02-12", 20, "2026-03-18"),
        ("2026-04-30", 20, "2026-06-01"),
        ("2026-09-25", 10, "2026-10-15"),
        ("2026-09-30", 1, "2026-10-08"),
        ("2026-02-05", 20, "2026-03-11"),
        ("2026-04-24", 20, "2026-05-26"),
    ],
)
def test_working_days_end_on_the_golden_dates(start: str, days: int, due: str) -> None:
    assert due_date(Deadline.started(working(days), noon(start))) == due


def test_it_is_over_at_midnight_in_china() -> None:
    reckoned = reckon(Deadline.started(working(1), noon("2026-03-02")), CN)
    assert reckoned.due == datetime(2026, 3, 3, 16, tzinfo=UTC)


def test_day_0_is_the_day_in_china_not_in_greenwich() -> None:
    late_evening_in_greenwich = datetime(2026, 3, 2, 17, tzinfo=UTC)
    assert due_date(Deadline.started(working(1), late_evening_in_greenwich)) == "2026-03-04"


@pytest.mark.parametrize(("start", "due"), [("2026-03-02", "2026-03-02"), ("2026-03-07", "2026-03-09")])
def test_on_the_spot_is_the_first_day_that_counts(start: str, due: str) -> None:
    assert due_date(Deadline.started(working(0), noon(start))) == due


def test_natural_days_count_every_day_and_roll_only_where_told() -> None:
    plain = Terms(limit=Limit(amount=10, unit=Unit.NATURAL_DAYS))
    rolls = Terms(limit=Limit(amount=10, unit=Unit.NATURAL_DAYS, rolls=True))
    assert due_date(Deadline.started(plain, noon("2026-09-21"))) == "2026-10-01"
    assert due_date(Deadline.started(rolls, noon("2026-09-21"))) == "2026-10-08"


def test_hours_run_by_the_clock_but_for_pauses_and_excluded_days() -> None:
    hours = Terms(limit=Limit(amount=48, unit=Unit.HOURS))
    deadline = Deadline.started(hours, noon("2026-03-02"))
    assert reckon(deadline, CN).due == noon("2026-03-04")
    paused = deadline.pause(noon("2026-03-03"), WHY)
    assert reckon(paused, CN).due is None
    resumed = paused.resume(noon("2026-03-03") + timedelta(hours=5))
    assert reckon(resumed, CN).due == noon("2026-03-04") + timedelta(hours=5)
    excluded = resumed.exclude(noon("2026-03-03"), date(2026, 3, 4), date(2026, 3, 4), WHY)
    assert reckon(excluded, CN).due == noon("2026-03-05") + timedelta(hours=5)


def test_a_pause_on_the_last_day_saves_it() -> None:
    deadline = Deadline.started(working(1), noon("2026-03-02")).pause(noon("2026-03-03"), WHY)
    assert reckon(deadline, CN).ringings == ()
    assert due_date(deadline.resume(noon("2026-03-10"))) == "2026-03-10"


def test_a_reset_counts_the_whole_limit_anew_and_ends_a_pause() -> None:
    deadline = Deadline.started(working(5), noon("2026-03-02")).pause(noon("2026-03-04"), WHY)
    again = deadline.reset(noon("2026-03-09"), WHY)
    assert (again.state, due_date(again)) == (State.RUNNING, "2026-03-16")


def test_extensions_are_bounded_in_number_and_length() -> None:
    terms = working(10, extension=Limit(amount=10), extensions_max=1)
    deadline = Deadline.started(terms, noon("2026-03-02"))
    with pytest.raises(ExtensionNotAllowed):
        deadline.extend(noon("2026-03-03"), WHY, 11)
    extended = deadline.extend(noon("2026-03-03"), WHY)
    assert due_date(extended) == "2026-03-30"
    with pytest.raises(ExtensionNotAllowed):
        extended.extend(noon("2026-03-03"), WHY)
    with pytest.raises(ExtensionNotAllowed):
        Deadline.started(working(10), noon("2026-03-02")).extend(noon("2026-03-03"), WHY)


def test_only_what_fits_the_state_may_happen() -> None:
    running = Deadline.started(working(3), noon("2026-03-02"))
    at = noon("2026-03-03")
    paused, met = running.pause(at, WHY), running.meet(at)
    refused: list[Callable[[], Deadline]] = [
        lambda: paused.pause(at, WHY),
        lambda: paused.extend(at, WHY),
        lambda: met.pause(at, WHY),
        lambda: met.reset(at, WHY),
        lambda: met.exclude(at, date(2026, 3, 4), date(2026, 3, 5), WHY),
    ]
    for change in refused:
        with pytest.raises(DeadlineNotRunning):
            change()
    with pytest.raises(DeadlineNotPaused):
        running.resume(at)
    assert met.meet(at) is met.withdraw(at)
    assert reckon(running.withdraw(at), CN).due is None


def test_bells_warn_before_expire_and_escalate_after() -> None:
    terms = working(
        10,
        warn=(Warn(share=0.5), Warn(left=2)),
        escalate=(Limit(amount=3), Limit(amount=24, unit=Unit.HOURS)),
    )
    deadline = Deadline.started(terms, noon("2026-03-02"))
    rings = [(each.bell, each.number, str(each.at.astimezone(CHINA).date())) for each in reckon(deadline, CN).ringings]
    assert rings == [
        (Bell.WARNING, 1, "2026-03-10"),
        (Bell.WARNING, 2, "2026-03-13"),
        (Bell.EXPIRY, 1, "2026-03-17"),
    ]
    warned = deadline.told(Warned(at=noon("2026-03-10"), number=1))
    assert [each.number for each in reckon(warned, CN).ringings] == [2, 1]
    due = reckon(warned, CN).due
    assert due is not None
    overdue = warned.told(Expired(at=due, due=due))
    assert overdue.state is State.OVERDUE
    assert [str(each.at.astimezone(CHINA).date()) for each in reckon(overdue, CN).ringings] == [
        "2026-03-17",
        "2026-03-20",
    ]
    last = overdue.told(Escalated(at=due, number=2))
    assert reckon(last, CN).ringings == ()
    assert reckon(overdue.meet(due), CN).ringings == ()


def test_what_nobody_did_in_time_counts_as_done_where_the_law_says_so() -> None:
    terms = working(5, deemed=Text(zh="视为受理", en="deemed accepted"))
    deadline = Deadline.started(terms, noon("2026-03-02"))
    due = reckon(deadline, CN).due
    assert due is not None
    deemed = deadline.told(Expired(at=due, due=due))
    assert deemed.state is State.DEEMED
    assert reckon(deemed, CN).ringings == ()
    assert deemed.meet(due) is deemed


def test_an_unpublished_year_makes_the_date_provisional_until_its_calendar_arrives() -> None:
    deadline = Deadline.started(working(10), noon("2026-12-28"))
    before = reckon(deadline, CN)
    assert (before.provisional, str(before.due_date)) == (True, "2027-01-12")
    assert "provisional" in derivation(deadline, before)[-1].en
    seen = replace(CN.day(date(2027, 1, 1)), provisional=False)
    later = replace(
        CN,
        version=2,
        years=CN.years | {2027},
        exceptions={**CN.exceptions, date(2027, 1, 1): seen, date(2027, 1, 4): seen},
    )
    after = reckon(deadline, later)
    assert (after.provisional, str(after.due_date), after.version) == (False, "2027-01-13", 2)


def test_the_derivation_names_every_run_of_days_with_its_reason_in_both_languages() -> None:
    deadline = Deadline.started(working(5), noon("2026-02-12"))
    lines = derivation(deadline, reckon(deadline, CN))
    assert [line.en for line in lines] == [
        "From 2026-02-12 (that day does not count), 5 working days.",
        "2026-02-13: working days, day 1.",
        "2026-02-14: make-up working days (Spring Festival), day 2.",
        "2026-02-15 to 2026-02-23: holiday (Spring Festival), not counted.",
        "2026-02-24 to 2026-02-26: working days, days 3 to 5.",
        "Due by the end of 2026-02-26 (Beijing time; calendar cn 1).",
    ]
    assert [line.zh for line in lines] == [
        "自 2026-02-12（当日不计）起，共 5 个工作日。",
        "2026-02-13：工作日，计第 1 日。",
        "2026-02-14：调休上班（春节），计第 2 日。",
        "2026-02-15 至 2026-02-23：放假（春节），不计。",
        "2026-02-24 至 2026-02-26：工作日，计第 3 至第 5 日。",
        "于 2026-02-26 24:00 届满（北京时间；日历 cn 1）。",
    ]


@pytest.mark.parametrize(
    "terms",
    [
        {"limit": {"amount": 5, "unit": "hours", "rolls": True}},
        {"limit": {"amount": -1}},
        {"limit": {"amount": 5}, "extensions_max": 1},
        {"limit": {"amount": 5}, "extension": {"amount": 5, "unit": "hours"}, "extensions_max": 1},
        {"limit": {"amount": 5}, "warn": [{}]},
        {"limit": {"amount": 5}, "warn": [{"share": 0.5, "left": 1}]},
        {"limit": {"amount": 5}, "deemed": {"zh": "视为", "en": "deemed"}, "escalate": [{"amount": 1}]},
    ],
)
def test_terms_that_contradict_themselves_are_refused(terms: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Terms.model_validate(terms)


starts = st.integers(0, 8_500 * 24).map(lambda hours: datetime(2004, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
limits = st.builds(Limit, amount=st.integers(0, 120), unit=st.sampled_from(Unit))
steps = st.lists(
    st.tuples(st.sampled_from(["pause", "resume", "reset", "extend", "exclude"]), st.integers(0, 20 * 24)), max_size=12
)


def walked(terms: Terms, start: datetime, walk: list[tuple[str, int]]) -> Deadline:
    deadline, at = Deadline.started(terms, start), start
    for what, hours in walk:
        at += timedelta(hours=hours)
        due = reckon(deadline, CN).due
        if due is not None and due <= at:
            break  # It is told that it has run out before anything else may happen to it.
        try:
            match what:
                case "pause":
                    deadline = deadline.pause(at, WHY)
                case "resume":
                    deadline = deadline.resume(at)
                case "reset":
                    deadline = deadline.reset(at, WHY)
                case "extend":
                    deadline = deadline.extend(at, WHY)
                case _:
                    first = at.astimezone(CHINA).date()
                    deadline = deadline.exclude(at, first, first + timedelta(days=hours // 24), WHY)
        except (DeadlineNotRunning, DeadlineNotPaused, ExtensionNotAllowed):
            continue
    return deadline


@settings(max_examples=300, deadline=None)
@given(limits, starts, steps)
def test_any_history_is_counted_the_same_twice_and_after_storing_and_every_day_has_its_place(
    limit: Limit, start: datetime, walk: list[tuple[str, int]]
) -> None:
    terms = Terms(limit=limit, extension=Limit(amount=7, unit=limit.unit), extensions_max=3, warn=(Warn(share=0.8),))
    deadline = walked(terms, start, walk)
    reckoned = reckon(deadline, CN)
    stored = Deadline(
        Terms.model_validate(terms.model_dump(mode="json")),
        EVENTS.validate_python(EVENTS.dump_python(deadline.events, mode="json")),
    )
    assert reckon(stored, CN) == reckoned
    assert (reckoned.due is None) == (deadline.state is State.PAUSED)
    for before, after in zip(reckoned.spans, reckoned.spans[1:], strict=False):
        assert before.end == after.begin
    if reckoned.due is not None and reckoned.spans:
        assert reckoned.spans[-1].end == reckoned.due
        counted = sum(span.last - span.first + 1 for span in reckoned.spans if span.counts)
        if limit.unit is not Unit.HOURS and deadline.standing.total:
            assert counted == deadline.standing.total
    times = [each.at for each in reckoned.ringings]
    assert times == sorted(times)


@settings(max_examples=200, deadline=None)
@given(limits, starts, st.integers(0, 40), st.integers(0, 20))
def test_a_later_start_or_a_longer_limit_is_never_due_earlier(
    limit: Limit, start: datetime, hours: int, more: int
) -> None:
    def due(limit: Limit, start: datetime) -> datetime:
        found = reckon(Deadline.started(Terms(limit=limit), start), CN).due
        assert found is not None
        return found

    base = due(limit, start)
    assert due(limit, start + timedelta(hours=hours)) >= base
    assert due(limit.model_copy(update={"amount": limit.amount + more}), start) >= base


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), starts, st.integers(0, 100), st.integers(0, 60))
def test_a_pause_adds_exactly_the_days_it_kept_from_counting(
    amount: int, start: datetime, into: int, length: int
) -> None:
    deadline = Deadline.started(working(amount), start)
    due = reckon(deadline, CN).due
    assert due is not None
    begin = min(start + into * ONE_DAY, due - timedelta(seconds=1))
    resumed = deadline.pause(begin, WHY).resume(begin + length * ONE_DAY)
    first = max(begin.astimezone(CHINA).date(), start.astimezone(CHINA).date() + ONE_DAY)
    last = (begin + length * ONE_DAY).astimezone(CHINA).date()
    lost = sum(1 for n in range(max(0, (last - first).days)) if CN.day(first + n * ONE_DAY).works)
    longer = reckon(Deadline.started(working(amount + lost), start), CN)
    assert reckon(resumed, CN).due_date == longer.due_date


@settings(max_examples=100, deadline=None)
@given(limits, starts, steps)
def test_every_line_stands_in_both_languages_with_the_same_numbers(
    limit: Limit, start: datetime, walk: list[tuple[str, int]]
) -> None:
    terms = Terms(limit=limit, extension=Limit(amount=7, unit=limit.unit), extensions_max=3)
    deadline = walked(terms, start, walk)
    lines = derivation(deadline, reckon(deadline, CN))
    assert len(lines) == len(reckon(deadline, CN).spans) + 2
    for line in lines:
        zh, en = (re.findall(r"[0-9]+", text.replace("24:00", "")) for text in (line.zh, line.en))
        assert zh == en or zh[-2:] == en[-2:], line
        assert re.search(r"[\u4e00-\u9fff]", line.zh)
        assert not re.search(r"[\u4e00-\u9fff]", line.en)
