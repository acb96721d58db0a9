# SPDX-License-Identifier: Apache-2.0
"""A request that comes again does again what it did, and nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind, acting_as
from services.kit.errors import RequestIdReused
from services.kit.ids import new_id
from services.kit.ledger import Access
from services.kit.ledger.segments import RETENTION, SEGMENT_LEAVES_MIN, Segment
from tests.support.probe import opened

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
OPERATOR = Caller(CallerKind.OPERATOR, "operator-1", frozenset({EVERY_RIGHT}))


async def test_a_request_id_that_archived_one_segment_drops_no_other(database: str, tmp_path: Path) -> None:
    now = START
    async with opened(database, tmp_path / "keys", lambda: now) as store:
        with acting_as(OPERATOR):
            for _ in range(2 * SEGMENT_LEAVES_MIN // 64):
                async with store.transaction() as tx:
                    uses = [store.ledger.entry(Access("query", "s-1", "birth", "law")) for _ in range(64)]
                    await store.ledger.append_in(tx.connection, uses)
            level = SEGMENT_LEAVES_MIN.bit_length() - 1
            async with store.reading() as connection:
                node = store.tables.ledger_node
                rows = await connection.execute(node.select().where(node.c.level == level).order_by(node.c.position))
                hashes = [row.hash for row in rows]
            old = Segment(0, SEGMENT_LEAVES_MIN, hashes[0])
            young = Segment(SEGMENT_LEAVES_MIN, 2 * SEGMENT_LEAVES_MIN, hashes[1])
            now += RETENTION + timedelta(days=1)
            request = new_id()
            assert await store.ledger.segments.archive(old, request) == SEGMENT_LEAVES_MIN
            assert await store.ledger.segments.archive(old, request) == 0
            with pytest.raises(RequestIdReused):
                await store.ledger.segments.archive(young, request)
            leaves, _ = await store.ledger.leaves(SEGMENT_LEAVES_MIN, SEGMENT_LEAVES_MIN)
            assert all(leaf.body for leaf in leaves)
