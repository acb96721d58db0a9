# SPDX-License-Identifier: Apache-2.0
"""One suite for the exchange's stores: what holds in memory holds in SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from services.exchange.domain.answer import Scalar
from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.refusals import AnswerNotFound, GrantNotFound, ResourceNotFound
from services.exchange.domain.settings import AdapterKind, read_settings
from services.exchange.service.ports import Store, Touched
from services.exchange.store.tables import kept_answer, resource
from services.kit.caller import acting_as
from services.kit.errors import PageTokenInvalid
from services.kit.ids import new_id
from services.kit.ledger.access import Access
from tests.support.exchange_memory import MemoryExchangeStore
from tests.support.exchange_stored import opened
from tests.support.exchange_world import HEALTH, HOSPITAL, HOUSEHOLD, NOW, SERVICE, a_grant, household
from tests.support.postgres import fresh_database

DAY = date(2026, 11, 20)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryExchangeStore()
            return
        url = f"sqlite:///{tmp_path}/exchange.sqlite"
        if request.param == "postgresql":
            url = await stack.enter_async_context(fresh_database(request.getfixturevalue("postgres")))
        yield await stack.enter_async_context(opened(url, tmp_path))


async def put(store: Store, *grants: Grant) -> None:
    async with store.transaction() as tx:
        await tx.save_resource(household(revision=1), now=NOW)
        for each in grants:
            await tx.add_grant(each, request_id=new_id())


async def test_a_resource_comes_back_as_it_was_stored(store: Store) -> None:
    settings = {"url": "postgresql://reader:secret@h/police", "statement": "SELECT 1 WHERE :subject_key = 'x'"}
    stored = household(adapter=AdapterKind.SQL, settings=read_settings(AdapterKind.SQL, settings), revision=7)
    async with store.transaction() as tx:
        assert await tx.find_resource(HOUSEHOLD) is None
        await tx.save_resource(household(), now=NOW)
        await tx.save_resource(stored, now=NOW)
        assert await tx.resource(HOUSEHOLD) == stored
    assert await store.read_resource(HOUSEHOLD) == stored
    with pytest.raises(ResourceNotFound):
        await store.read_resource("307009/1")


async def test_resources_come_by_code_in_pages(store: Store) -> None:
    async with store.transaction() as tx:
        for number in (3, 1, 2):
            await tx.save_resource(household(code=f"307002/{number}"), now=NOW)
    first = await store.list_resources(page_size=2, page_token="")
    second = await store.list_resources(page_size=2, page_token=first.next_token)
    assert [each.code[-1] for each in (*first.rows, *second.rows)] == ["1", "2", "3"]
    assert second.next_token == ""


async def test_grants_come_newest_first_in_pages_and_narrowed(store: Store) -> None:
    grants = [a_grant(create_time=NOW + timedelta(microseconds=minute // 2)) for minute in range(5)]
    other = a_grant(grantee=HEALTH, create_time=NOW - timedelta(days=1))
    await put(store, *grants, other)
    expected = [each.grant_id for each in sorted(grants, key=lambda g: (g.create_time, g.grant_id), reverse=True)]
    found, token = [], ""
    while True:
        page = await store.list_grants(grantee=HOSPITAL, resource=HOUSEHOLD, page_size=2, page_token=token)
        found += [each.grant_id for each in page.rows]
        token = page.next_token
        if not token:
            break
    assert found == expected
    everything = await store.list_grants(grantee="", resource="", page_size=10, page_token="")
    assert [each.grant_id for each in everything.rows] == [*expected, other.grant_id]
    assert everything.rows[-1] == other
    assert (await store.list_grants(grantee="", resource="307009/1", page_size=10, page_token="")).rows == ()


async def test_grants_in_force_of_a_pair_come_newest_first(store: Store) -> None:
    old, new = a_grant(), a_grant(create_time=NOW + timedelta(hours=1))
    await put(store, old, new, a_grant(grantee=HEALTH))
    assert list(await store.grants_of(HOSPITAL, HOUSEHOLD)) == [new, old]


async def test_what_changed_since_a_moment_is_told_by_code_and_pair(store: Store) -> None:
    new, elsewhere = a_grant(create_time=NOW + timedelta(hours=1)), a_grant(grantee=HEALTH)
    await put(store, a_grant(), new, elsewhere)
    everything = await store.changed_since(NOW, limit=10)
    assert everything == Touched(frozenset({HOUSEHOLD}), frozenset({(HOSPITAL, HOUSEHOLD), (HEALTH, HOUSEHOLD)}))
    changes = await store.changed_since(NOW + timedelta(minutes=1), limit=10)
    assert changes == Touched(frozenset(), frozenset({(HOSPITAL, HOUSEHOLD)}))
    assert await store.changed_since(NOW, limit=2) is None


async def test_a_revoked_grant_is_no_longer_in_force_and_still_on_record(store: Store) -> None:
    grant = a_grant()
    await put(store, grant)
    revoked = replace(grant, revoke_time=NOW + timedelta(hours=1))
    async with store.transaction() as tx:
        await tx.save_revocation(revoked, grounds="Misuse.")
    assert list(await store.grants_of(HOSPITAL, HOUSEHOLD)) == []
    changes = await store.changed_since(NOW + timedelta(minutes=1), limit=10)
    assert changes == Touched(frozenset(), frozenset({(HOSPITAL, HOUSEHOLD)}))
    async with store.transaction() as tx:
        assert await tx.grant(grant.grant_id) == revoked
        assert await tx.find_grant(new_id()) is None
        with pytest.raises(GrantNotFound):
            await tx.grant(new_id())


async def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.save_resource(household(), now=NOW)
            await tx.first_sight("request-1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with pytest.raises(ResourceNotFound):
        await store.read_resource(HOUSEHOLD)
    async with store.transaction() as tx:
        assert await tx.first_sight("request-1")


async def test_calls_are_counted_up_to_the_quota_and_no_further(store: Store) -> None:
    async def take(calls: int, day: date = DAY) -> int:
        async with store.transaction() as tx:
            return await tx.take_quota("grant-1", day, calls=calls, quota=10)

    assert [await take(4), await take(4), await take(4), await take(1)] == [4, 4, 2, 0]
    assert await take(4, date(2026, 11, 21)) == 4
    async with store.transaction() as tx:
        await tx.return_quota("grant-1", DAY, calls=3)
    assert await take(4) == 3
    async with store.transaction() as tx:
        await tx.drop_counts(before=date(2026, 11, 21))
    assert [await take(10), await take(10, date(2026, 11, 21))] == [10, 6]


async def test_concurrent_counting_never_passes_the_quota(store: Store) -> None:
    async def take() -> int:
        async with store.transaction() as tx:
            return await tx.take_quota("grant-1", DAY, calls=3, quota=20)

    assert sum(await asyncio.gather(*(take() for _ in range(12)))) == 20


def kept(answer_id: str) -> KeptAnswer:
    values: dict[str, Scalar] = {"address": "1 Spring Lane", "rooms": 3, "own": True, "share": 0.5, "former": None}
    return KeptAnswer(answer_id, "case-1", "subject-1", HOSPITAL, HOUSEHOLD, "birth", "basis", values)


async def test_an_answer_comes_back_until_its_time_is_over(store: Store) -> None:
    first, second = kept(new_id()), kept(new_id())
    expiry = NOW + timedelta(days=1)
    async with store.transaction() as tx:
        await tx.keep_answer(first, expire_time=expiry)
        await tx.keep_answer(second, expire_time=expiry + timedelta(days=1))
    assert await store.read_answer(first.answer_id, now=expiry - timedelta(seconds=1)) == first
    with pytest.raises(AnswerNotFound):
        await store.read_answer(first.answer_id, now=expiry)
    async with store.transaction() as tx:
        assert await tx.drop_answers(before=expiry + timedelta(seconds=1), limit=10) == 1
        assert await tx.drop_answers(before=expiry + timedelta(seconds=1), limit=10) == 0
    assert await store.read_answer(second.answer_id, now=expiry) == second


async def test_answers_are_dropped_so_many_at_a_time(store: Store) -> None:
    async with store.transaction() as tx:
        for _ in range(5):
            await tx.keep_answer(kept(new_id()), expire_time=NOW)
        assert await tx.drop_answers(before=NOW + timedelta(seconds=1), limit=3) == 3
        assert await tx.drop_answers(before=NOW + timedelta(seconds=1), limit=3) == 2


async def test_leaves_are_durable_or_fail_with_their_transaction(store: Store) -> None:
    access = Access("query", "subject-1", "birth", "basis")

    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.leaf(access)
            raise ZeroDivisionError

    with acting_as(SERVICE):
        assert (await store.ledger.append(access)).index == 0
        with pytest.raises(ZeroDivisionError):
            await fail()
        async with store.transaction() as tx:
            assert (await tx.leaf(access)).index == 1


async def test_marks_and_digests_are_keyed_and_stable(store: Store) -> None:
    assert store.subject_mark("number", "1") == store.subject_mark("number", "1")
    assert len({store.subject_mark(kind, text) for kind in ("number", "uscc") for text in "12"}) == 4
    assert store.digest(b"1") == store.digest(b"1") != store.digest(b"2")


@pytest.mark.parametrize(
    "token", ["x", "e30", "eyJ0aW1lIjoieCIsImlkIjoieSJ9", "eyJ0aW1lIjoiMjAyNi0wMS0wMSIsImlkIjoieSJ9"]
)
async def test_a_page_token_that_is_not_ours_is_refused(database: str, tmp_path: Path, token: str) -> None:
    async with opened(database, tmp_path) as store:
        with pytest.raises(PageTokenInvalid):
            await store.list_grants(grantee="", resource="", page_size=1, page_token=token)


async def test_nothing_that_tells_about_somebody_lies_in_clear(database: str, tmp_path: Path) -> None:
    settings = {"url": "postgresql://reader:secret@h/police", "statement": "SELECT 1 WHERE :subject_key = 'x'"}
    stored = household(adapter=AdapterKind.SQL, settings=read_settings(AdapterKind.SQL, settings))
    answer = kept(new_id())
    async with opened(database, tmp_path) as store:
        async with store.transaction() as tx:
            await tx.save_resource(stored, now=NOW)
            await tx.keep_answer(answer, expire_time=datetime(2027, 1, 1, tzinfo=UTC))
        async with store.reading() as connection:
            rows = [*(await connection.execute(select(resource))), *(await connection.execute(select(kept_answer)))]
    for word in ("secret", "police", "Spring", "subject-1", "case-1"):
        assert word not in repr(rows)
