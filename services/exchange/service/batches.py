# SPDX-License-Identifier: Apache-2.0
"""QueryBatch: opened or gone on with by a stream, closed, reconciled, listed."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from services.exchange.domain.batches import (
    OPEN_MAX,
    Batch,
    BatchNotFound,
    BatchReportReused,
    BatchState,
    Part,
    Report,
    TooManyBatches,
    reconciled,
    resumed,
)
from services.exchange.domain.inquiry import check_words
from services.exchange.service.batch_asking import Asker, leaf_of
from services.exchange.service.batch_stream import BatchStream, StreamLedger, StreamTransaction
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Refusal, RequestIdReused
from services.kit.ids import new_id
from services.kit.paging import Page

RIGHT = "exchange.query"
PAGE_SIZE = 50
_DROPPED_MAX = 200


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """Open a batch, or go on with one: `batch_id` is the receiver's own UUID, `received` the rows that he holds."""

    batch_id: str
    resource: str
    purpose: str
    case_id: str
    fields: tuple[str, ...]
    received: int


@dataclass(frozen=True, slots=True)
class ReconcileBatch:
    """What the receiver counted."""

    batch_id: str
    report: Report


class BatchTransaction(StreamTransaction, Protocol):
    """What one change of a batch reads and writes."""

    async def find_batch(self, agency: str, receiver_id: str) -> Batch | None:
        """Read an agency's batch by the agency's name of it and lock it, None where there is none."""

    async def count_open_batches(self, agency: str, *, since: datetime) -> int:
        """Count an agency's batches that are open and were gone on with since."""

    async def add_batch(self, batch: Batch) -> None:
        """Write a new batch."""

    async def drop_late_parts(self, *, before: datetime, limit: int) -> int:
        """Delete parts of batches that nobody went on with; give how many."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""


class BatchStore(Protocol):
    """The rows of batches."""

    @property
    def ledger(self) -> StreamLedger:
        """The ledger beside the rows."""

    def transaction(self) -> AbstractAsyncContextManager[BatchTransaction]:
        """Open a transaction."""

    async def read_batch(self, agency: str, receiver_id: str) -> Batch | None:
        """Read an agency's batch by the agency's name of it, None where there is none."""

    async def kept_sizes(self, batch_id: str) -> Sequence[tuple[int, int]]:
        """Give the end and the bytes of every part that is kept, in order."""

    async def kept_part(self, batch_id: str, *, after: int) -> Part | None:
        """Open the first kept part that ends after a position."""

    async def list_batches(
        self, *, agency: str, state: BatchState | None, resource: str, page_size: int, page_token: str
    ) -> Page[Batch]:
        """Give batches, newest first; empty texts do not narrow."""


class BatchService:
    """Batches between agencies; every row has its leaf before it leaves."""

    def __init__(self, store: BatchStore, asker: Asker, *, clock: Clock, hours: int) -> None:
        self._store = store
        self._asker = asker
        self._clock = clock
        self._kept = timedelta(hours=hours)

    async def open(self, command: OpenBatch, caller: Caller) -> BatchStream:
        """Open a batch or go on with it; the stream that had it before has lost it.

        Raises the refusals of a query (with a leaf), RequestIdReused, BatchNotOpen, BatchPositionWrong, TooManyBatches.
        """
        caller.must(RIGHT)
        check_words(resource=command.resource, purpose=command.purpose, fields=command.fields)
        now = self._clock()
        wanted = Batch(
            batch_id=new_id(),
            receiver_id=command.batch_id,
            agency=caller.agency or caller.id,
            resource=command.resource,
            purpose=command.purpose,
            case_id=command.case_id,
            fields=command.fields,
            stream_id=new_id(),
            create_time=now,
            move_time=now,
        )
        known = await self._store.read_batch(wanted.agency, wanted.receiver_id)
        if known is not None and not known.asks_the_same(wanted):
            raise RequestIdReused("This batch id came before, with another question.")
        try:
            permit = await self._asker.permit(known or wanted)
        except Refusal as refusal:
            await self._store.ledger.append(leaf_of(wanted)._replace(outcome=refusal.reason))
            raise
        opened = await self._opened(replace(wanted, fields=permit.fields), command.received)
        kept = await self._store.kept_sizes(opened.batch_id)
        return BatchStream(opened, kept, store=self._store, asker=self._asker, clock=self._clock)

    async def _opened(self, wanted: Batch, received: int) -> Batch:
        async with self._store.transaction() as tx:
            before = await tx.find_batch(wanted.agency, wanted.receiver_id)
            if before is not None and not before.asks_the_same(wanted):
                raise RequestIdReused("This batch id came before, with another question.")
            after = resumed(
                before or wanted,
                stream_id=wanted.stream_id,
                received=received,
                now=wanted.move_time,
                kept=self._kept,
            )
            if before is not None:
                await tx.save_batch(after)
                await tx.drop_held_parts(after.batch_id, received=received)
            elif await tx.count_open_batches(wanted.agency, since=wanted.move_time - self._kept) >= OPEN_MAX:
                raise TooManyBatches(f"The agency has {OPEN_MAX} open batches.", remedy="Close some first.")
            else:
                await tx.add_batch(after)
        return after

    async def reconcile(self, command: ReconcileBatch, caller: Caller) -> Batch:
        """Compare the receiver's count with ours. The same report again gives the same answer.

        Raises BatchNotFound, BatchNotClosed, BatchReportReused.
        """
        caller.must(RIGHT)
        async with self._store.transaction() as tx:
            before = await tx.find_batch(caller.agency or caller.id, command.batch_id)
            if before is None:
                raise BatchNotFound("There is no such batch of this agency.")
            if before.reported is not None:
                if before.reported != command.report:
                    raise BatchReportReused("The batch was reconciled before, with another report.")
                return before
            after, fact = reconciled(before, command.report, now=self._clock())
            await tx.save_batch(after)
            await tx.record(fact)
        return after

    async def list(
        self, *, state: BatchState | None, resource: str, page_size: int, page_token: str, caller: Caller
    ) -> Page[Batch]:
        """Give batches, newest first: an agency sees its own, an operator all."""
        caller.must("exchange.read")
        agency = "" if caller.kind is CallerKind.OPERATOR else caller.agency or caller.id
        return await self._store.list_batches(
            agency=agency, state=state, resource=resource, page_size=page_size or PAGE_SIZE, page_token=page_token
        )

    async def drop_expired(self) -> int:
        """Delete what is kept for receivers who did not come back in time (PIPL, art. 19); give how many parts."""
        dropped = 0
        while True:
            async with self._store.transaction() as tx:
                some = await tx.drop_late_parts(before=self._clock() - self._kept, limit=_DROPPED_MAX)
            dropped += some
            if some < _DROPPED_MAX:
                return dropped
