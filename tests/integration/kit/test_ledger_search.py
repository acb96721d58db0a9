# SPDX-License-Identifier: Apache-2.0
"""Auditors find leaves by what they say, among very many too, and each search is a leaf."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind, acting_as
from services.kit.errors import RequestInvalid
from services.kit.ledger.access import Access, Leaf, rfc3339
from services.kit.ledger.search import BLOCK, Search
from tests.support.probe import Probe, opened

AUDITOR = Caller(
    CallerKind.OPERATOR, "auditor-1", frozenset({EVERY_RIGHT}), actor="spiffe://tongban/operator/auditor-1"
)
START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 2 * BLOCK + 300
MANY = 100_000
"""A million takes minutes to write; what was measured there stands in docs/performance.md."""
"""Of one call, on a machine that others use too; measured: far below."""


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(database: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Probe]:
    async with opened(database, tmp_path / "keys", clock) as probe:
        yield probe


def agency(number: int) -> Caller:
    return Caller(CallerKind.AGENCY, f"A{number}", actor=f"spiffe://tongban/agency/A{number}")


async def fill(store: Probe) -> None:
    async def one(number: int) -> None:
        with acting_as(agency(number % 7)):
            await store.ledger.append(
                Access(
                    "query",
                    f"subject-{number % 100}",
                    "birth" if number % 10 else "tax",
                    "law",
                    resource=f"r{number // 1000}",
                    case_id=f"case-{number // 5}",
                    outcome="answered" if number % 500 else "NO_GRANT",
                )
            )

    for start in range(0, COUNT, 200):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 200, COUNT))))


async def every(store: Probe, search: Search, page_size: int = 50) -> list[Leaf]:
    found: list[Leaf] = []
    token = ""
    with acting_as(AUDITOR):
        while True:
            page = await store.ledger.searches.find(search, page_size, token)
            found += page.leaves
            assert len(page.leaves) <= page_size
            token = page.next_token
            if not token:
                return found


def wanted(**more: object) -> Search:
    return Search("inspection", "Audit Law art. 31", **more)  # type: ignore[arg-type]


async def test_leaves_are_found_by_whatever_they_say_before_and_after_blocks_are_summarized(store: Probe) -> None:
    await fill(store)
    leaves: list[Leaf] = []
    for at in range(0, COUNT, 1000):
        leaves += (await store.ledger.leaves(at, min(1000, COUNT - at)))[0]
    bodies = {leaf.index: json.loads(leaf.body) for leaf in leaves}
    middle = datetime.fromisoformat(bodies[BLOCK]["time"])
    later = datetime.fromisoformat(bodies[BLOCK + 400]["time"])
    name = store.ledger.name("subject-7")
    searches: dict[Search, Callable[[dict[str, Any]], bool]] = {
        wanted(outcome="NO_GRANT"): lambda body: body["outcome"] == "NO_GRANT",
        wanted(used_for="tax", actor="spiffe://tongban/agency/A3"): lambda body: (
            body["purpose"] == "tax" and body["actor"].endswith("A3")
        ),
        wanted(resource="r1"): lambda body: body["resource"] == "r1",
        wanted(resource="no such thing"): lambda _: False,
        wanted(case_id="case-33"): lambda body: body["case"] == "case-33",
        wanted(subject_id="subject-7", used_for="birth"): lambda body: (
            body["subject"] == name and body["purpose"] == "birth"
        ),
        wanted(from_time=middle, to_time=later, outcome="answered"): lambda body: (
            rfc3339(middle) <= body["time"] < rfc3339(later) and body["outcome"] == "answered"
        ),
    }
    for turn in range(2):
        for search, says in searches.items():
            found = [leaf.index for leaf in await every(store, search, 37) if leaf.index < COUNT]
            assert found == [index for index in sorted(bodies, reverse=True) if says(bodies[index])], (turn, search)
        await store.ledger.searches.summarize()


async def test_each_search_is_a_leaf_and_one_about_a_person_is_a_leaf_about_that_person(store: Probe) -> None:
    with acting_as(agency(1)):
        await store.ledger.append(Access("query", "me", "birth", "law"))
    with acting_as(AUDITOR):
        found = await store.ledger.searches.find(wanted(subject_id="me", outcome="answered"))
        with pytest.raises(RequestInvalid):
            await store.ledger.searches.find(wanted(from_time=START, to_time=START))
    assert [leaf.index for leaf in found.leaves] == [0]
    body = json.loads((await store.ledger.leaves(found.receipt.index, 1))[0][0].body)
    assert (body["operation"], body["caller"], body["purpose"]) == ("ledger.search", "operator:auditor-1", "inspection")
    assert (body["basis"], body["fields"]) == ("Audit Law art. 31", ["outcome", "subject"])
    assert (await store.ledger.own.page("me")).total == 2


async def test_a_search_of_very_many_leaves_finds_the_rare_and_the_common(
    store: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    await _many(store)
    before = time.perf_counter()
    while await _summarized(store) < MANY // BLOCK:
        await store.ledger.searches.summarize()
    summaries = time.perf_counter() - before
    figures = []
    for name, search, expected in (
        ("a rare outcome", wanted(outcome="RARE"), 1),
        ("a rare actor and purpose", wanted(actor="spiffe://tongban/agency/RARE", used_for="tax"), 1),
        (
            "an hour of another day",
            wanted(
                from_time=START + timedelta(seconds=50_000),
                to_time=START + timedelta(seconds=53_600),
                used_for="birth",
            ),
            50,
        ),
        ("a common purpose", wanted(used_for="birth"), 50),
        ("a person", wanted(subject_id="subject-77"), 50),
        ("a case", wanted(case_id="case-7777"), 10),
    ):
        begun = time.perf_counter()
        with acting_as(AUDITOR):
            found = await store.ledger.searches.find(search)
        figures.append((name, time.perf_counter() - begun))
        assert len(found.leaves) == expected, name
    with capsys.disabled():
        told = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in figures)
        print(f"\nsearch of {MANY:,} leaves ({store.dialect}): {told}; summaries of all {summaries:.1f} s")


async def _summarized(store: Probe) -> int:
    async with store.reading() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM ledger_block")).scalar_one())


async def _many(store: Probe) -> None:
    """Very many leaves as rows; the tree above them is not what a search looks at."""
    names = [store.ledger.name(f"subject-{number}") for number in range(1000)]
    leaf = store.tables.ledger_leaf
    for start in range(0, MANY, 10_000):
        rows = [_row(number, names[number % 1000]) for number in range(start, start + 10_000)]
        async with store.transaction() as tx:
            await tx.connection.execute(leaf.insert(), rows)
    async with store.transaction() as tx:
        await tx.connection.execute(update(store.tables.ledger_frontier).values(size=MANY))


def _row(number: int, name: str) -> dict[str, object]:
    rare = number == 12_345
    moment = rfc3339(START + timedelta(seconds=number))
    actor = "RARE" if rare else f"A{number % 7}"
    body = (
        f'{{"actor":"spiffe://tongban/agency/{actor}","basis":"law","caller":"agency:{actor}","case":"case-{number // 10}",'
        f'"digest":"","fields":["address"],"on_behalf_of":"","operation":"query","outcome":"{"RARE" if rare else "answered"}",'
        f'"purpose":"{"tax" if rare else "birth"}","resource":"r{number % 50}","subject":"{name}","time":"{moment}"}}'
    )
    return {
        "index": number,
        "body": body.encode(),
        "leaf_hash": number.to_bytes(32, "big"),
        "subject": name,
        "case_id": f"case-{number // 10}",
    }
