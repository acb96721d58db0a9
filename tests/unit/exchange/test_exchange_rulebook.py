# SPDX-License-Identifier: Apache-2.0
"""The rulebook: read once, forgotten when it must be, bounded, and never wrong about what changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from services.exchange.domain.grant import Grant
from services.exchange.domain.permit import Permit
from services.exchange.domain.refusals import NoGrant
from services.exchange.domain.resource import Resource
from services.exchange.service import rulebook as module
from services.exchange.service.rulebook import Rulebook
from services.kit.errors import Unavailable
from tests.support.exchange_memory import MemoryExchangeStore
from tests.support.exchange_world import HOSPITAL, HOUSEHOLD, NOW, OPERATOR, World, create_grant, household


class CountingStore(MemoryExchangeStore):
    """Counts what is read, and lets a test stop a reading halfway."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[str, ...]] = []
        self.pause: asyncio.Event | None = None

    async def grants_of(self, grantee: str, resource: str) -> Sequence[Grant]:
        self.read.append((grantee, resource))
        found = await super().grants_of(grantee, resource)
        if self.pause is not None:
            await self.pause.wait()
        return found

    async def read_resource(self, code: str) -> Resource:
        self.read.append((code,))
        return await super().read_resource(code)


@pytest.fixture
async def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
async def world(store: CountingStore) -> World:
    world = World(store=store)
    await world.granted()
    store.read.clear()
    return world


async def permitted(world: World, grantee: str = HOSPITAL, resource: str = HOUSEHOLD) -> Permit:
    return await world.rulebook.permit_query(grantee, resource, purpose="birth", fields=())


async def test_a_pair_is_read_once_however_many_ask(world: World, store: CountingStore) -> None:
    await asyncio.gather(*(permitted(world) for _ in range(50)))
    await permitted(world)
    assert store.read == [(HOUSEHOLD,), (HOSPITAL, HOUSEHOLD)]


async def test_a_pair_without_a_grant_and_an_unknown_resource_are_remembered_too(
    world: World, store: CountingStore
) -> None:
    for _ in range(3):
        with pytest.raises(NoGrant):
            await permitted(world, grantee="nobody")
        with pytest.raises(NoGrant):
            await permitted(world, resource="307009/1")
    assert len(store.read) == 3


async def test_whoever_tries_codes_pushes_out_no_grant_and_fills_no_memory(world: World, store: CountingStore) -> None:
    await permitted(world)
    for number in range(200):
        with pytest.raises(NoGrant):
            await permitted(world, resource=f"307009/{number}")
    store.read.clear()
    await permitted(world)
    assert store.read == []
    assert len(world.rulebook._without) <= 25


async def test_no_more_pairs_are_held_than_allowed_and_the_oldest_goes(world: World, store: CountingStore) -> None:
    small = Rulebook(
        store,
        clock=world.clock,
        monotonic=world.monotonic,
        age_seconds_max=30,
        pairs_max=2,
        is_working_day=lambda _: True,
    )
    await small.refresh()
    for code in ("307002/1", "307002/2", "307002/3"):
        await world.catalogue.put_resource(household(code=code), OPERATOR)
        await world.grants.create(create_grant(resource=code), OPERATOR)
        await small.permit_query(HOSPITAL, code, purpose="birth", fields=())
    store.read.clear()
    await small.permit_query(HOSPITAL, "307002/3", purpose="birth", fields=())
    await small.permit_query(HOSPITAL, "307002/2", purpose="birth", fields=())
    assert store.read == []
    await small.permit_query(HOSPITAL, "307002/1", purpose="birth", fields=())
    assert (HOSPITAL, "307002/1") in store.read


async def test_rules_that_were_changed_elsewhere_come_with_the_next_sweep(world: World) -> None:
    permit = await permitted(world)
    async with world.store.transaction() as tx:
        grant = await tx.grant(permit.grant_id)
        await tx.save_revocation(replace(grant, revoke_time=NOW + timedelta(seconds=1)), grounds="Elsewhere.")
    await permitted(world)
    world.later(10)
    await world.rulebook.refresh()
    with pytest.raises(NoGrant):
        await permitted(world)


async def test_a_field_taken_from_the_resource_is_gone_from_grants_in_memory(world: World) -> None:
    await permitted(world)
    narrower = household(fields=tuple(each for each in household().fields if each.name != "address"))
    await world.catalogue.put_resource(narrower, OPERATOR)
    assert (await permitted(world)).fields == ("household_number",)


async def test_what_changes_while_it_is_read_is_not_kept(world: World, store: CountingStore) -> None:
    store.pause = asyncio.Event()
    reading = asyncio.create_task(permitted(world))
    while not store.read[1:]:
        await asyncio.sleep(0)
    (grant_id,) = world.store.rows.grants
    async with world.store.transaction() as tx:
        await tx.save_revocation(replace(await tx.grant(grant_id), revoke_time=NOW), grounds="Meanwhile.")
    world.rulebook.forget_grants(HOSPITAL, HOUSEHOLD)
    store.pause.set()
    await reading  # It asked before.
    with pytest.raises(NoGrant):
        await permitted(world)


async def test_a_resource_that_changes_while_its_grants_are_read_is_not_kept(
    world: World, store: CountingStore
) -> None:
    store.pause = asyncio.Event()
    reading = asyncio.create_task(permitted(world))
    while not store.read[1:]:
        await asyncio.sleep(0)
    narrower = household(fields=tuple(each for each in household().fields if each.name != "address"))
    await world.catalogue.put_resource(narrower, OPERATOR)
    store.pause.set()
    await reading
    assert (await permitted(world)).fields == ("household_number",)


async def test_after_very_many_changes_everything_is_forgotten_at_once(
    world: World, store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permitted(world)
    monkeypatch.setattr(module, "CHANGES_MAX", 0)
    await world.rulebook.refresh()
    store.read.clear()
    await permitted(world)
    assert len(store.read) == 2


async def test_without_the_database_what_is_at_hand_serves_until_it_is_too_old(world: World) -> None:
    await permitted(world)
    world.store.down = True
    await permitted(world)
    with pytest.raises(Unavailable):
        await permitted(world, grantee="nobody")
    with pytest.raises(Unavailable):
        await world.rulebook.refresh()
    world.later(30.5)
    with pytest.raises(Unavailable):
        await permitted(world)


async def test_rules_are_read_anew_after_ten_minutes_even_where_nothing_was_told(
    world: World, store: CountingStore
) -> None:
    await permitted(world)
    world.later(601)
    await world.rulebook.refresh()
    store.read.clear()
    await permitted(world)
    assert (HOSPITAL, HOUSEHOLD) in store.read
