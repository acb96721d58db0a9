# SPDX-License-Identifier: Apache-2.0
"""A batch: many subjects asked about under one grant, streamed in parts, resumable, and reconciled by both sides (对账)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.kit.crypto import sm3
from services.kit.errors import Code, NotFound, Refusal

PART_ROWS_MAX = 100
PART_BYTES_MAX = 1 << 20
"""A part ends at the row that reaches it; a message of a part stays below the 4 MiB of a gRPC message."""
ROW_BYTES_MAX = 2 << 20
"""Of one row as it is written: a provider's 1,000,000 bytes of text may grow by escapes."""
SUBJECTS_MAX = 1_000
"""Subjects of one message of a receiver."""
ROWS_MAX = 1_000_000
UNHELD_ROWS_MAX = 10_000
UNHELD_BYTES_MAX = 64 << 20
"""What is kept for a receiver who has not said that he holds it."""
OPEN_MAX = 100
"""Batches of one agency that are not closed."""
EMPTY_DIGEST = bytes(32)


class BatchNotFound(NotFound):
    """There is no such batch of the caller's."""


class BatchNotOpen(Refusal):
    """Every row was delivered and the batch closed; or its time is over."""


class BatchNotClosed(Refusal):
    """A batch is reconciled once it is closed."""


class BatchTakenOver(Refusal):
    """Another stream goes on with this batch; this one has lost it."""

    code = Code.ABORTED


class BatchNotHeld(Refusal):
    """Too much waits for the receiver to say that he holds it."""

    code = Code.RESOURCE_EXHAUSTED


class BatchPositionWrong(Refusal):
    """The receiver claims to hold rows that were never made, or fewer than he said before."""

    code = Code.OUT_OF_RANGE


class TooManyBatches(Refusal):
    """The agency has as many open batches as it may have, or this one has as many rows."""

    code = Code.RESOURCE_EXHAUSTED


class BatchReportReused(Refusal):
    """The batch was reconciled before, with another report."""

    code = Code.ALREADY_EXISTS


class BatchRowsWithdrawn(Refusal):
    """Rows that were made and never held may no longer be given; the batch goes on before them."""

    code = Code.ABORTED


class OpeningMissing(Refusal):
    """A stream of a batch says first which batch it is, and only once."""


class BatchState(StrEnum):
    """Where a batch stands."""

    OPEN = "open"
    CLOSED = "closed"
    MATCHED = "matched"
    DIFFERING = "differing"


@dataclass(frozen=True, slots=True)
class Report:
    """What one side counted: rows, those among them with values, and the chained SM3 digest of all of them."""

    rows: int
    answered: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One subject's outcome: `answered` with canonical JSON of the granted fields, or the reason why there is none.

    `blinding` opens the digest of its leaf for whoever holds the values. `subject_id` is kept for as long as the row is,
    to look at consent again, and never sent.
    """

    outcome: str
    values: bytes = field(default=b"", repr=False)
    subject_id: str = field(default="", repr=False)
    leaf_hash: bytes = b""
    blinding: bytes = field(default=b"", repr=False)
    disputed: tuple[str, ...] = ()

    @property
    def line(self) -> bytes:
        """The row as both sides digest it; canonical JSON holds no line break."""
        return b"%b %b\n" % (self.outcome.encode(), self.values)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that were made, accounted for and sent together under one grant. `digest` covers the batch up to its last row.

    `before` is what was counted before it. The leaves of its rows follow one another in the ledger from `leaf_index`.
    """

    before: Report
    rows: Sequence[Row]
    digest: bytes
    grant_id: str
    leaf_index: int = 0

    @property
    def position(self) -> int:
        """The position of its first row."""
        return self.before.rows

    @property
    def counted(self) -> Report:
        """What was counted up to its last row."""
        answered = sum(bool(row.values) for row in self.rows)
        return Report(self.end, self.before.answered + answered, self.digest)

    @property
    def end(self) -> int:
        """The position after its last row."""
        return self.position + len(self.rows)

    @property
    def size(self) -> int:
        """Bytes of its lines."""
        return sum(len(row.line) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as both sides may see it: no subject, no value.

    `position`: rows made, each with its leaf; `received`: rows that the receiver said he holds. `stream_id` names the
    stream that may go on with it: a newer one takes over. `receiver_id` is the receiver's name of it, its own among its batches.
    """

    batch_id: str
    receiver_id: str
    agency: str
    resource: str
    purpose: str
    case_id: str
    fields: tuple[str, ...]
    stream_id: str
    create_time: datetime
    move_time: datetime
    state: BatchState = BatchState.OPEN
    position: int = 0
    received: int = 0
    answered: int = 0
    digest: bytes = EMPTY_DIGEST
    reported: Report | None = None

    @property
    def counted(self) -> Report:
        """What this side counted."""
        return Report(self.position, self.answered, self.digest)

    def asks_the_same(self, other: "Batch") -> bool:
        """Tell whether an opening means this batch; it may leave the fields to what was granted at first."""
        mine = (self.agency, self.resource, self.purpose, self.case_id)
        same = mine == (other.agency, other.resource, other.purpose, other.case_id)
        return same and other.fields in {(), self.fields}


@dataclass(frozen=True, slots=True)
class BatchReconciled:
    """Both sides have counted; `matched` where they counted the same."""

    batch_id: str
    resource: str
    agency: str
    matched: bool


def chained(digest: bytes, rows: Iterable[Row]) -> bytes:
    """Digest a part after what came before: SM3(digest before || lines of the rows) (GB/T 32905)."""
    return sm3(digest, *(row.line for row in rows))


def parts_of(batch: Batch, rows: Sequence[Row], *, grant_id: str) -> list[Part]:
    """Cut rows that follow the batch into parts, each small enough for a message."""
    parts: list[Part] = []
    before, begun, size = batch.counted, 0, 0
    for at, row in enumerate(rows):
        size += len(row.line)
        last = at + 1 == len(rows)
        if last or at + 1 - begun == PART_ROWS_MAX or size + len(rows[at + 1].line) > PART_BYTES_MAX:
            some = rows[begun : at + 1]
            parts.append(Part(before, some, chained(before.digest, some), grant_id))
            before, begun, size = parts[-1].counted, at + 1, 0
    return parts


def resumed(before: Batch, *, stream_id: str, received: int, now: datetime, kept: timedelta) -> Batch:
    """Let a new stream go on. Raises BatchNotOpen, BatchPositionWrong."""
    if before.state is not BatchState.OPEN or now - before.move_time > kept:
        raise BatchNotOpen("The batch is closed, or nobody went on with it in time.", remedy="Open a new batch.")
    return replace(held(before, received), stream_id=stream_id, move_time=now)


def held(before: Batch, received: int) -> Batch:
    """Note what the receiver holds. Raises BatchPositionWrong."""
    if not before.received <= received <= before.position:
        raise BatchPositionWrong(
            f"The receiver holds at least {before.received} rows and at most {before.position}, not {received}."
        )
    return replace(before, received=received)


def moved(before: Batch, parts: Sequence[Part], *, now: datetime) -> Batch:
    """Add parts that were made, be it none."""
    if not parts:
        return replace(before, move_time=now)
    return _counting(before, parts[-1].counted, now=now)


def rewound(before: Batch, part: Part, *, now: datetime) -> Batch:
    """Go back to where a part begins: its subjects are to be asked about anew."""
    return _counting(replace(before, received=min(before.received, part.position)), part.before, now=now)


def _counting(batch: Batch, count: Report, *, now: datetime) -> Batch:
    return replace(batch, position=count.rows, answered=count.answered, digest=count.digest, move_time=now)


def closed(before: Batch, *, now: datetime) -> Batch:
    """Close a batch whose every row is held. Raises BatchNotOpen, BatchPositionWrong."""
    if before.state is not BatchState.OPEN:
        raise BatchNotOpen("The batch is closed.")
    if before.received != before.position:
        raise BatchPositionWrong(f"{before.position - before.received} rows are not held yet.")
    return replace(before, state=BatchState.CLOSED, move_time=now)


def reconciled(before: Batch, report: Report, *, now: datetime) -> tuple[Batch, BatchReconciled]:
    """Compare what both sides counted; the difference stays on record. Raises BatchNotClosed."""
    if before.state is not BatchState.CLOSED:
        raise BatchNotClosed(f"The batch is {before.state.value}.", remedy="Close the batch first.")
    matched = report == before.counted
    state = BatchState.MATCHED if matched else BatchState.DIFFERING
    after = replace(before, state=state, reported=report, move_time=now)
    return after, BatchReconciled(before.receiver_id, before.resource, before.agency, matched)
