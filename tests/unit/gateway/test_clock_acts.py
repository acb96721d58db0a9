# SPDX-License-Identifier: Apache-2.0
"""Officers stop clocks, let them run on, anew and longer; whatever they do, no day is lost and everybody can read why."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

import pytest

from services.gateway.domain.case import fold
from services.gateway.domain.facts import ClockChangedFact
from services.gateway.domain.history import (
    CorrectionItem,
    CorrectionRequested,
    Event,
    ExpertAnswered,
    ExpertAsked,
    ExtensionDecided,
    ExtensionRequested,
)
from services.gateway.domain.refusals import (
    ApproverNeeded,
    CaseNotFound,
    ClockHeldByLaw,
    ClockNotFound,
    ClockNotYours,
    DaysInvalid,
)
from services.gateway.service.clock_desk import CaseClocks, ClockDesk, OnClock
from services.gateway.service.engine import Turn
from services.kit.calendar import Calendar, Calendars, DeadlineNotRunning, ExtensionNotAllowed, published
from services.kit.calendar.deadline import DeadlineNotPaused
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RequestIdReused, RightMissing
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_clocks import Days, matter
from tests.support.gateway_matters import HEALTH, HOSPITAL, POLICE, step
from tests.support.gateway_memory import MemoryGatewayStore

RIGHTS = frozenset({"gateway.clocks"})
LEAD = Caller(CallerKind.CLERK, "chief", RIGHTS, agency=HEALTH)
WARD = Caller(CallerKind.AGENCY, HOSPITAL, RIGHTS, agency=HOSPITAL)
STRANGER = Caller(CallerKind.AGENCY, POLICE, RIGHTS, agency=POLICE)
OPERATOR = Caller(CallerKind.OPERATOR, "op", RIGHTS)
WHY = Text("需要补正材料", "Papers are to be completed")
LIMITS = {"decision": {"terms": "decision", "promise": 15}}


def on(days: Days, clock: str = "decision", because: Text = WHY) -> OnClock:
    return OnClock(new_id(), days.case_id, clock, because)


@pytest.fixture
async def days() -> Days:
    made = Days(matter(step("work", limit={"promise": 10}), limits=LIMITS), "2026-02-05")
    await made.submit()
    return made


@pytest.fixture
def desk(days: Days) -> ClockDesk:
    return ClockDesk(days.world.engine)


def last_day(made: CaseClocks, clock: str = "decision", bound: str = "statutory") -> date | None:
    shown = next(each for each in made.clocks if each.clock == clock)
    return next(each.due_date for each in shown.limits if each.bound == bound)


async def test_a_pause_moves_both_limits_by_the_working_days_it_took(days: Days, desk: ClockDesk) -> None:
    assert await days.due("decision") == date(2026, 3, 11)
    promised = await days.due("decision", "promise")
    await days.turn_to("2026-02-09")
    with acting_as(LEAD):
        assert last_day(await desk.pause(on(days))) is None
    await days.turn_to("2026-02-12")
    with acting_as(LEAD):
        made = await desk.resume(on(days))
    assert last_day(made) == date(2026, 3, 16)  # three working days more: 02-09 to 02-11
    assert promised == date(2026, 3, 4)
    assert last_day(made, bound="promise") == date(2026, 3, 9)
    words = (await days.limit("decision")).derivation
    assert any(WHY.zh in line.zh and "2026-02-09" in line.zh for line in words)
    assert (await days.kinds())[-2:] == ["clock_paused", "clock_resumed"]


async def test_an_extension_needs_the_head_is_given_once_and_is_told_with_its_reason(
    days: Days, desk: ClockDesk
) -> None:
    with acting_as(LEAD):
        with pytest.raises(ApproverNeeded):
            await desk.extend(on(days), days=10, approved_by=LEAD.label)
        with pytest.raises(ExtensionNotAllowed):
            await desk.extend(on(days), days=11, approved_by="head")
        made = await desk.extend(on(days), days=10, approved_by="head")
        with pytest.raises(ExtensionNotAllowed):
            await desk.extend(on(days), days=1, approved_by="head")
    assert last_day(made) == date(2026, 3, 25)
    kept = days.world.store
    assert isinstance(kept, MemoryGatewayStore)
    assert [each.change for each in kept.kept.facts if isinstance(each, ClockChangedFact)] == ["extended"]
    assert [WHY.zh in notice.text.zh and "2026-03-25" in notice.text.zh for notice in kept.kept.notices] == [True]


async def test_days_left_out_and_a_clock_that_runs_anew(days: Days, desk: ClockDesk) -> None:
    with acting_as(LEAD):
        with pytest.raises(DaysInvalid):
            await desk.exclude(on(days), first=date(2026, 2, 10), last=date(2026, 2, 9))
        made = await desk.exclude(on(days), first=date(2026, 2, 9), last=date(2026, 2, 13))
        assert last_day(made) == date(2026, 3, 18)
        await days.turn_to("2026-02-11")
        made = await desk.reset(on(days))
    assert last_day(made) == date(2026, 3, 19)  # 20 days from 02-11, of which two are left out


async def test_a_request_is_done_once_and_its_id_stands_for_it_alone(days: Days, desk: ClockDesk) -> None:
    command = on(days)
    with acting_as(LEAD):
        first = await desk.pause(command)
        assert await desk.pause(command) == first
        with pytest.raises(RequestIdReused):
            await desk.pause(replace(command, because=Text("另一理由", "Something else")))
        with pytest.raises(DeadlineNotRunning):
            await desk.pause(on(days))


async def test_everybody_touches_their_own_clocks_only(days: Days, desk: ClockDesk) -> None:
    with acting_as(LEAD), pytest.raises(ClockNotYours):
        await desk.pause(on(days, "step:work"))
    with acting_as(LEAD), pytest.raises(ClockNotFound):
        await desk.pause(on(days, "delivery"))
    with acting_as(WARD), pytest.raises(ClockNotYours):
        await desk.pause(on(days))
    with acting_as(WARD):
        await desk.pause(on(days, "step:work"))
    with acting_as(OPERATOR):
        await desk.resume(on(days, "step:work"))
    for asked in (desk.pause(on(days)), desk.clocks(days.case_id)):
        with acting_as(STRANGER), pytest.raises(CaseNotFound):
            await asked
    with acting_as(replace(LEAD, rights=frozenset())), pytest.raises(RightMissing):
        await desk.clocks(days.case_id)


async def test_what_a_rule_has_stopped_no_officer_lets_run() -> None:
    hearing = step("hearing", not_counted={"zh": "听证", "en": "a hearing"})
    days = Days(matter(hearing, limits=LIMITS), "2026-02-05")
    await days.submit()
    desk = ClockDesk(days.world.engine)
    with acting_as(OPERATOR):
        with pytest.raises(ClockHeldByLaw):
            await desk.resume(on(days))
        with pytest.raises(DeadlineNotRunning):
            await desk.pause(on(days))


async def test_who_comes_after_the_end_hears_that_it_is_over_even_if_no_bell_has_rung(
    days: Days, desk: ClockDesk
) -> None:
    days.clock.forward(days=60)
    with acting_as(LEAD):
        for asked in (desk.pause(on(days)), desk.reset(on(days)), desk.extend(on(days), days=1, approved_by="head")):
            with pytest.raises(DeadlineNotRunning):
                await asked
        with pytest.raises(DeadlineNotPaused):
            await desk.resume(on(days))


def newer(version: int = 2) -> Calendars:
    """The calendar with a year more: 2027 announced, with a Spring Festival of eight days."""
    old = published().of("")
    days = {date(2027, 2, day): replace(old.day(date(2026, 2, 16)), provisional=False) for day in range(5, 13)}
    calendar = Calendar(
        old.name, version, old.title, old.source, old.years | {2027}, {**old.exceptions, **days}, old.known_by_law
    )
    return Calendars({"": calendar})


async def test_a_date_of_an_unpublished_year_is_provisional_until_its_calendar_comes() -> None:
    days = Days(matter(limits={"decision": {"statutory": 45, "basis": "a vector"}}), "2026-12-21")
    await days.submit()
    before = await days.limit("decision")
    assert before.provisional
    rules = days.world.workflows.clocks
    days.world.workflows.clocks = type(rules)(rules.limits, newer(), rules.region)
    desk = ClockDesk(days.world.engine)
    assert await desk.recount() == 1
    assert await desk.recount() == 0
    after = await days.limit("decision")
    assert not after.provisional
    assert before.due_date is not None
    assert after.due_date is not None
    assert after.due_date > before.due_date
    told = next(entry for entry in await days.timeline() if entry.kind == "clock_recounted")
    assert str(after.due_date) in told.text.en
    kept = days.world.store
    assert isinstance(kept, MemoryGatewayStore)
    history = kept.kept.histories[days.case_id]
    assert history[-1].before.by == {"statutory": str(before.due_date)}  # type: ignore[union-attr] # ClockRecounted
    assert fold(history) == kept.kept.files[days.case_id].state
    assert kept.kept.notices[-1].text.zh.endswith(f"{after.due_date}。")


async def happen(days: Days, event: Callable[[datetime], Event]) -> None:
    """Let something happen to the case, through the engine's own door."""

    async def work(turn: Turn) -> None:
        file, plan = await turn.load(days.case_id)
        await turn.apply(file, plan, [event(days.clock())])

    await days.world.engine.transact(work)


async def test_corrections_stop_the_clocks_and_nobody_names_an_end_meanwhile(days: Days) -> None:
    items = (CorrectionItem("x", WHY),)
    await days.turn_to("2026-02-09")
    await happen(days, lambda now: CorrectionRequested(now, "work", items, "agency:x"))
    assert [(each.clock, each.paused) for each in (await days.view()).clocks] == [
        ("decision", True),
        ("step:work", True),
    ]
    end = (await days.view()).expected_end
    assert end is not None
    assert end.day is None
    assert end.paused


async def test_more_time_that_the_head_has_granted_reaches_the_clock_of_the_law_with_its_reason(days: Days) -> None:
    await happen(days, lambda now: ExtensionRequested(now, "work", 12, WHY, "agency:x"))
    assert await days.due("decision") == date(2026, 3, 11)
    await happen(days, lambda now: ExtensionDecided(now, "work", granted=True, working_days=12, by="clerk:head"))
    assert await days.due("decision") == date(2026, 3, 25)  # 10 of the 12: the law allows no more
    assert WHY.en in next(entry for entry in await days.timeline() if entry.kind == "clock_extended").text.en


async def test_an_experts_time_does_not_count_where_the_law_says_so(days: Days) -> None:
    await happen(days, lambda now: ExpertAsked(now, "work", "o-1", "clerk:e", "clerk:c"))
    assert not (await days.shown("decision")).paused
    await happen(days, lambda now: ExpertAsked(now, "work", "o-2", "clerk:e", "clerk:c", basis="行政许可法第四十五条"))
    assert (await days.shown("decision")).paused
    await days.turn_to("2026-02-09")
    await happen(days, lambda now: ExpertAnswered(now, "work", "o-2", "clerk:e"))
    assert not (await days.shown("decision")).paused
    assert await days.due("decision") == date(2026, 3, 12)  # one working day was left out, 02-06
