# SPDX-License-Identifier: Apache-2.0
"""Breaker, budget and time limit of providers; quotas."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.exchange.domain.breaker import Breaker
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable, QuotaExceeded
from services.exchange.service.providers import Limits
from services.exchange.service.quotas import Quotas
from tests.support.exchange_world import HOUSEHOLD, NUMBER, RECORD, World, household

FOUND = {"address": RECORD["address"]}
INQUIRY = Inquiry(HOUSEHOLD, NUMBER, ("address",), timeout_seconds=0.05)


def test_a_breaker_opens_at_its_bound_and_not_before() -> None:
    breaker = Breaker(failures_max=3, open_seconds=10)
    for _ in range(2):
        breaker = breaker.failed(now=0)
    assert breaker.allows(0)
    breaker = breaker.failed(now=0)
    assert not breaker.allows(9.99)
    assert breaker.allows(10)


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker(failures_max=2, open_seconds=10).failed(0).succeeded().failed(0)
    assert breaker.allows(0)


def test_an_open_breaker_lets_one_question_try() -> None:
    breaker = Breaker(failures_max=1, open_seconds=10).failed(0)
    trying = breaker.begun()
    assert not trying.allows(11)
    assert trying.succeeded() == Breaker(failures_max=1, open_seconds=10)
    assert not trying.failed(11).allows(20.9)
    assert trying.withdrawn().allows(11)


async def test_one_trial_at_a_time_reaches_a_failing_provider() -> None:
    world = World(limits=Limits(failures_max=1, open_seconds=10))
    with world.hung():
        with pytest.raises(ProviderUnavailable):
            await world.providers.ask(household(), INQUIRY)
        world.later(10)
        trial = asyncio.create_task(world.providers.ask(household(), replace(INQUIRY, timeout_seconds=5)))
        await asyncio.sleep(0)
        with pytest.raises(ProviderUnavailable):
            await world.providers.ask(household(), INQUIRY)
    assert await trial == FOUND
    assert len(world.provider.asked) == 2


async def test_an_asker_who_goes_away_says_nothing_about_the_provider() -> None:
    world = World(limits=Limits(failures_max=1, open_seconds=10))
    with world.hung():
        asking = asyncio.create_task(world.providers.ask(household(), replace(INQUIRY, timeout_seconds=5)))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    world.provider.answer = None
    assert await world.providers.ask(household(), INQUIRY) == FOUND


async def test_a_provider_gets_so_many_questions_at_once_and_no_more() -> None:
    world = World(limits=Limits(in_flight_max=2))
    with world.hung() as released:
        patient = replace(INQUIRY, timeout_seconds=5)
        asking = [asyncio.create_task(world.providers.ask(household(), patient)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ProviderBusy):
            await world.providers.ask(household(), patient)
        released.set()
        assert await asyncio.gather(*asking) == [FOUND, FOUND]
    assert await world.providers.ask(household(), patient) == FOUND


async def test_a_bad_record_does_not_open_the_breaker() -> None:
    world = World(limits=Limits(failures_max=1))

    async def lie(_: Inquiry) -> None:
        raise ProviderAnswerInvalid("Not JSON.")

    world.provider.answer = lie
    for _ in range(3):
        with pytest.raises(ProviderAnswerInvalid):
            await world.providers.ask(household(), INQUIRY)


async def test_one_provider_that_fails_does_not_close_another() -> None:
    world = World(limits=Limits(failures_max=1))
    with world.hung(), pytest.raises(ProviderUnavailable):
        await world.providers.ask(household(), INQUIRY)
    world.provider.answer = None
    other = household(provider="11990100000001054B", code="307001/000001")
    assert await world.providers.ask(other, INQUIRY) == FOUND


async def test_a_changed_resource_gets_a_new_adapter_and_the_old_one_closes_after_its_last_user() -> None:
    world = World()
    with world.hung() as released:
        old = asyncio.create_task(world.providers.ask(household(revision=1), replace(INQUIRY, timeout_seconds=5)))
        await asyncio.sleep(0)
        world.provider.answer = None
        await world.providers.ask(household(revision=2), INQUIRY)
        assert world.provider.closed == 0
        released.set()
        await old
    assert world.provider.closed == 1
    await world.providers.close()
    assert world.provider.closed == 2


async def test_no_more_adapters_are_held_than_the_bound_and_none_is_closed_under_a_question() -> None:
    world = World(limits=Limits(adapters_max=2))
    with world.hung() as released:
        slow = asyncio.create_task(world.providers.ask(household(code="a"), replace(INQUIRY, timeout_seconds=5)))
        await asyncio.sleep(0)
        world.provider.answer = None
        for code in ("b", "c", "d", "d", "c", "e"):
            await world.providers.ask(household(code=code), INQUIRY)
            assert len(world.providers.held) <= 2
        assert world.providers.held == ("c", "e")
        assert world.provider.closed == 2  # b and d; a has a question under way
        released.set()
        assert await slow == FOUND
    assert world.provider.closed == 3
    await world.providers.close()
    assert world.provider.closed == 5


async def test_a_resource_that_was_withdrawn_holds_no_adapter() -> None:
    world = World()
    await world.providers.ask(household(), INQUIRY)
    await world.providers.let_go(HOUSEHOLD)
    assert (world.providers.held, world.provider.closed) == ((), 1)
    with world.hung() as released:
        slow = asyncio.create_task(world.providers.ask(household(), replace(INQUIRY, timeout_seconds=5)))
        await asyncio.sleep(0)
        await world.providers.let_go(HOUSEHOLD)
        assert world.provider.closed == 1
        released.set()
        assert await slow == FOUND
    assert world.provider.closed == 2


async def used(quotas: Quotas, quota: int) -> int:
    calls = 0
    while True:
        try:
            await quotas.take("grant", quota)
        except QuotaExceeded:
            return calls
        calls += 1


@pytest.mark.parametrize("quota", [1, 5, 199, 1000, 20_000])
async def test_a_day_has_exactly_as_many_calls_as_its_quota(quota: int) -> None:
    world = World()
    assert await used(world.quotas, quota) == quota


async def test_two_processes_share_one_quota() -> None:
    world = World()
    other = Quotas(world.store, own_per_day=1, clock=world.clock, monotonic=world.monotonic)
    await world.quotas.take("grant", 1000)
    assert await used(other, 1000) == 950
    assert await used(world.quotas, 1000) == 49


async def test_what_a_stopping_process_held_is_given_back() -> None:
    world = World()
    await world.quotas.take("grant", 1000)
    await world.quotas.close()
    assert sum(world.store.rows.counts.values()) == 1


async def test_a_new_day_in_china_has_a_new_quota() -> None:
    world = World()
    world.now = datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC)
    assert await used(world.quotas, 3) == 3
    with pytest.raises(QuotaExceeded) as exceeded:
        await world.quotas.take("grant", 3)
    assert exceeded.value.retry_after_seconds == 1
    world.later(1)
    assert await used(world.quotas, 3) == 3


async def test_without_a_quota_nothing_is_counted() -> None:
    world = World()
    for _ in range(3):
        await world.quotas.take("grant", 0)
    assert world.store.rows.counts == {}


async def test_concurrent_calls_never_exceed_the_quota() -> None:
    world = World()
    outcomes = await asyncio.gather(*(world.quotas.take("grant", 50) for _ in range(80)), return_exceptions=True)
    assert [type(each) for each in outcomes].count(QuotaExceeded) == 30
