# SPDX-License-Identifier: Apache-2.0
"""Rows of file drops: found by a keyed mark of whom they are about, sealed, and given only from the current version."""

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
    String,
    Table,
    delete,
    func,
    select,
    update,
)

from services.exchange.domain.answer import Scalar
from services.exchange.domain.drops import Drop, DropState, Reason, Reject
from services.exchange.domain.drops import Row as DropRow
from services.exchange.domain.refusals import FileDropNotFound, ProviderAnswerInvalid, ProviderUnavailable
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.paging import Page, encode_token, number_after
from services.kit.store import Json, Store, Tx, UtcDateTime

file_drop = Table(
    "file_drop",
    metadata,
    Column("drop_id", String(36), primary_key=True),
    Column("resource", String(64), ForeignKey("resource.code"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("receive_time", UtcDateTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("reasons", Json, nullable=False),
    Column("refusal", String(40), nullable=False),
    Column("switch_time", UtcDateTime, nullable=True),
    Index("file_drop_by_resource", "resource", "version", unique=True),
    Index("file_drop_by_state", "resource", "state"),
)

drop_row = Table(
    "drop_row",
    metadata,
    Column("drop_id", String(36), ForeignKey("file_drop.drop_id"), primary_key=True),
    Column("mark", LargeBinary, primary_key=True),
    Column("sealed", LargeBinary, nullable=True),  # NULL where the file says two things about one subject
)

drop_reject = Table(
    "drop_reject",
    metadata,
    Column("drop_id", String(36), ForeignKey("file_drop.drop_id"), primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("field", String(64), nullable=False),
    Column("reason", String(40), nullable=False),
)


class DropRows(Tx):
    """What a transaction reads and writes of file drops."""

    async def drop_under_way(self, resource: str, *, since: datetime) -> bool:
        """Whether another file of the resource has been loading since then."""
        query = select(file_drop.c.drop_id).where(
            file_drop.c.resource == resource,
            file_drop.c.state == DropState.LOADING,
            file_drop.c.receive_time > since,
        )
        return (await self.connection.execute(query.limit(1))).first() is not None

    async def next_drop_version(self, resource: str) -> int:
        """Give the version of the next file; the caller holds the resource's lock."""
        found = await self.connection.scalar(
            select(func.max(file_drop.c.version)).where(file_drop.c.resource == resource)
        )
        return int(found or 0) + 1

    async def find_drop(self, drop_id: str) -> Drop | None:
        """Read, None where there is none."""
        row = (await self.connection.execute(_drop(drop_id))).mappings().one_or_none()
        return None if row is None else _drop_from(row)

    async def current_drop(self, resource: str) -> Drop | None:
        """Read the version that is given now."""
        query = select(file_drop).where(file_drop.c.resource == resource, file_drop.c.state == DropState.CURRENT)
        row = (await self.connection.execute(query)).mappings().one_or_none()
        return None if row is None else _drop_from(row)

    async def save_drop(self, drop: Drop) -> None:
        """Insert or replace."""
        row = _drop_row(drop)
        insert = self.insert(file_drop).values(row)
        changed = {name: insert.excluded[name] for name in row if name != "drop_id"}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=["drop_id"], set_=changed))

    async def add_drop_rows(self, drop: Drop, rows: Sequence[DropRow]) -> Sequence[Reject]:
        """Add rows, sealed; give those whose subject came before. What such a subject had is given no more."""
        keyring = self.store.keyring
        marked = [(_mark(drop.resource, row.key, keyring), row) for row in rows]
        known = await self.connection.execute(
            select(drop_row.c.mark).where(
                drop_row.c.drop_id == drop.drop_id, drop_row.c.mark.in_([m for m, _ in marked])
            )
        )
        seen = {bytes(mark) for mark in known.scalars()}
        fresh: dict[bytes, bytes | None] = {}
        repeated: list[Reject] = []
        unclear: set[bytes] = set()
        for mark, row in marked:
            if mark in seen or mark in fresh:
                repeated.append(Reject(row.line, "", Reason.SUBJECT_REPEATED))
                unclear.add(mark)
            else:
                content = json.dumps(row.values, ensure_ascii=False).encode()
                fresh[mark] = keyring.seal(content, _context(drop.drop_id, mark))
        added = [
            {"drop_id": drop.drop_id, "mark": mark, "sealed": None if mark in unclear else sealed}
            for mark, sealed in fresh.items()
        ]
        if added:
            await self.connection.execute(self.insert(drop_row), added)
        if unclear & seen:
            unclear_rows = (drop_row.c.drop_id == drop.drop_id) & drop_row.c.mark.in_(unclear & seen)
            await self.connection.execute(update(drop_row).where(unclear_rows).values(sealed=None))
        return repeated

    async def add_rejects(self, drop_id: str, rejects: Sequence[Reject]) -> None:
        """Add rows that were set apart: where and why, nothing of what they said."""
        if rejects:
            rows = [
                {"drop_id": drop_id, "line": each.line, "field": each.field, "reason": each.reason} for each in rejects
            ]
            await self.connection.execute(self.insert(drop_reject).on_conflict_do_nothing(), rows)

    async def clear_drop(self, drop_id: str, *, limit: int) -> int:
        """Delete so many rows of a drop; give how many."""
        chosen = select(drop_row.c.mark).where(drop_row.c.drop_id == drop_id).limit(limit)
        result = await self.connection.execute(
            delete(drop_row).where(drop_row.c.drop_id == drop_id, drop_row.c.mark.in_(chosen))
        )
        return result.rowcount


class DropReads(Store[Any]):
    """What is read of file drops outside a change."""

    async def dropped(self, resource: str, key: str) -> Mapping[str, Scalar] | None:
        """Give the subject's row of the current version. Raises ProviderUnavailable, ProviderAnswerInvalid."""
        mark = _mark(resource, key.strip().upper(), self.keyring)
        query = (
            select(file_drop.c.drop_id, drop_row.c.mark, drop_row.c.sealed)
            .join_from(
                file_drop,
                drop_row,
                (drop_row.c.drop_id == file_drop.c.drop_id) & (drop_row.c.mark == mark),
                isouter=True,
            )
            .where(file_drop.c.resource == resource, file_drop.c.state == DropState.CURRENT)
        )
        async with self.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise ProviderUnavailable("The provider has dropped no file yet.")
        if row["mark"] is None:
            return None
        if row["sealed"] is None:
            raise ProviderAnswerInvalid("The provider's file says two things about the subject.")
        opened = json.loads(self.keyring.open_sealed(row["sealed"], _context(row["drop_id"], mark)))
        return {"subject_key": key, **opened}

    async def list_drops(self, resource: str, *, page_size: int, page_token: str) -> Page[Drop]:
        """Give the drops of a resource, newest first."""
        query = select(file_drop).where(file_drop.c.resource == resource)
        if (before := number_after(page_token, "version")) is not None:
            query = query.where(file_drop.c.version < before)
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(file_drop.c.version.desc()).limit(page_size + 1))
            drops = [_drop_from(row) for row in found.mappings()]
        page = tuple(drops[:page_size])
        return Page(page, encode_token(version=page[-1].version) if len(drops) > page_size else "")

    async def read_drop(self, drop_id: str) -> Drop:
        """Read one. Raises FileDropNotFound."""
        async with self.reading() as connection:
            row = (await connection.execute(_drop(drop_id))).mappings().one_or_none()
        if row is None:
            raise FileDropNotFound("There is no such drop.")
        return _drop_from(row)

    async def list_rejects(self, drop_id: str, *, page_size: int, page_token: str) -> Page[Reject]:
        """Give rows that were set apart, by line."""
        query = select(drop_reject).where(drop_reject.c.drop_id == drop_id)
        if (after := number_after(page_token, "line")) is not None:
            query = query.where(drop_reject.c.line > after)
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(drop_reject.c.line).limit(page_size + 1))
            rejects = [Reject(row["line"], row["field"], Reason(row["reason"])) for row in found.mappings()]
        page = tuple(rejects[:page_size])
        return Page(page, encode_token(line=page[-1].line) if len(rejects) > page_size else "")

    async def drops_to_clear(self, *, before: datetime) -> Sequence[Drop]:
        """Give drops whose rows may go: superseded or refused ones that have some, and loads that ended in the middle."""
        left = select(drop_row.c.drop_id).where(drop_row.c.drop_id == file_drop.c.drop_id).exists()
        stuck = (file_drop.c.state == DropState.LOADING) & (file_drop.c.receive_time < before)
        done = file_drop.c.state.in_([DropState.SUPERSEDED, DropState.REFUSED]) & left
        async with self.reading() as connection:
            found = await connection.execute(select(file_drop).where(stuck | done).limit(20))
            return [_drop_from(row) for row in found.mappings()]


def _drop(drop_id: str) -> Any:
    return select(file_drop).where(file_drop.c.drop_id == drop_id)


def _mark(resource: str, key: str, keyring: Keyring) -> bytes:
    return keyring.blind_index(key, f"exchange.drop:{resource}")


def _context(drop_id: str, mark: bytes) -> str:
    return f"exchange.drop:{drop_id}:{mark.hex()}"


def _drop_row(drop: Drop) -> dict[str, Any]:
    return {
        "drop_id": drop.drop_id,
        "resource": drop.resource,
        "version": drop.version,
        "state": drop.state.value,
        "digest": drop.digest,
        "receive_time": drop.receive_time,
        "rows": drop.rows,
        "rejected": drop.rejected,
        "reasons": dict(drop.reasons),
        "refusal": drop.refusal,
        "switch_time": drop.switch_time,
    }


def _drop_from(row: Row) -> Drop:
    return Drop(**{**row, "state": DropState(row["state"])})
