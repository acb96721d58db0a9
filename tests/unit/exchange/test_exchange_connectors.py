# SPDX-License-Identifier: Apache-2.0
"""Lines of providers that dial out: matched by work id, in turns, bounded, failed at once when one drops."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable, ResourceNotOwned
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind, SqlSettings
from services.exchange.service.connectors import ConnectorHub, Line, Outcome, Work, WorkAnswer
from tests.support.exchange_world import HEALTH, HOUSEHOLD, NOW, NUMBER, POLICE, RECORD, household

INQUIRY = Inquiry(HOUSEHOLD, NUMBER, ("address",), timeout_seconds=5)
FOUND = WorkAnswer(Outcome.FOUND, RECORD)


@pytest.fixture
def hub() -> ConnectorHub:
    return ConnectorHub(clock=lambda: NOW, in_flight_max=2)


def asked(hub: ConnectorHub) -> "asyncio.Task[Mapping[str, Any] | None]":
    return asyncio.create_task(hub.ask(POLICE, INQUIRY, traceparent="00-x"))


async def next_work(line: Line) -> Work:
    return await anext(line.work())


@pytest.mark.parametrize(
    "resource",
    [
        None,
        household(provider=HEALTH),
        household(adapter=AdapterKind.SQL, settings=SqlSettings("sqlite:////x", "SELECT 1")),
    ],
)
def test_a_connector_serves_only_its_own_resources(hub: ConnectorHub, resource: Resource | None) -> None:
    with pytest.raises(ResourceNotOwned), hub.line(POLICE, {HOUSEHOLD: resource}):
        pass


async def test_an_answer_finds_its_asker_by_work_id(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        first, second = asked(hub), asked(hub)
        works = [await next_work(line), await next_work(line)]
        assert works[0].subject_key == NUMBER
        assert works[0].traceparent == "00-x"
        assert NUMBER not in repr(works[0])
        assert line.deliver(works[1].work_id, WorkAnswer(Outcome.NOT_FOUND))
        assert line.deliver(works[0].work_id, FOUND)
        assert [await first, await second] == [RECORD, None]


async def test_an_answer_counts_once_and_only_for_known_work(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        asking = asked(hub)
        work = await next_work(line)
        assert not line.deliver("another", FOUND)
        assert line.deliver(work.work_id, FOUND)
        assert not line.deliver(work.work_id, FOUND)
        await asking
        assert not line.deliver(work.work_id, FOUND)


async def test_a_dropped_line_fails_its_open_work_at_once(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}):
        asking = asked(hub)
        await asyncio.sleep(0)
    with pytest.raises(ProviderUnavailable):
        await asking
    with pytest.raises(ProviderUnavailable):
        await hub.ask(POLICE, INQUIRY)


async def test_lines_of_one_provider_take_turns(hub: ConnectorHub) -> None:
    with (
        hub.line(POLICE, {HOUSEHOLD: household()}) as one,
        hub.line(POLICE, {HOUSEHOLD: household()}) as two,
    ):
        asking = [asked(hub), asked(hub)]
        for line in (one, two):
            line.deliver((await next_work(line)).work_id, FOUND)
        assert await asyncio.gather(*asking) == [RECORD, RECORD]


async def test_a_line_that_drops_leaves_its_work_to_the_others(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as stays:
        with hub.line(POLICE, {HOUSEHOLD: household()}):
            pass
        asking = asked(hub)
        stays.deliver((await next_work(stays)).work_id, FOUND)
        assert await asking == RECORD


async def test_a_full_line_takes_no_more(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}):
        waiting = [asked(hub), asked(hub)]
        await asyncio.sleep(0)
        with pytest.raises(ProviderBusy):
            await hub.ask(POLICE, INQUIRY)
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_work_that_nobody_waits_for_is_not_sent(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        gone, stays = asked(hub), asked(hub)
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        line.deliver((await next_work(line)).work_id, FOUND)
        assert await stays == RECORD


async def test_a_register_that_could_not_be_asked_is_no_missing_record(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        for outcome, error in ((Outcome.FAILED, ProviderUnavailable), (Outcome.INVALID, ProviderAnswerInvalid)):
            asking = asked(hub)
            line.deliver((await next_work(line)).work_id, WorkAnswer(outcome))
            with pytest.raises(error):
                await asking


async def test_a_resource_that_changed_hands_is_not_asked_of_the_former_provider(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}), pytest.raises(ProviderUnavailable):
        await hub.ask(HEALTH, INQUIRY)


async def test_a_stopping_service_ends_every_line(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        asking = asked(hub)
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(ProviderUnavailable):
            await asking
        assert [work async for work in line.work()] == []


async def test_a_line_that_takes_nothing_piles_up_nothing(hub: ConnectorHub) -> None:
    with hub.line(POLICE, {HOUSEHOLD: household()}) as line:
        for _ in range(2):
            late = asked(hub)
            await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait({late})
        with pytest.raises(ProviderBusy):
            await hub.ask(POLICE, INQUIRY, traceparent="00-x")
        reading = asyncio.create_task(next_work(line))
        await asyncio.sleep(0.01)
        answered = asked(hub)
        work = await reading
        assert line.deliver(work.work_id, FOUND)
        assert await answered == RECORD, "once it takes again, it is asked again"
