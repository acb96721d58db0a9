# SPDX-License-Identifier: Apache-2.0
"""Durable deadlines: kept with the change, rung once, counted anew by a newer calendar. On SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from services.kit.calendar import (
    Bell,
    Calendars,
    DeadlineNotFound,
    Deadlines,
    Limit,
    Rung,
    State,
    Terms,
    Warn,
    dawn,
    deadline_table,
    published,
)
from services.kit.errors import VersionConflict
from services.kit.text import Text
from tests.support.probe import Probe, opened
from tests.support.probe.probe import ProbeTx

WHY = Text(zh="补正", en="correction of the application")
TERMS = Terms(limit=Limit(amount=5), warn=(Warn(left=2),), escalate=(Limit(amount=1),))
START = dawn(date(2026, 3, 2)) + timedelta(hours=9)


class Hands:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def to(self, day: str) -> None:
        self.now = dawn(date.fromisoformat(day)) + timedelta(hours=1)


async def noted(tx: ProbeTx, rung: Rung) -> None:
    await tx.add(f"{rung.owner} {rung.bell.value}", rung.number)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def store(database: str, tmp_path: Path, hands: Hands) -> AsyncIterator[Probe]:
    async with opened(database, tmp_path / "keys", clock=hands) as store:
        yield store


def desk(store: Probe, calendars: Calendars | None = None) -> Deadlines:
    deadlines = Deadlines(store, calendars or published())
    deadlines.react("answer", noted)
    return deadlines


async def rung_out(deadlines: Deadlines) -> None:
    while await deadlines.ring():
        pass


async def test_bells_ring_in_order_each_once(store: Probe, hands: Hands) -> None:
    deadlines = desk(store)
    async with store.transaction() as tx:
        reckoned = await deadlines.start(tx, "answer", "a", TERMS, hands.now)
    assert str(reckoned.due_date) == "2026-03-09"
    await rung_out(deadlines)
    assert await store.effects() == []
    hands.to("2026-03-20")
    await rung_out(deadlines)
    assert await store.effects() == [("a warning", 1), ("a expiry", 1), ("a escalation", 1)]
    deadline, _ = await deadlines.read("answer", "a")
    assert deadline.state is State.OVERDUE
    async with store.transaction() as tx:
        await deadlines.meet(tx, "answer", "a", hands.now)
    assert (await deadlines.read("answer", "a"))[0].state is State.MET


async def test_many_processes_ring_each_bell_once(database: str, tmp_path: Path, store: Probe, hands: Hands) -> None:
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(opened(database, tmp_path / "keys", clock=hands)) for _ in range(3)]
        async with store.transaction() as tx:
            for number in range(40):
                await desk(store).start(tx, "answer", f"{number}", TERMS, hands.now)
        hands.to("2026-03-20")
        await asyncio.gather(*(rung_out(desk(each)) for each in [store, *others]))
    effects = await store.effects()
    assert len(effects) == len(set(effects)) == 40 * 3


async def test_a_bell_whose_reaction_breaks_is_put_off_and_holds_nobody_up(store: Probe, hands: Hands) -> None:
    deadlines = Deadlines(store, published())
    broken = True

    async def breaks_once(tx: ProbeTx, rung: Rung) -> None:
        await noted(tx, rung)
        if rung.owner == "a" and broken:
            raise ZeroDivisionError

    deadlines.react("answer", breaks_once)
    async with store.transaction() as tx:
        await deadlines.start(tx, "answer", "a", TERMS.model_copy(update={"warn": (), "escalate": ()}), hands.now)
        await deadlines.start(tx, "answer", "b", TERMS.model_copy(update={"warn": (), "escalate": ()}), hands.now)
    hands.to("2026-03-10")
    await rung_out(deadlines)
    assert await store.effects() == [("b expiry", 1)]
    broken = False
    hands.now += timedelta(minutes=2)
    await rung_out(deadlines)
    assert await store.effects() == [("b expiry", 1), ("a expiry", 1)]


async def test_a_paused_or_withdrawn_deadline_rings_no_bell(store: Probe, hands: Hands) -> None:
    deadlines = desk(store)
    async with store.transaction() as tx:
        await deadlines.start(tx, "answer", "a", TERMS, hands.now)
        await deadlines.start(tx, "answer", "b", TERMS, hands.now)
    async with store.transaction() as tx:
        paused = await deadlines.change(tx, "answer", "a", lambda each: each.pause(hands.now, WHY))
        await deadlines.withdraw(tx, "answer", "b", hands.now)
    assert paused.due is None
    hands.to("2026-06-01")
    await rung_out(deadlines)
    assert await store.effects() == []
    async with store.transaction() as tx:
        resumed = await deadlines.change(tx, "answer", "a", lambda each: each.resume(hands.now))
    assert str(resumed.due_date) == "2026-06-05"


async def test_a_deadline_that_has_run_out_is_told_before_it_may_change(store: Probe, hands: Hands) -> None:
    deadlines = desk(store)
    async with store.transaction() as tx:
        await deadlines.start(tx, "answer", "a", TERMS.model_copy(update={"warn": ()}), hands.now)
    hands.to("2026-03-10")
    with pytest.raises(VersionConflict):
        async with store.transaction() as tx:
            await deadlines.change(tx, "answer", "a", lambda each: each.pause(hands.now, WHY))
    async with store.transaction() as tx:
        late = await deadlines.meet(tx, "answer", "a", hands.now)
    assert late.due is not None
    assert late.due < hands.now
    await rung_out(deadlines)
    assert await store.effects() == []


async def test_a_newer_calendar_moves_what_an_older_one_counted_and_once_is_enough(store: Probe, hands: Hands) -> None:
    hands.to("2026-12-28")
    deadlines = desk(store)
    async with store.transaction() as tx:
        for number in range(450):
            before = await deadlines.start(tx, "answer", f"{number}", TERMS, hands.now)
    assert (str(before.due_date), before.provisional) == ("2027-01-05", True)
    cn = published().of("")
    holiday = replace(cn.day(date(2027, 1, 1)), provisional=False)
    newer = replace(
        cn,
        version=cn.version + 1,
        years=cn.years | {2027},
        exceptions={**cn.exceptions, date(2027, 1, 1): holiday, date(2027, 1, 4): holiday},
    )
    later = desk(store, Calendars({"": newer}))
    assert await later.recount() == 450
    assert await later.recount() == 0
    assert await desk(store).recount() == 0
    _, reckoned = await later.read("answer", "7")
    assert (str(reckoned.due_date), reckoned.provisional) == ("2027-01-06", False)
    hands.to("2027-01-06")
    await rung_out(later)
    assert {key.split()[1] for key, _ in await store.effects()} == {Bell.WARNING.value}


async def test_a_change_that_is_undone_leaves_the_deadline_as_it_was(store: Probe, hands: Hands) -> None:
    deadlines = desk(store)
    with pytest.raises(ZeroDivisionError):
        async with store.transaction() as tx:
            await deadlines.start(tx, "answer", "a", TERMS, hands.now)
            raise ZeroDivisionError
    with pytest.raises(DeadlineNotFound):
        await deadlines.read("answer", "a")


async def test_the_desk_runs_by_itself(store: Probe, hands: Hands) -> None:
    deadlines = desk(store)
    async with store.transaction() as tx:
        await deadlines.start(tx, "answer", "a", TERMS, hands.now)
    hands.to("2026-03-20")
    running = asyncio.create_task(deadlines.run())
    try:
        async with asyncio.timeout(10):
            while len(await store.effects()) < 3:
                await asyncio.sleep(0.05)
    finally:
        running.cancel()


async def test_one_that_can_not_be_read_neither_stops_the_start_nor_the_others(store: Probe, hands: Hands) -> None:
    async with store.transaction() as tx:
        for owner in ("a", "b"):
            await desk(store).start(tx, "answer", owner, TERMS, hands.now)
        table = deadline_table(store.metadata)
        await tx.connection.execute(table.update().where(table.c.owner == "a").values(terms={"of": "a later release"}))
    cn = published().of("")
    later = desk(store, Calendars({"": replace(cn, version=cn.version + 1)}))
    assert await later.recount() == 2
    assert await later.recount() == 0
    hands.to("2026-03-20")
    await rung_out(later)
    assert [key for key, _ in await store.effects()] == ["b warning", "b expiry", "b escalation"]
