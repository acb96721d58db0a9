# SPDX-License-Identifier: Apache-2.0
"""Clocks of cases by the law: days that count, silence that accepts, dates that explain themselves."""

from datetime import date
from typing import Any

import pytest

from services.gateway.domain.facts import ClockRangFact
from services.gateway.domain.problems import DefinitionInvalid, ProblemCode
from services.gateway.workflows import Workflows
from tests.support.gateway_clocks import Days, matter
from tests.support.gateway_matters import AGENCIES, plan_of, step
from tests.support.gateway_memory import MemoryGatewayStore

VECTORS = [
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
]


@pytest.mark.parametrize(("start", "days", "due"), VECTORS)
async def test_working_days_are_counted_over_holidays_and_make_up_days(start: str, days: int, due: str) -> None:
    limits = {"decision": {"statutory": days, "basis": "a vector"}}
    gateway = Days(matter(limits=limits), start)
    await gateway.submit()
    assert await gateway.due("decision") == date.fromisoformat(due)
    counted = (await gateway.limit("decision")).days
    assert sum((each.last - each.first).days + 1 for each in counted if each.counts) == days
    assert counted[-1].last == date.fromisoformat(due)


async def test_a_case_runs_from_acceptance_to_decision_to_delivery() -> None:
    gateway = Days(matter(), "2026-02-05")
    await gateway.submit()
    assert [each.clock for each in (await gateway.view()).clocks] == ["acceptance"]
    await gateway.turn_to("2026-02-09")
    await gateway.work()
    view = await gateway.view()
    assert [(each.clock, each.open) for each in view.clocks] == [("acceptance", False), ("delivery", True)]
    assert "accepted" in await gateway.kinds()


async def test_a_department_that_has_begun_has_accepted_the_case_and_its_time_begins() -> None:
    gateway = Days(matter(step("first"), step("second", needs=["first"])), "2026-02-03")
    await gateway.submit()
    await gateway.turn_to("2026-02-05")
    await gateway.work()
    assert await gateway.due("decision") == date(2026, 3, 11)
    assert await gateway.due("decision", "promise") == date(2026, 2, 12)
    await gateway.turn_to("2026-02-06")
    await gateway.work()
    assert [each.late for each in (await gateway.view()).clocks] == [False, False]
    assert (await gateway.kinds())[-1] == "ended"


async def test_silence_for_five_working_days_accepts_the_case_from_the_day_of_receipt() -> None:
    gateway = Days(matter(), "2026-02-05")
    await gateway.submit()
    assert await gateway.due("acceptance") == date(2026, 2, 12)
    await gateway.turn_to("2026-02-12")
    assert "deemed_accepted" not in await gateway.kinds()
    await gateway.turn_to("2026-02-13")
    assert (await gateway.limit("acceptance")).state == "deemed"
    assert await gateway.due("decision") == date(2026, 3, 11)  # 20 days from 2026-02-05, not from today
    deemed = next(entry for entry in await gateway.timeline() if entry.kind == "deemed_accepted")
    assert "2026-02-05" in deemed.text.en
    assert "视为受理" in deemed.text.zh


async def test_work_that_comes_after_the_silence_does_not_take_the_date_back() -> None:
    gateway = Days(matter(step("first"), step("second", needs=["first"])), "2026-02-05")
    await gateway.submit()
    gateway.clock.forward(days=9)  # no timer has fired yet
    await gateway.work()
    assert "deemed_accepted" in await gateway.kinds()
    assert await gateway.due("decision") == date(2026, 3, 11)


async def test_a_promise_that_is_broken_and_a_law_that_is_broken_are_told_each_once() -> None:
    gateway = Days(matter(limits={"decision": {"terms": "decision", "promise": 5}}), "2026-02-05")
    await gateway.submit()
    await gateway.turn_to("2026-03-31")
    kept = gateway.world.store
    assert isinstance(kept, MemoryGatewayStore)
    rang = [(each.bound, each.bell, each.number) for each in kept.kept.facts if isinstance(each, ClockRangFact)]
    assert rang == [
        ("promise", "warning", 1),
        ("promise", "expiry", 1),
        ("statutory", "warning", 1),
        ("statutory", "warning", 2),
        ("statutory", "expiry", 1),
        ("statutory", "escalation", 1),
        ("statutory", "escalation", 2),
    ]
    told = [notice.text.en for notice in kept.kept.notices]
    assert [("promised" in words, "court" in words) for words in told] == [(True, False), (False, True)]
    shown = await gateway.shown("decision")
    assert shown.late
    assert [each.state for each in shown.limits] == ["overdue", "overdue"]
    await gateway.work()
    shown = await gateway.shown("decision")
    assert shown.late, "who comes late has come late, whatever happens then"
    assert [each.state for each in shown.limits] == ["met", "met"]


async def test_a_hearing_does_not_count_towards_the_decision() -> None:
    words = {"zh": "听证期间依法不计入（行政许可法第四十五条）", "en": "the time of a hearing does not count (art. 45)"}
    hearing = step("hearing", needs=["first"], limit={"terms": "hearing.hold"}, not_counted=words)
    gateway = Days(matter(step("first"), hearing, step("last", needs=["hearing"])), "2026-02-02")
    await gateway.submit()
    await gateway.turn_to("2026-02-05")
    await gateway.work()
    shown = await gateway.shown("decision")
    assert shown.paused
    assert await gateway.due("decision") is None
    assert await gateway.due("step:hearing") == date(2026, 3, 11)
    await gateway.turn_to("2026-02-26")
    await gateway.work()
    # Paused from the day of acceptance on: the day on which it runs again is the first of the 20.
    counted = await gateway.limit("decision")
    assert counted.due_date == date(2026, 3, 24)
    assert counted.days[0].why == "paused"
    assert words["en"] in counted.derivation[1].en


async def test_a_step_that_is_refused_or_skipped_leaves_no_clock_behind() -> None:
    gateway = Days(matter(step("work", limit={"promise": 3})), "2026-02-05")
    await gateway.submit()
    assert await gateway.due("step:work", "promise") == date(2026, 2, 10)
    await gateway.work()
    assert not any(each.open for each in (await gateway.view()).clocks)
    assert await gateway.world.store.next_due() is None


@pytest.mark.parametrize(
    ("limits", "more", "code"),
    [
        ({"decision": {"terms": "decison"}}, {}, ProblemCode.LIMIT_UNKNOWN),
        ({"decision": {"terms": "decision", "promise": 21}}, {}, ProblemCode.PROMISE_TOO_LONG),
        ({"decision": {"terms": "decision", "promise": 3}}, {"limit": {"promise": 4}}, ProblemCode.PROMISE_TOO_SHORT),
    ],
)
def test_limits_that_can_not_be_are_refused_at_the_start(
    limits: dict[str, object], more: dict[str, Any], code: ProblemCode
) -> None:
    plan = plan_of(step("work", **more), limits=limits)
    with pytest.raises(DefinitionInvalid) as refused:
        Workflows({"sample": plan}, AGENCIES)
    assert [each.code for each in refused.value.problems] == [code]


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"promise": 6, "statutory": 5, "basis": "a law"},
        {"statutory": 5},
        {"terms": "decision", "statutory": 5, "basis": "a law"},
    ],
)
def test_a_limit_says_one_thing_and_says_it_whole(limit: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="limit"):
        plan_of(step("work", limit=limit))
