# SPDX-License-Identifier: Apache-2.0
"""Streams of batches and subscriptions, cut at random moments, against models of who receives them."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.exchange.service.change_stream import Told
from services.kit.errors import Refusal
from tests.support.exchange_calls import CallsWorld, calls_world, number, person
from tests.support.exchange_receiver import Receiver
from tests.support.exchange_subscriber import opened, publish, subscribed
from tests.support.exchange_world import asking

PEOPLE = [person(at) for at in range(250)]


async def test_a_receiver_who_never_says_what_he_holds_is_waited_for(tmp_path: Path) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted()
        with asking():
            await _never_says(world)


async def _never_says(world: CallsWorld) -> None:
    world.provider.padding = "x" * 900_000
    receiver = Receiver(world)
    await receiver.open()
    with pytest.raises(Refusal) as refusal:
        while True:
            async for part in receiver.stream.answer(PEOPLE[:4], received=0):
                receiver.hold(part)
    assert refusal.value.reason == "BATCH_NOT_HELD"
    assert len(receiver.rows) <= 84
    await receiver.ask(PEOPLE[:4])


BREAK = st.lists(st.integers(0, 60), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(breaks=BREAK, sent=st.integers(1, 40), total=st.integers(0, 120))
async def test_however_often_it_breaks_each_row_is_made_once(
    tmp_path_factory: pytest.TempPathFactory, breaks: list[int], sent: int, total: int
) -> None:
    """Model: a receiver whose stream breaks after it has held so many rows more, any number of times."""
    async with calls_world(tmp_path_factory.mktemp("batch")) as world:
        await world.granted()
        receiver = Receiver(world)
        with asking():
            for allowed in [*breaks, 10**6]:
                opened = await receiver.open(kept_too=False)
                goal = len(receiver.rows) + allowed
                broken = False
                async for part in receiver.stream.kept():
                    if len(receiver.rows) >= goal:
                        broken = True
                        break
                    receiver.hold(part)
                at = opened.position
                while not broken and at < total:
                    next_ones = [person(each) for each in range(at, min(total, at + sent))]
                    async for part in receiver.stream.answer(next_ones, received=len(receiver.rows)):
                        if len(receiver.rows) >= goal:
                            broken = True
                            break
                        receiver.hold(part)
                    at += len(next_ones)
            closed = await receiver.close()
        assert closed.counted == receiver.report
        assert [json.loads(row.values)["household_number"] for row in receiver.rows] == [
            f"{at:06d}" for at in range(total)
        ]
        assert sorted(world.provider.keys) == [number(at) for at in range(total)]
        assert len(await world.leaves()) == total


@dataclass
class Subscriber:
    """Holds changes by position, and is cut off at any moment."""

    changes: dict[int, str] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    held: int = 0


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rounds=st.lists(
        st.tuples(st.lists(st.integers(0, 3), max_size=12), st.integers(0, 20), st.integers(0, 5)), max_size=6
    )
)
async def test_in_order_and_at_least_once_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[list[int], int, int]]
) -> None:
    """Model: each round publishes, hears so many, and acknowledges all but so many of what it has heard."""
    async with calls_world(tmp_path_factory.mktemp("changes")) as world:
        await world.granted()
        subscription = await subscribed(world, 0, 1, with_values=False)
        subscriber, published = Subscriber(), []
        for people, hears, behind in [*rounds, ([0], 10**6, 0)]:
            if people:
                last = await publish(world, *people)
                published += people
            if not published:
                continue
            stream = await opened(world, subscription)
            assert stream.subscription.position == subscriber.held
            heard_now = 0
            with asking():
                async with asyncio.timeout(10), aclosing(stream.told()) as changes:
                    while heard_now < hears and stream._flow.sent < last:
                        one = await anext(changes)
                        heard_now += 1
                        if isinstance(one, Told):
                            subscriber.changes.setdefault(one.change.position, one.change.subject_id)
                            subscriber.order.append(one.change.position)
                    reached = max(subscriber.held, stream._flow.sent - behind)
                    await stream.acknowledge(reached)
                    subscriber.held = reached
        expected = {at + 1: person(who).value for at, who in enumerate(published) if who in {0, 1}}
        assert subscriber.changes == expected
        for earlier, later in zip(subscriber.order, subscriber.order[1:], strict=False):
            assert later > earlier or later in subscriber.order[: subscriber.order.index(earlier) + 1]
        leaves = await world.leaves()
        assert len(leaves) >= len(expected)
        assert {json.dumps(leaf["outcome"]) for leaf in leaves} <= {'"answered"'}
