# SPDX-License-Identifier: Apache-2.0
"""Batches and the parts that their receivers don't hold yet. A part is sealed; its size and place are not."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Result,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from services.exchange.domain.batches import Batch, BatchNotFound, BatchNotOpen, BatchState, Part, Report, Row
from services.exchange.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.ledger.access import Entry, Receipt
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime
from services.kit.store.statement import Prepared

_HASH_BYTES = 32

batch = Table(
    "batch",
    metadata,
    Column("batch_id", String(36), primary_key=True),
    Column("receiver_id", String(36), nullable=False),
    Column("agency", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("purpose", String(100), nullable=False),
    Column("case_id", String(200), nullable=False),
    Column("fields", Json, nullable=False),
    Column("stream_id", String(36), nullable=False),
    Column("state", String(20), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("reported_rows", BigInteger, nullable=True),
    Column("reported_answered", BigInteger, nullable=True),
    Column("reported_digest", LargeBinary, nullable=True),
    Column("create_time", UtcDateTime, nullable=False),
    Column("move_time", UtcDateTime, nullable=False),
    Index("batch_by_receiver_id", "agency", "receiver_id", unique=True),
    Index("batch_by_agency", "agency", "state", "create_time"),
    Index("batch_by_state", "state", "create_time", "batch_id"),
    Index("batch_by_time", "create_time", "batch_id"),
)

batch_part = Table(
    "batch_part",
    metadata,
    Column("batch_id", String(36), ForeignKey("batch.batch_id"), primary_key=True),
    Column("end", BigInteger, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("leaf_hashes", LargeBinary, nullable=False),
    Column("move_time", UtcDateTime, nullable=False),
    Index("batch_part_by_time", "move_time"),
)

_MOVE = Prepared(
    update(batch)
    .where(
        batch.c.batch_id == bindparam("of"),
        batch.c.stream_id == bindparam("stream"),
        batch.c.position == bindparam("since"),
    )
    .values(
        position=bindparam("until"),
        received=bindparam("held"),
        answered=bindparam("with_values"),
        digest=bindparam("chain"),
        move_time=bindparam("now"),
    ),
    *("until", "held", "with_values", "chain", "now"),
    *("of", "stream", "since"),
)
_KEEP = Prepared(
    batch_part.insert().inline(), "batch_id", "end", "size", "sealed", "leaf_index", "leaf_hashes", "move_time"
)
_PLACE = Prepared(
    update(batch_part)
    .where(batch_part.c.batch_id == bindparam("of"), batch_part.c.end == bindparam("until"))
    .values(leaf_index=bindparam("index")),
    *("index", "of", "until"),
)
_DROP = Prepared(
    delete(batch_part).where(batch_part.c.batch_id == bindparam("of"), batch_part.c.end <= bindparam("held")),
    *("of", "held"),
)


class BatchRows(Tx):
    """What a transaction reads and writes of batches."""

    async def find_batch(self, agency: str, receiver_id: str) -> Batch | None:
        """Read and lock, None where there is none."""
        return _batch_or_none(await self.connection.execute(_named(agency, receiver_id).with_for_update()))

    async def batch(self, batch_id: str, *, agency: str) -> Batch:
        """Read and lock an agency's own. Raises BatchNotFound."""
        query = select(batch).where(batch.c.batch_id == batch_id).with_for_update()
        found = _batch_or_none(await self.connection.execute(query))
        if found is None or found.agency != agency:
            raise BatchNotFound("There is no such batch of this agency.")
        return found

    async def count_open_batches(self, agency: str, *, since: datetime) -> int:
        """Count; one that nobody can go on with any more takes no place."""
        moving = batch.c.move_time >= since
        open_ones = (batch.c.agency == agency) & (batch.c.state == BatchState.OPEN.value) & moving
        return int(await self.connection.scalar(select(func.count()).select_from(batch).where(open_ones)) or 0)

    async def add_batch(self, added: Batch) -> None:
        """Insert."""
        await self.connection.execute(self.insert(batch).values(_batch_row(added)))

    async def save_batch(self, changed: Batch) -> None:
        """Write all that can change."""
        row = _batch_row(changed)
        await self.connection.execute(update(batch).where(batch.c.batch_id == row.pop("batch_id")).values(row))

    async def move_batch(self, moved: Batch, *, since: int) -> bool:
        """Write progress; False where another stream has the batch, or it has moved since."""
        result = await _MOVE.one(
            self.connection,
            moved.position,
            moved.received,
            moved.answered,
            moved.digest,
            self.store.stored(moved.move_time),
            moved.batch_id,
            moved.stream_id,
            since,
        )
        return result.rowcount == 1

    async def keep_parts(self, batch_id: str, parts: Sequence[Part]) -> None:
        """Insert, sealed; where their leaves begin is not known yet."""
        now, keyring = self.store.stored(self.store.clock()), self.store.keyring
        rows = [
            (batch_id, part.end, part.size, _sealed(batch_id, part, keyring), 0, _hashes(part), now) for part in parts
        ]
        await _KEEP.many(self.connection, rows)

    async def place_parts(self, batch_id: str, parts: Sequence[Part]) -> None:
        """Write where their leaves begin."""
        places = [(part.leaf_index, batch_id, part.end) for part in parts]
        await _PLACE.many(self.connection, places)

    async def drop_held_parts(self, batch_id: str, *, received: int) -> None:
        """Delete."""
        await _DROP.one(self.connection, batch_id, received)

    async def drop_parts_from(self, batch_id: str, *, position: int) -> None:
        """Delete."""
        await self.connection.execute(
            delete(batch_part).where(batch_part.c.batch_id == batch_id, batch_part.c.end > position)
        )

    async def drop_late_parts(self, *, before: datetime, limit: int) -> int:
        """Delete at most `limit`; give how many."""
        key = tuple_(batch_part.c.batch_id, batch_part.c.end)
        late = select(batch_part.c.batch_id, batch_part.c.end).where(batch_part.c.move_time < before).limit(limit)
        return (await self.connection.execute(delete(batch_part).where(key.in_(late)))).rowcount

    async def leaves(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Add leaves in order; the tree is locked from here to the commit."""
        return await self.store.ledger.append_in(self.connection, entries)


class BatchReads(Store[Any]):
    """What is read of batches outside a transaction."""

    async def read_batch(self, agency: str, receiver_id: str) -> Batch | None:
        """Read, None where there is none."""
        async with self.reading() as connection:
            return _batch_or_none(await connection.execute(_named(agency, receiver_id)))

    async def kept_sizes(self, batch_id: str) -> Sequence[tuple[int, int]]:
        """Give end and bytes of each kept part."""
        query = select(batch_part.c.end, batch_part.c.size).where(batch_part.c.batch_id == batch_id)
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(batch_part.c.end))
        return [(end, size) for end, size in found]

    async def kept_part(self, batch_id: str, *, after: int) -> Part | None:
        """Open the first that ends later."""
        query = select(batch_part).where(batch_part.c.batch_id == batch_id, batch_part.c.end > after)
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(batch_part.c.end).limit(1))
        row = found.mappings().one_or_none()
        return None if row is None else _part_from(row, self.keyring)

    async def list_batches(
        self, *, agency: str, state: BatchState | None, resource: str, page_size: int, page_token: str
    ) -> Page[Batch]:
        """Give batches, newest first."""
        query = select(batch).order_by(batch.c.create_time.desc(), batch.c.batch_id.desc()).limit(page_size + 1)
        for column, value in ((batch.c.agency, agency), (batch.c.resource, resource), (batch.c.state, state)):
            if value:
                query = query.where(column == str(value))
        if page_token:
            time, last = moment_after(page_token)
            query = query.where(
                or_(batch.c.create_time < time, and_(batch.c.create_time == time, batch.c.batch_id < last))
            )
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(_batch_from(row) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].create_time.isoformat(), id=page[-1].batch_id))


def _named(agency: str, receiver_id: str) -> Select[Any]:
    return select(batch).where(batch.c.agency == agency, batch.c.receiver_id == receiver_id)


def _batch_or_none(found: Result[Any]) -> Batch | None:
    row = found.mappings().one_or_none()
    return None if row is None else _batch_from(row)


def _batch_row(given: Batch) -> dict[str, Any]:
    reported = given.reported
    return {
        "batch_id": given.batch_id,
        "receiver_id": given.receiver_id,
        "agency": given.agency,
        "resource": given.resource,
        "purpose": given.purpose,
        "case_id": given.case_id,
        "fields": list(given.fields),
        "stream_id": given.stream_id,
        "state": given.state.value,
        "position": given.position,
        "received": given.received,
        "answered": given.answered,
        "digest": given.digest,
        "reported_rows": None if reported is None else reported.rows,
        "reported_answered": None if reported is None else reported.answered,
        "reported_digest": None if reported is None else reported.digest,
        "create_time": given.create_time,
        "move_time": given.move_time,
    }


def _batch_from(row: Mapping[Any, Any]) -> Batch:
    same = (
        "batch_id",
        "receiver_id",
        "agency",
        "resource",
        "purpose",
        "case_id",
        "stream_id",
        "create_time",
        "move_time",
    )
    counts = ("position", "received", "answered", "digest")
    reported = None
    if row["reported_rows"] is not None:
        reported = Report(row["reported_rows"], row["reported_answered"], row["reported_digest"])
    return Batch(
        **{name: row[name] for name in (*same, *counts)},
        fields=tuple(row["fields"]),
        state=BatchState(row["state"]),
        reported=reported,
    )


def _sealed(batch_id: str, part: Part, keyring: Keyring) -> bytes:
    content = {
        "before": [part.before.rows, part.before.answered, part.before.digest.hex()],
        "digest": part.digest.hex(),
        "grant": part.grant_id,
        "rows": [[row.outcome, row.values.decode(), row.subject_id, row.blinding.hex()] for row in part.rows],
    }
    return keyring.seal(json.dumps(content, ensure_ascii=False).encode(), _context(batch_id, part.end))


def _part_from(row: Mapping[Any, Any], keyring: Keyring) -> Part:
    content = json.loads(keyring.open_sealed(row["sealed"], _context(row["batch_id"], row["end"])))
    if "grant" not in content:
        raise BatchNotOpen("The batch was begun by an earlier release.", remedy="Open a new batch.")
    position, answered, digest = content["before"]
    hashes: bytes = row["leaf_hashes"]
    return Part(
        before=Report(position, answered, bytes.fromhex(digest)),
        rows=[
            Row(
                outcome,
                values.encode(),
                subject_id,
                hashes[at * _HASH_BYTES : (at + 1) * _HASH_BYTES],
                bytes.fromhex(blinding),
            )
            for at, (outcome, values, subject_id, blinding) in enumerate(content["rows"])
        ],
        digest=bytes.fromhex(content["digest"]),
        grant_id=content["grant"],
        leaf_index=row["leaf_index"],
    )


def _hashes(part: Part) -> bytes:
    return b"".join(row.leaf_hash for row in part.rows)


def _context(batch_id: str, end: int) -> str:
    return f"exchange.batch:{batch_id}:{end}"
