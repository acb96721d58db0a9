# SPDX-License-Identifier: Apache-2.0
"""Subscriptions: in order, at least once, only granted fields of watched subjects, and gaps are told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.domain.subscriptions import UNHELD_MAX, Flow, Gap, Log, Notice, gap_of
from services.exchange.domain.terms import PLAIN, Method, Terms
from services.exchange.service.change_stream import CaughtUp, ChangeStream, Told
from services.exchange.service.consents import WithdrawConsent
from services.exchange.service.subscriptions import PublishChanges, WatchSubjects
from services.kit.caller import Caller, CallerKind
from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld, a_consent, calls_world, number, person
from tests.support.exchange_subscriber import PROVIDER, opened, publish, subscribed
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD, asking


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallsWorld]:
    async with calls_world(tmp_path) as world:
        await world.granted()
        yield world


async def refused(work: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await work
    return refusal.value.reason


async def heard(stream: ChangeStream, until: int, *, acknowledging: bool = True) -> list[Told | CaughtUp | Gap]:
    """Everything up to a position of the log."""
    found: list[Told | CaughtUp | Gap] = []
    with asking():
        async with asyncio.timeout(10), aclosing(stream.told()) as told:
            async for one in told:
                found.append(one)
                if acknowledging:
                    await stream.acknowledge(position_of(one))
                if position_of(one) >= until:
                    break
    return found


def position_of(one: Told | CaughtUp | Gap) -> int:
    return one.change.position if isinstance(one, Told) else one.last if isinstance(one, Gap) else one.position


def told(found: Sequence[Any]) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(one.change.position, one.change.subject_id, one.fields) for one in found if isinstance(one, Told)]


async def test_a_watched_subjects_change_is_told_with_values_and_a_leaf(world: CallsWorld) -> None:
    stream = await opened(world, await subscribed(world, 1, 2))
    last = await publish(world, 1, 3, 2)
    found = await heard(stream, last)
    assert told(found) == [(1, person(1).value, ("address",)), (3, person(2).value, ("address",))]
    assert [one.values for one in found if isinstance(one, Told)] == [{"address": "001"}, {"address": "002"}]
    leaves = await world.leaves()
    assert [(leaf["operation"], leaf["fields"], leaf["outcome"]) for leaf in leaves] == [
        ("change_told", ["address"], "answered")
    ] * 2
    assert [one.receipt.index for one in found if isinstance(one, Told)] == [0, 1]


async def test_names_only_asks_no_provider(world: CallsWorld) -> None:
    stream = await opened(world, await subscribed(world, 1, with_values=False))
    (one,) = await heard(stream, await publish(world, 1))
    assert isinstance(one, Told)
    assert (one.values, one.fields) == (None, ("address",))
    assert world.provider.asked == []
    assert len(await world.leaves()) == 1


async def test_fields_that_are_not_granted_are_not_told(world: CallsWorld) -> None:
    stream = await opened(world, await subscribed(world, 1))
    await publish(world, 1, fields=("head_name", "relation"))
    last = await publish(world, 1, fields=("relation", "address"))
    found = await heard(stream, last)
    assert told(found) == [(2, person(1).value, ("address",))]
    assert len(await world.leaves()) == 1


async def test_what_was_not_acknowledged_comes_again(world: CallsWorld) -> None:
    subscription = await subscribed(world, 1, 2)
    last = await publish(world, 1, 2, 1)
    first = await heard(await opened(world, subscription), last, acknowledging=False)
    again = await opened(world, subscription)
    assert told(await heard(again, last)) == told(first)
    third = await opened(world, subscription)
    assert third.subscription.position == last


async def test_what_was_published_before_is_not_told(world: CallsWorld) -> None:
    await publish(world, 1, 1)
    stream = await opened(world, await subscribed(world, 1))
    last = await publish(world, 1)
    assert [one[0] for one in told(await heard(stream, last))] == [3]


async def test_a_gap_is_told_once_changes_are_gone(world: CallsWorld) -> None:
    subscription = await subscribed(world, 1)
    await publish(world, 1, 1)
    world.later(8 * 86_400)
    last = await publish(world, 1)
    assert await world.subscriptions.drop_expired() == 2
    found = await heard(await opened(world, subscription), last)
    assert found[0] == Gap(1, 2)
    assert [one[0] for one in told(found)] == [3]
    assert await world.subscriptions.drop_expired() == 0


async def test_a_newer_stream_takes_the_subscription_over(world: CallsWorld) -> None:
    subscription = await subscribed(world, 1)
    first = await opened(world, subscription)
    await opened(world, subscription)
    await publish(world, 1)
    assert await refused(heard(first, 1)) == "SUBSCRIPTION_TAKEN_OVER"


async def test_an_ended_subscription_tells_nothing(world: CallsWorld) -> None:
    subscription = await subscribed(world, 1)
    stream = await opened(world, subscription)
    for _ in range(2):
        with asking():
            await world.subscriptions.end(subscription.subscription_id, HOSPITAL_CALLER)
    assert await refused(heard(stream, 1)) == "SUBSCRIPTION_ENDED"
    assert await refused(opened(world, subscription)) == "SUBSCRIPTION_ENDED"


async def test_a_silent_provider_ends_the_stream_and_nothing_is_skipped(world: CallsWorld) -> None:
    async def down(_: Any) -> Any:
        raise ProviderUnavailable("Down.")

    subscription = await subscribed(world, 1)
    stream = await opened(world, subscription)
    last = await publish(world, 1)
    world.provider.answer = down
    assert await refused(heard(stream, last)) == "PROVIDER_UNAVAILABLE"
    world.provider.answer = None
    assert len(told(await heard(await opened(world, subscription), last))) == 1
    assert [leaf["outcome"] for leaf in await world.leaves()] == ["PROVIDER_UNAVAILABLE", "answered"]


async def test_a_record_that_is_gone_is_told_as_such(world: CallsWorld) -> None:
    stream = await opened(world, await subscribed(world, 1))
    world.provider.without = {number(1)}
    (one,) = await heard(stream, await publish(world, 1))
    assert isinstance(one, Told)
    assert (one.outcome, one.values) == ("NOT_FOUND", None)
    assert [leaf["outcome"] for leaf in await world.leaves()] == ["NOT_FOUND"]


@pytest.mark.parametrize("with_values", [True, False])
async def test_without_consent_not_even_the_change_is_told(tmp_path: Path, with_values: bool) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=Terms(methods=(Method.SUBSCRIBE,), consent=True), fields=("address",))
        resident = Caller(CallerKind.CITIZEN, person(1).value)
        with asking(resident):
            given = await world.consents.give(a_consent(world.now), resident)
        stream = await opened(world, await subscribed(world, 1, 2, with_values=with_values))
        last = await publish(world, 1, 2)
        assert [one[0] for one in told(await heard(stream, last))] == [1]
        with asking(resident):
            await world.consents.withdraw(WithdrawConsent(new_id(), given.consent_id), resident)
        last = await publish(world, 1)
        assert told(await heard(stream, last)) == []
        outcomes = [leaf["outcome"] for leaf in await world.leaves() if leaf["operation"] == "change_told"]
    assert outcomes == ["answered", "CONSENT_MISSING", "CONSENT_MISSING"]


async def test_only_a_grant_that_allows_it_and_only_the_provider(world: CallsWorld, tmp_path: Path) -> None:
    assert await refused(publish(world, 1, caller=HOSPITAL_CALLER)) == "RIGHT_MISSING"
    other = Caller(CallerKind.AGENCY, HOSPITAL_CALLER.id, frozenset({"exchange.provide"}))
    assert await refused(publish(world, 1, caller=other)) == "RESOURCE_NOT_OWNED"
    assert await refused(publish(world, 1, fields=("salary",))) == "REQUEST_INVALID"
    async with calls_world(tmp_path / "other") as plain:
        await plain.granted(terms=PLAIN)
        assert await refused(subscribed(plain, 1)) == "METHOD_NOT_GRANTED"


async def test_the_same_notice_twice_is_one_change(world: CallsWorld) -> None:
    command = PublishChanges(new_id(), HOUSEHOLD, (Notice(person(1), ("address",)),))
    with asking(PROVIDER):
        for _ in range(2):
            assert await world.subscriptions.publish(command, PROVIDER) == 1
    assert (await world.told()).count("ChangesPublished") == 1


async def test_who_is_no_longer_watched_is_no_longer_told(world: CallsWorld) -> None:
    subscription = await subscribed(world, 1, 2)
    assert subscription.watched == 2
    command = WatchSubjects(subscription.subscription_id, (person(2),), (person(1),))
    with asking():
        for _ in range(2):
            after, ids = await world.subscriptions.watch(command, HOSPITAL_CALLER)
    assert (after.watched, ids) == (1, [person(2).value])
    last = await publish(world, 1, 2)
    assert [one[1] for one in told(await heard(await opened(world, after), last))] == [person(2).value]


async def test_whoever_nobody_knows_is_watched_by_a_mark_of_their_number(world: CallsWorld) -> None:
    stranger = Subject(SubjectKind.NUMBER, "990100199003070999")
    made = await subscribed(world, 1)
    with asking():
        watching = WatchSubjects(made.subscription_id, (stranger,), ())
        _, (mark,) = await world.subscriptions.watch(watching, HOSPITAL_CALLER)
    assert mark.startswith("number:")
    assert stranger.value not in mark
    with asking(PROVIDER):
        notice = PublishChanges(new_id(), HOUSEHOLD, (Notice(stranger, ("address",)),))
        last = await world.subscriptions.publish(notice, PROVIDER)
    ((_, subject_id, _),) = told(await heard(await opened(world, made), last))
    assert subject_id == mark
    assert world.provider.keys == [stranger.value]


async def test_a_waiting_stream_is_woken_by_a_notice(world: CallsWorld) -> None:
    stream = await opened(world, await subscribed(world, 1))
    hearing = asyncio.create_task(heard(stream, 1))
    await asyncio.sleep(0.05)
    await publish(world, 1)
    async with asyncio.timeout(2):
        assert len(told(await hearing)) == 1


async def test_no_more_is_sent_than_may_be_open(world: CallsWorld) -> None:
    stream = await opened(world, await subscribed(world, 1, with_values=False))
    for _ in range(2):
        await publish(world, *([1] * 300))
    sent = 0
    with asking():
        async with aclosing(stream.told()) as changes:
            for _ in range(UNHELD_MAX):
                await anext(changes)
                sent += 1
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await stream.acknowledge(sent)
            async with asyncio.timeout(2):
                assert position_of(await waiting) == sent + 1


def test_positions_are_acknowledged_only_once_sent() -> None:
    flow = Flow(5)
    flow.send(6)
    flow.send(9)
    assert flow.acknowledge(6)
    assert not flow.acknowledge(6)
    assert flow.unheld == [9]
    with pytest.raises(Refusal):
        flow.acknowledge(10)


@pytest.mark.parametrize(("first", "position", "gap"), [(1, 0, None), (4, 3, None), (4, 1, Gap(2, 3)), (4, 9, None)])
def test_a_gap_is_what_is_gone_and_was_never_held(first: int, position: int, gap: Gap | None) -> None:
    assert gap_of(Log(first, 10), position) == gap
