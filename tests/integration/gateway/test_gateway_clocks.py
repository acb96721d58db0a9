# SPDX-License-Identifier: Apache-2.0
"""Clocks on a real database, in hands of several processes: each bell once, and of two who are at it one after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from services.gateway.domain.history import ClockRang
from services.gateway.events import to_wire
from services.gateway.service.clock_desk import ClockDesk, OnClock
from services.gateway.store import SqlGatewayStore
from services.gateway.store.clocks import clocks
from services.gateway.store.tables import notices
from services.kit.calendar import DeadlineNotRunning
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_clocks import Days, matter
from tests.support.gateway_matters import step, workflows_of
from tests.support.gateway_world import World
from tests.support.probe import resources

OPERATOR = Caller(CallerKind.OPERATOR, "op", frozenset({"gateway.clocks"}))
WHY = Text("原因", "Why")
PLAN = matter(step("work", limit={"promise": 3}), limits={"decision": {"terms": "decision", "promise": 5}})


class Pair:
    """Two processes of the gateway on one database, and the days that pass for both."""

    def __init__(self, days: Days, other: World) -> None:
        self.days = days
        self.other = other


@pytest.fixture
async def pair(database: str, tmp_path: Path) -> AsyncIterator[Pair]:
    days = Days(PLAN, "2026-02-05")
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            opened = SqlGatewayStore.open(resources(database, tmp_path, clock=days.clock), encode=to_wire)
            worlds.append(World(await stack.enter_async_context(opened), workflows_of(PLAN), days.clock))
        days.world = worlds[0]
        yield Pair(days, worlds[1])


async def test_every_bell_rings_once_in_whichever_process(pair: Pair) -> None:
    days = pair.days
    for _ in range(5):
        await days.submit()
    days.clock.forward(days=60)

    async def ring(world: World) -> int:
        rung = 0
        while await world.timers.fire():
            rung += 1
        return rung

    await asyncio.gather(*(ring(world) for world in (days.world, pair.other) for _ in range(3)))
    store = days.world.store
    assert isinstance(store, SqlGatewayStore)
    async with store.reading() as connection:
        rows = (await connection.execute(select(clocks).order_by(clocks.c.case_id, clocks.c.clock))).all()
        told = (await connection.execute(select(notices))).all()
    assert [(row.clock, row.state) for row in rows] == [("decision", "overdue"), ("step:work", "overdue")] * 5
    assert len(told) == 5 * 3  # two promises broken, and one limit of the law
    for case_id in {row.case_id for row in rows}:
        rang = [event for _, event in await store.events_after(case_id, 0) if isinstance(event, ClockRang)]
        bells = [(each.clock, each.bound, each.bell, each.number) for each in rang]
        assert len(bells) == len(set(bells)) == 9
    assert await store.next_due() is None


async def test_of_two_officers_who_stop_a_clock_one_does_and_the_other_hears_that_it_stands(pair: Pair) -> None:
    days = pair.days
    await days.submit()
    desks = [ClockDesk(days.world.engine), ClockDesk(pair.other.engine)]
    with acting_as(OPERATOR):
        commands = [OnClock(new_id(), days.case_id, "decision", WHY) for _ in desks]
        both = zip(desks, commands, strict=True)
        found = await asyncio.gather(*(desk.pause(each) for desk, each in both), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["CaseClocks", DeadlineNotRunning.__name__]
    assert (await days.kinds()).count("clock_paused") == 1


async def test_a_pause_that_races_the_end_comes_before_it_or_is_refused(pair: Pair) -> None:
    days = pair.days
    await days.submit()
    days.clock.forward(days=60)
    command = OnClock(new_id(), days.case_id, "decision", WHY)
    with acting_as(OPERATOR):
        racing = ClockDesk(pair.other.engine).pause(command)
        found, _ = await asyncio.gather(racing, days.world.timers.fire(), return_exceptions=True)
    assert isinstance(found, DeadlineNotRunning), "a bell that has not rung yet saves nobody"
    while await days.world.timers.fire():  # who found the case in other hands comes again
        pass
    assert (await days.shown("decision")).late


async def test_what_stands_in_rows_is_what_the_history_says(pair: Pair) -> None:
    days = pair.days
    await days.submit()
    await days.turn_to("2026-02-06")
    await days.work()
    store = pair.other.store
    assert isinstance(store, SqlGatewayStore)
    async with store.reading() as connection:
        rows = (await connection.execute(select(clocks).order_by(clocks.c.clock))).all()
    assert [(row.clock, row.state, row.ended == days.clock()) for row in rows] == [
        ("decision", "met", True),
        ("step:work", "met", True),
    ]
    assert await days.due("decision") == date(2026, 3, 11)
    assert await store.cases_counted_before({"cn": 99}, 10) == []
