# SPDX-License-Identifier: Apache-2.0
"""One stream of a batch: subjects in, parts out. What a part holds is accounted for and kept in one commit, then sent."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

from services.exchange.domain.batches import (
    PART_ROWS_MAX,
    ROWS_MAX,
    UNHELD_BYTES_MAX,
    UNHELD_ROWS_MAX,
    Batch,
    BatchNotHeld,
    BatchRowsWithdrawn,
    BatchTakenOver,
    Part,
    Row,
    TooManyBatches,
    closed,
    held,
    moved,
    parts_of,
    rewound,
)
from services.exchange.domain.inquiry import Subject
from services.exchange.service.batch_asking import Asked, Asker, leaf_of
from services.kit.clock import Clock
from services.kit.errors import Refusal
from services.kit.ledger.access import Access, Entry, Receipt


class StreamTransaction(Protocol):
    """What one step of a stream reads and writes."""

    async def batch(self, batch_id: str, *, agency: str) -> Batch:
        """Read an agency's own batch and lock it. Raises BatchNotFound."""

    async def save_batch(self, batch: Batch) -> None:
        """Write a batch as it is now."""

    async def move_batch(self, moved: Batch, *, since: int) -> bool:
        """Write progress from position `since`; False where another stream has the batch."""

    async def keep_parts(self, batch_id: str, parts: Sequence[Part]) -> None:
        """Keep parts sealed until the receiver holds them; where their leaves begin is written by `place_parts`."""

    async def place_parts(self, batch_id: str, parts: Sequence[Part]) -> None:
        """Write where the leaves of kept parts begin."""

    async def drop_held_parts(self, batch_id: str, *, received: int) -> None:
        """Delete the parts that the receiver holds whole."""

    async def drop_parts_from(self, batch_id: str, *, position: int) -> None:
        """Delete the parts that begin at or after a position."""

    async def leaves(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Add leaves with this change, in order; the tree is locked from here to the commit."""


class StreamLedger(Protocol):
    """What a stream needs of the ledger beside its transactions."""

    async def append(self, access: Access) -> Receipt:
        """Make one leaf durable."""

    def entry(self, access: Access) -> Entry:
        """Make a leaf that has no place yet."""


class StreamStore(Protocol):
    """What a stream needs of the store."""

    @property
    def ledger(self) -> StreamLedger:
        """The ledger beside the rows."""

    def transaction(self) -> AbstractAsyncContextManager[StreamTransaction]:
        """Open a transaction."""

    async def kept_part(self, batch_id: str, *, after: int) -> Part | None:
        """Open the first kept part that ends after a position."""


class BatchStream:
    """Goes on with one batch, for as long as no newer stream does.

    Memory: one part and the questions under way; parts that the receiver doesn't hold yet are in the store, bounded.
    """

    def __init__(
        self, batch: Batch, kept: Sequence[tuple[int, int]], *, store: StreamStore, asker: Asker, clock: Clock
    ) -> None:
        self.batch = batch
        self._kept = deque(kept)
        self._drops = False
        self._store = store
        self._asker = asker
        self._clock = clock

    async def kept(self) -> AsyncIterator[Part]:
        """Give again what was made and never held, without asking anybody, for as long as it may be given.

        Raises BatchRowsWithdrawn: a grant or a consent that rows rest on has ended meanwhile. Nothing from that part on
        is kept any more, and the batch goes on there.
        """
        at = self.batch.received
        while (part := await self._store.kept_part(self.batch.batch_id, after=at)) is not None:
            ended = await self._asker.withdrawn(self.batch, part)
            if ended is not None:
                await self._rewind(part, ended)
                raise BatchRowsWithdrawn(
                    "Rows that were made may no longer be given.",
                    remedy=f"Go on with the batch, with {part.position} rows held: the subjects after them are asked about anew.",
                )
            yield self._asker.marked(self.batch, part)
            at = part.end

    async def answer(self, subjects: Sequence[Subject], *, received: int) -> AsyncIterator[Part]:
        """Give the parts of these subjects, which follow those answered before.

        Raises what refuses a query for every subject, after the parts before it: the breaker's, the quota's, the
        grant's; and BatchPositionWrong, BatchNotHeld, BatchTakenOver, TooManyBatches.
        """
        self._note(received)
        rest = subjects
        while rest:
            self._must_have_room(len(rest))
            parts, stopped = await self._make(rest[:PART_ROWS_MAX])
            rest = rest[sum(len(part.rows) for part in parts) :]
            for part in parts:
                yield self._asker.marked(self.batch, part)
            if stopped is not None:
                raise stopped

    async def close(self, *, received: int) -> Batch:
        """Close the batch once every row is held. Raises BatchPositionWrong, BatchNotOpen, BatchTakenOver."""
        self._note(received)
        after = closed(self.batch, now=self._clock())
        async with self._store.transaction() as tx:
            if (await tx.batch(after.batch_id, agency=after.agency)).stream_id != after.stream_id:
                raise _taken_over()
            await tx.save_batch(after)
            await tx.drop_held_parts(after.batch_id, received=received)
        self.batch = after
        return after

    async def _rewind(self, part: Part, ended: Access) -> None:
        """Forget what was made from a part on, with the leaf that says why."""
        after = rewound(self.batch, part, now=self._clock())
        async with self._store.transaction() as tx:
            if (await tx.batch(after.batch_id, agency=after.agency)).stream_id != after.stream_id:
                raise _taken_over()
            await tx.save_batch(after)
            await tx.drop_parts_from(after.batch_id, position=after.position)
            await tx.leaves([self._store.ledger.entry(ended)])
        self.batch = after

    def _note(self, received: int) -> None:
        self.batch = held(self.batch, received)
        while self._kept and self._kept[0][0] <= received:
            self._kept.popleft()
            self._drops = True

    def _must_have_room(self, more: int) -> None:
        batch = self.batch
        if batch.position + more > ROWS_MAX:
            raise TooManyBatches(f"A batch has {ROWS_MAX} rows at most.", remedy="Open another one.")
        unheld = sum(size for _, size in self._kept)
        if batch.position - batch.received >= UNHELD_ROWS_MAX or unheld >= UNHELD_BYTES_MAX:
            raise BatchNotHeld(
                "Too many rows were sent that the receiver did not say he holds.",
                remedy="Say with each message how many rows are held.",
            )

    async def _make(self, subjects: Sequence[Subject]) -> tuple[list[Part], Exception | None]:
        """Make parts; where the receiver goes away meanwhile, what was asked is still accounted for and kept for him."""
        asked = Asked()
        making = asyncio.create_task(self._made(subjects, asked), name="batch-part")
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            asked.ending = True
            self._asker.afterwards(making)
            raise

    async def _made(self, subjects: Sequence[Subject], asked: Asked) -> tuple[list[Part], Exception | None]:
        try:
            permit = await self._asker.permit(self.batch)
        except Refusal as refusal:
            await self._store.ledger.append(leaf_of(self.batch)._replace(outcome=refusal.reason))
            raise
        await self._asker.ask(self.batch, permit, subjects, asked)
        rows = asked.in_order()
        try:
            parts = await self._commit(rows, asked.accesses(len(rows)), grant_id=permit.grant_id)
        except BatchTakenOver:
            for access in asked.accesses(0):
                await self._store.ledger.append(access)
            raise
        self._kept.extend((part.end, part.size) for part in parts)
        return parts, asked.stopped

    async def _commit(self, rows: Sequence[Row], accesses: Sequence[Access], *, grant_id: str) -> list[Part]:
        """Write progress, parts and leaves together; give the parts with the places of their leaves."""
        entries = [self._store.ledger.entry(access) for access in accesses]
        accounted = [
            replace(row, leaf_hash=entry.leaf_hash, blinding=entry.blinding)
            for row, entry in zip(rows, entries, strict=False)
        ]
        parts = parts_of(self.batch, accounted, grant_id=grant_id)
        after = moved(self.batch, parts, now=self._clock())
        async with self._store.transaction() as tx:
            if not await tx.move_batch(after, since=self.batch.position):
                raise _taken_over()
            if self._drops:
                await tx.drop_held_parts(after.batch_id, received=after.received)
            await tx.keep_parts(after.batch_id, parts)
            receipts = await tx.leaves(entries) if entries else []
            begun = self.batch.position
            placed = [replace(part, leaf_index=receipts[part.position - begun].index) for part in parts]
            await tx.place_parts(after.batch_id, placed)
        self.batch, self._drops = after, False
        return placed


def _taken_over() -> BatchTakenOver:
    return BatchTakenOver("Another stream goes on with this batch.")
