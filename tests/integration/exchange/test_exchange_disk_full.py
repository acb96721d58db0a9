# SPDX-License-Identifier: Apache-2.0
"""The ledger's disk is full: no answer without its leaf, no leaf without its answer or error, and work goes on when there is room again.

SQLite really has no page left (`max_page_count`: the database answers SQLITE_FULL). PostgreSQL is made to answer with the error class of a full
disk (53100) by a trigger on the leaves: the error comes from the server over the wire, the disk itself is not full.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tongban.exchange.v1 import exchange_service_pb2 as pb

from services.kit.errors import Refusal, RemoteFailure, Unavailable
from services.kit.store import Store
from services.kit.store.engine import connected
from tests.support.eventually import eventually
from tests.support.exchange_city import ADDRESS, City, city, query
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

CALLERS = 20
CALLS = 12
_FULL = (
    (
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
    ),
    "CREATE TRIGGER no_space BEFORE INSERT ON ledger_leaf FOR EACH STATEMENT EXECUTE FUNCTION no_space()",
)
_ROOM = ("DROP TRIGGER no_space ON ledger_leaf", "DROP FUNCTION no_space")


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as town:
        yield town


@asynccontextmanager
async def disk_full(store: Store[Any]) -> AsyncIterator[None]:
    async def run(*statements: str) -> None:
        async with connected(store.engines.writing) as connection, connection.begin():
            for statement in statements:
                await connection.exec_driver_sql(statement)

    if store.dialect == "postgresql":
        await run(*_FULL)
        yield
        await run(*_ROOM)
        return
    async with connected(store.engines.writing) as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    yield
    async with connected(store.engines.writing) as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_loses_no_leaf_and_gives_no_answer_and_is_survived(town: City) -> None:
    await town.stock()
    store = town.service.app.store
    assert store is not None
    answers: list[pb.QueryResponse] = []
    errors: list[Exception] = []

    async def ask() -> None:
        try:
            answers.append(await town.call(HOSPITAL, "Query", query()))
        except (Unavailable, RemoteFailure, Refusal) as error:
            errors.append(error)

    async def caller() -> None:
        for _ in range(CALLS):
            await ask()

    await caller()
    assert not errors
    before = len(answers)
    async with disk_full(store):
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        during = len(answers) - before
        assert len(answers) + len(errors) == CALLS * (CALLERS + 1)
        assert errors, "the disk was never full"
        assert all(isinstance(error, Unavailable) for error in errors), {type(error) for error in errors}
        if store.dialect == "postgresql":
            assert during == 0

    async def again() -> bool:
        count = len(answers)
        await ask()
        return len(answers) > count

    await eventually(again)
    leaves: list[Any] = []
    while True:
        found, following = await store.ledger.leaves(len(leaves), 1000)
        leaves += found
        if following == len(leaves) and not found:
            break
    answered = {
        leaf.index: leaf.leaf_hash
        for leaf in leaves
        if (said := json.loads(leaf.body))["operation"] == "query" and said["outcome"] == "answered"
    }
    assert {answer.receipt.index: answer.receipt.leaf_hash for answer in answers} == answered
    assert all(dict(answer.values.items()) == {"address": ADDRESS} for answer in answers)
    head = await store.ledger.head()
    assert head.tree_size == len(leaves)
