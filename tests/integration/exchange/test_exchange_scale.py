# SPDX-License-Identifier: Apache-2.0
"""A catalogue with very many grants: what a sweep and a page cost must not grow with it."""

from datetime import timedelta
from pathlib import Path

from services.exchange.service.ports import Touched
from services.exchange.store import ExchangeStore
from services.exchange.store.grants import grant_row, sharing_grant
from services.kit.ids import new_id
from tests.support.best_of_three import seconds
from tests.support.exchange_stored import opened
from tests.support.exchange_world import HOSPITAL, HOUSEHOLD, NOW, a_grant, household

MANY = 50_000


async def fill(store: ExchangeStore) -> None:
    """One grant each to very many agencies, an hour ago."""
    old = a_grant(create_time=NOW - timedelta(hours=1))
    row = grant_row(old, new_id())
    async with store.transaction() as tx:
        await tx.save_resource(household(), now=NOW - timedelta(hours=1))
        for start in range(0, MANY, 5_000):
            many = [{**row, "grant_id": new_id(), "grantee": f"{start + number:018d}"} for number in range(5_000)]
            await tx.connection.execute(sharing_grant.insert(), many)
        await tx.add_grant(a_grant(), request_id=new_id())
        if store.dialect == "postgresql":
            await tx.connection.exec_driver_sql("ANALYZE sharing_grant")


async def test_a_sweep_a_page_and_a_pair_do_not_read_everything(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path) as store:
        await fill(store)
        lately, long_ago = NOW - timedelta(seconds=60), NOW - timedelta(days=1)
        assert await store.changed_since(lately, limit=10) == Touched(frozenset(), frozenset({(HOSPITAL, HOUSEHOLD)}))
        everything = await seconds(lambda: store.changed_since(long_ago, limit=2 * MANY))
        assert await seconds(lambda: store.changed_since(lately, limit=10)) < everything / 10
        assert await seconds(lambda: store.changed_since(long_ago, limit=10)) < everything / 10
        page = lambda: store.list_grants(grantee=HOSPITAL, resource="", page_size=50, page_token="")  # noqa: E731
        assert await seconds(page) < everything / 10
        assert await seconds(lambda: store.grants_of(HOSPITAL, HOUSEHOLD)) < everything / 10
