# SPDX-License-Identifier: Apache-2.0
"""Lines that other processes hold: found, asked in turns, never twice for one question."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderBusy, ProviderUnavailable
from services.exchange.service.connectors import ConnectorHub, Outcome, WorkAnswer
from services.exchange.service.lines import LOOK_SECONDS, Elsewhere, keep_said
from services.kit.errors import Unavailable
from tests.support.exchange_world import HOUSEHOLD, NOW, NUMBER, POLICE, RECORD, household

INQUIRY = Inquiry(HOUSEHOLD, NUMBER, ("address",), timeout_seconds=5)
FOUND = WorkAnswer(Outcome.FOUND, RECORD)
HERE = "127.0.0.1:1"


class Rows:
    """The rows of lines, and how often they were looked at."""

    def __init__(self) -> None:
        self.lines: dict[str, Collection[tuple[str, str]]] = {}
        self.looks = 0
        self.writes = 0
        self.away = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Rows"]:
        if self.away:
            raise Unavailable("The database is away.")
        yield self

    async def save_lines(
        self, address: str, lines: Collection[tuple[str, str]], *, now: datetime, before: datetime
    ) -> None:
        assert before < now
        self.writes += 1
        self.lines[address] = lines

    async def lines_of(self, provider: str, resource: str, *, since: datetime, limit: int) -> Sequence[str]:
        assert since < NOW
        self.looks += 1
        return [each for each, lines in self.lines.items() if (provider, resource) in lines][:limit]


class Others:
    """The other processes, with what each says."""

    def __init__(self) -> None:
        self.answers: dict[str, WorkAnswer] = {}
        self.asked: list[str] = []

    async def ask(self, address: str, _provider: str, _inquiry: Inquiry) -> WorkAnswer:
        self.asked.append(address)
        if address not in self.answers:
            raise ProviderUnavailable("Gone.")
        return self.answers[address]


class Place:
    """One process among others."""

    def __init__(self) -> None:
        self.rows, self.others, self.now = Rows(), Others(), 0.0
        self.hub = ConnectorHub(clock=lambda: NOW, in_flight_max=1)
        self.hub.others = self.elsewhere = Elsewhere(
            self.rows, self.others, host="127.0.0.1", clock=lambda: NOW, monotonic=lambda: self.now
        )
        self.elsewhere.reached(1)

    def hold(self, address: str, answer: WorkAnswer | None = None) -> None:
        self.rows.lines[address] = {(POLICE, HOUSEHOLD)}
        if answer is not None:
            self.others.answers[address] = answer

    async def ask(self) -> Any:
        return await self.hub.ask(POLICE, INQUIRY)


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_question_goes_to_the_process_that_has_the_line(place: Place) -> None:
    place.hold("b", FOUND)
    assert await place.ask() == RECORD
    place.others.answers["b"] = WorkAnswer(Outcome.NOT_FOUND)
    assert await place.ask() is None
    assert place.rows.looks == 1
    await place.hub.must_hold(POLICE, HOUSEHOLD)


async def test_a_line_of_this_process_comes_first_and_is_no_other_ones(place: Place) -> None:
    place.hold(HERE)
    place.hold("b", FOUND)
    with place.hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        asking = asyncio.create_task(place.ask())
        work = await anext(line.work())
        assert place.others.asked == []
        # Its only place is taken: the other process has one.
        assert await place.ask() == RECORD
        assert line.deliver(work.work_id, FOUND)
        await asking
    del place.rows.lines["b"]
    place.now += LOOK_SECONDS
    with pytest.raises(ProviderUnavailable):
        await place.ask()
    assert place.others.asked == ["b"]


async def test_a_process_that_was_not_asked_passes_the_question_on_one_that_was_lost_does_not(place: Place) -> None:
    place.hold("b", WorkAnswer(Outcome.NO_LINE))
    place.hold("c", WorkAnswer(Outcome.FULL))
    with pytest.raises(ProviderBusy):
        await place.ask()
    place.hold("d", FOUND)
    place.now += LOOK_SECONDS
    assert await place.ask() == RECORD
    place.rows.lines.clear()
    place.others.answers.clear()
    place.hold("gone")
    place.hold("e", FOUND)
    place.now += LOOK_SECONDS
    place.others.asked.clear()
    with pytest.raises(ProviderUnavailable):
        await place.ask()
    assert place.others.asked == ["gone"]


async def test_processes_take_turns(place: Place) -> None:
    place.hold("b", FOUND)
    place.hold("c", FOUND)
    for _ in range(4):
        await place.ask()
    assert sorted(place.others.asked) == ["b", "b", "c", "c"]


async def test_nobody_there_is_looked_for_once_a_second(place: Place) -> None:
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            await place.ask()
    assert place.rows.looks == 1
    place.hold("b", FOUND)
    place.now += LOOK_SECONDS
    assert await place.ask() == RECORD
    with pytest.raises(ProviderUnavailable):
        await place.hub.must_hold(POLICE, "other")


async def test_lines_are_said_when_they_come_and_go_and_in_the_end_none(place: Place) -> None:
    saying = asyncio.create_task(keep_said(place.hub, place.elsewhere, place.rows, clock=lambda: NOW))
    await asyncio.sleep(0)
    assert place.rows.writes == 0, "who holds nothing says nothing"
    with place.hub.line(POLICE, {HOUSEHOLD: household()}):
        while place.rows.lines.get(HERE) != {(POLICE, HOUSEHOLD)}:
            await asyncio.sleep(0)
    while place.rows.lines[HERE]:
        await asyncio.sleep(0)
    with place.hub.line(POLICE, {HOUSEHOLD: household()}):
        while not place.rows.lines[HERE]:
            await asyncio.sleep(0)
        saying.cancel()
        await asyncio.wait({saying})
        assert not place.rows.lines[HERE]


async def test_rows_that_can_not_be_read_refuse_in_words(place: Place) -> None:
    async def broken(*_: Any, **__: Any) -> Sequence[str]:
        raise Unavailable("The database is away.")

    place.rows.lines_of = broken  # type: ignore[method-assign] # this store is ours
    with pytest.raises(Unavailable):
        await place.ask()
