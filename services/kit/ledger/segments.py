# SPDX-License-Identifier: Apache-2.0
"""Bodies leave the database once their time is over and an archive segment has them; hashes, nodes and so every proof stay."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tongban.ledger.v1 import ledger_events_pb2

from services.kit.envelope import Outgoing
from services.kit.errors import Refusal, RequestIdReused, RequestInvalid, Violation
from services.kit.ledger.access import Access, rfc3339
from services.kit.ledger.rows import Book, Rows

RETENTION: Final = timedelta(days=3 * 366)
"""Personal Information Protection Law, article 56, and Network Data Regulation, article 12: records are kept for three years at least."""
SEGMENT_LEAVES_MIN: Final = 256
_CHUNK: Final = 1024


class SegmentDiffers(Refusal):
    """The segment is not what this ledger has there, or does not follow the last one."""


class RetentionNotOver(Refusal):
    """The newest of these leaves is younger than the law lets anybody forget."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of leaves and the root hash over them; as long as a power of two, and a multiple of that from the start."""

    from_index: int
    to_index: int
    root_hash: bytes

    @property
    def level(self) -> int:
        """Of the tree's node that stands for it."""
        return (self.to_index - self.from_index).bit_length() - 1


class Segments:
    """What of one service's ledger is in the archive."""

    def __init__(self, book: Book, rows: Rows) -> None:
        self._book = book
        self._rows = rows

    async def archive(self, segment: Segment, request_id: str) -> int:
        """Drop the bodies of a segment; give how many. Repeating it drops what a crash left.

        Raises:
            RequestInvalid: no range that a node of the tree stands for.
            SegmentDiffers, RetentionNotOver.
            RequestIdReused: the request id came before, with another request.
        """
        length = segment.to_index - segment.from_index
        if length < SEGMENT_LEAVES_MIN or length & (length - 1) or segment.from_index % length:
            raise RequestInvalid(
                "A segment is a complete subtree.",
                violations=[Violation("to_index", "A power of two from from_index.")],
            )
        now = self._book.clock()
        async with self._book.transaction() as tx:
            if await tx.first_sight(request_id):
                await self._must_be_ready(tx.connection, segment, now)
                await tx.connection.execute(
                    self._book.tables.ledger_segment.insert().values(
                        from_index=segment.from_index,
                        to_index=segment.to_index,
                        root_hash=segment.root_hash,
                        archive_time=now,
                    )
                )
                fact = ledger_events_pb2.LeavesArchived(
                    from_index=segment.from_index, to_index=segment.to_index, root_hash=segment.root_hash
                )
                await tx.record(Outgoing(message=fact, key=self._book.service))
                await tx.leaf(Access("ledger.archive", "", "retention", "PIPL art. 19, 56"))
            elif not await self._is_archived(tx.connection, segment):
                raise RequestIdReused("This request id came before, with another request.")
        return await self._drop(segment)

    async def _is_archived(self, connection: AsyncConnection, segment: Segment) -> bool:
        table = self._book.tables.ledger_segment
        known = select(table.c.to_index, table.c.root_hash).where(table.c.from_index == segment.from_index)
        row = (await connection.execute(known)).one_or_none()
        return row is not None and tuple(row) == (segment.to_index, segment.root_hash)

    async def _must_be_ready(self, connection: AsyncConnection, segment: Segment, now: datetime) -> None:
        known = await self._rows.node(connection, (segment.level, segment.from_index >> segment.level))
        if known != segment.root_hash or segment.from_index != await self._rows.archived_below(connection):
            raise SegmentDiffers("The segment is not what the ledger has there, or does not follow the last one.")
        [last] = await self._rows.leaves(connection, [segment.to_index - 1])
        if str(json.loads(last.body)["time"]) > rfc3339(now - RETENTION):
            raise RetentionNotOver("The newest of these leaves is not three years old.")

    async def _drop(self, segment: Segment) -> int:
        """Some rows at a time: appends wait for none of it for long."""
        leaf = self._book.tables.ledger_leaf
        dropped = 0
        for at in range(segment.from_index, segment.to_index, _CHUNK):
            async with self._book.transaction() as tx:
                change = (
                    update(leaf)
                    .where(leaf.c.index >= at, leaf.c.index < min(at + _CHUNK, segment.to_index), leaf.c.body != b"")
                    .values(body=b"")
                )
                dropped += (await tx.connection.execute(change)).rowcount
        return dropped
