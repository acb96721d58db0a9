# SPDX-License-Identifier: Apache-2.0
"""Who loses what is found out page by page, before anything is locked, and comes out as if it were found out at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.exchange.domain.grant import Grant
from services.exchange.domain.resource import Resource
from services.exchange.service import notices
from services.exchange.service.notices import Pages, look, losses, told_of
from tests.support.exchange_memory import MemoryExchangeStore
from tests.support.exchange_world import HEALTH, HOSPITAL, NOW, a_grant, household

MADE = st.lists(st.tuples(st.integers(-200, 100), st.sampled_from([HOSPITAL, HEALTH]), st.booleans()), max_size=15)


def without_address() -> Resource:
    """The household register as it would be without addresses."""
    before = household()
    return replace(before, fields=tuple(each for each in before.fields if each.name != "address"))


def grants(made: list[tuple[int, str, bool]]) -> list[Grant]:
    """Grants made so many seconds before or after the look, some on a field that goes."""
    return [
        a_grant(
            create_time=NOW + timedelta(seconds=seconds),
            grantee=grantee,
            fields=("address",) if loses else ("household_number",),
        )
        for seconds, grantee, loses in made
    ]


def keep(store: MemoryExchangeStore, some: list[Grant]) -> None:
    """Write grants."""
    store.rows.grants.update({each.grant_id: (each, each.create_time) for each in some})


@settings(deadline=None)
@given(MADE, MADE.map(lambda made: [(abs(seconds) % 100 - 50, *rest) for seconds, *rest in made]))
async def test_what_was_granted_since_the_look_is_told_like_everything_else(
    old: list[tuple[int, str, bool]], new: list[tuple[int, str, bool]]
) -> None:
    store, before, after = MemoryExchangeStore(), household(), without_address()
    keep(store, grants(old))
    looked = await look(store, before, after, now=NOW)
    keep(store, grants(new))  # Written late: the moment in some of them is up to 50 seconds before the look.
    async with store.transaction() as tx:
        found = await told_of(tx, looked, before, after, now=NOW)
        anew, _ = await losses(tx, before, after, now=NOW)
    assert sorted(found, key=repr) == sorted(anew, key=repr)


async def test_a_resource_that_changed_since_the_look_is_looked_at_anew() -> None:
    store, before, after = MemoryExchangeStore(), household(), without_address()
    keep(store, grants([(0, HOSPITAL, True)]))
    looked = await look(store, before, before, now=NOW)
    assert looked is not None
    assert not any(looked.told)
    async with store.transaction() as tx:
        found = await told_of(tx, looked, replace(before, revision=before.revision + 1), after, now=NOW)
    assert [each.fields for each in found] == [("address",)]


class Counting:
    """Counts what each transaction reads."""

    def __init__(self, store: MemoryExchangeStore) -> None:
        self._store = store
        self.read: list[int] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._store.transaction() as tx:
            self._tx = tx
            self.read.append(0)
            yield self

    async def grants_on(self, code: str, **asked: Any) -> Any:
        found = await self._tx.grants_on(code, **asked)
        self.read[-1] += len(found)
        return found


async def test_no_transaction_looks_at_more_than_a_page(monkeypatch: Any) -> None:
    monkeypatch.setattr(notices, "GRANTS_EACH", 10)
    store = MemoryExchangeStore()
    keep(store, grants([(at, HOSPITAL, True) for at in range(35)]))
    counting = Counting(store)
    found, more = await losses(Pages(counting), household(), without_address(), now=NOW)
    assert (len(found), more) == (35, False)
    assert counting.read == [10, 10, 10, 5, 0]
