# SPDX-License-Identifier: Apache-2.0
"""Rows of open data: the opening list, releases, and the bytes of files by their digest."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)

from services.exchange.domain.opendata.dataset import Dataset, License
from services.exchange.domain.opendata.release import (
    Format,
    OpenDatasetNotFound,
    Release,
    ReleaseFile,
    ReleaseNotFound,
)
from services.exchange.domain.opendata.written import dataset_of, plain_of, plain_source, source_of
from services.exchange.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.paging import Page, encode_token, number_after, text_after
from services.kit.store import Json, Store, Tx, UtcDateTime

open_dataset = Table(
    "open_dataset",
    metadata,
    Column("dataset", String(64), primary_key=True),
    Column("resource", String(64), ForeignKey("resource.code"), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("definition", Json, nullable=False),
    Column("source", LargeBinary, nullable=False),  # sealed: it may hold a password
    Column("update_time", UtcDateTime, nullable=False),
)

open_release = Table(
    "open_release",
    metadata,
    Column("dataset", String(64), ForeignKey("open_dataset.dataset"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("request_id", String(36), nullable=False),
    Column("license", String(20), nullable=False),
    Column("period_start", Date, nullable=False),
    Column("period_end", Date, nullable=False),
    Column("publish_time", UtcDateTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("k", BigInteger, nullable=False),
    Column("diversity", Integer, nullable=False),
    Column("suppressed", BigInteger, nullable=False),
    Column("rules", Json, nullable=False),
    Column("files", Json, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("leaf_hash", String(64), nullable=False),
    Column("withdraw_time", UtcDateTime, nullable=True),
    Column("withdraw_reason", Text, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Index("open_release_by_request", "request_id", unique=True),
    Index("open_release_by_update", "update_time"),
)

open_file = Table(
    "open_file",
    metadata,
    Column("dataset", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("format", String(10), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Index("open_file_by_digest", "sha256"),
)

open_piece = Table(
    "open_piece",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

Row = Mapping[Any, Any]


class OpenDataRows(Tx):
    """What a transaction reads and writes."""

    async def find_open_dataset(self, dataset: str) -> Dataset | None:
        """Read and lock, None where there is none."""
        query = select(open_dataset).where(open_dataset.c.dataset == dataset).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        return None if row is None else _dataset(row, self.store.keyring)

    async def save_open_dataset(self, dataset: Dataset, *, now: datetime) -> None:
        """Insert or replace, the source sealed."""
        sealed = json.dumps(plain_source(dataset.source), ensure_ascii=False).encode()
        row = {
            "dataset": dataset.dataset,
            "resource": dataset.resource,
            "open": dataset.open,
            "definition": plain_of(dataset),
            "source": self.store.keyring.seal(sealed, _context(dataset.dataset)),
            "update_time": now,
        }
        insert = self.insert(open_dataset).values(row)
        changed = {name: insert.excluded[name] for name in row if name != "dataset"}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=["dataset"], set_=changed))

    async def last_version(self, dataset: str) -> int:
        """Give the newest version, 0 for none; the data set is locked."""
        query = select(func.max(open_release.c.version)).where(open_release.c.dataset == dataset)
        return int(await self.connection.scalar(query) or 0)

    async def find_release(self, dataset: str, version: int) -> Release | None:
        """Read and lock."""
        row = (await self.connection.execute(_one(dataset, version).with_for_update())).mappings().one_or_none()
        return None if row is None else _release(row)

    async def release_by_request(self, request_id: str) -> Release | None:
        """Read the release that a request made."""
        found = await self.connection.execute(_made_by(request_id))
        row = found.mappings().one_or_none()
        return None if row is None else _release(row)

    async def add_release(self, release: Release, *, request_id: str) -> None:
        """Insert the release and its files."""
        row = {
            "dataset": release.dataset,
            "version": release.version,
            "request_id": request_id,
            "license": release.license.value,
            "period_start": release.period_start,
            "period_end": release.period_end,
            "publish_time": release.publish_time,
            "rows": release.rows,
            "k": release.k,
            "diversity": release.diversity,
            "suppressed": release.suppressed,
            "rules": dict(release.rules),
            "files": [
                {"format": each.format.value, "size": each.size, "sha256": each.sha256} for each in release.files
            ],
            "leaf_index": release.leaf_index,
            "leaf_hash": release.leaf_hash,
            "withdraw_time": None,
            "withdraw_reason": "",
            "update_time": release.publish_time,
        }
        await self.connection.execute(self.insert(open_release).values(row))
        for each in release.files:
            await self.connection.execute(
                self.insert(open_file).values(
                    dataset=release.dataset, version=release.version, format=each.format.value, sha256=each.sha256
                )
            )

    async def save_withdrawal(self, release: Release) -> None:
        """Write when and why; delete the bytes that no other release has."""
        own = (open_release.c.dataset == release.dataset) & (open_release.c.version == release.version)
        await self.connection.execute(
            update(open_release)
            .where(own)
            .values(
                withdraw_time=release.withdraw_time,
                withdraw_reason=release.withdraw_reason,
                update_time=release.withdraw_time,
            )
        )
        await self.connection.execute(
            delete(open_file).where(open_file.c.dataset == release.dataset, open_file.c.version == release.version)
        )
        await self.drop_unpublished([each.sha256 for each in release.files])

    async def keep_piece(self, sha256: str, place: int, content: bytes) -> None:
        """Insert; the same digest has the same pieces."""
        piece = self.insert(open_piece).values(sha256=sha256, place=place, content=content)
        await self.connection.execute(piece.on_conflict_do_nothing())

    async def has_pieces(self, sizes: Mapping[str, int]) -> bool:
        """Add up their lengths."""
        query = select(open_piece.c.sha256, func.sum(func.length(open_piece.c.content)))
        query = query.where(open_piece.c.sha256.in_(sizes)).group_by(open_piece.c.sha256)
        found = {sha256: int(size) for sha256, size in await self.connection.execute(query)}
        return all(found.get(sha256, 0) == size for sha256, size in sizes.items())

    async def drop_unpublished(self, digests: Sequence[str]) -> None:
        """Delete where no release has the file."""
        published = select(open_file.c.sha256).where(open_file.c.sha256 == open_piece.c.sha256)
        await self.connection.execute(delete(open_piece).where(open_piece.c.sha256.in_(digests), ~published.exists()))


class OpenDataReads(Store[Any]):
    """What is read outside a change."""

    async def open_dataset(self, dataset: str) -> Dataset:
        """Read a data set. Raises OpenDatasetNotFound."""
        async with self.reading() as connection:
            found = await connection.execute(select(open_dataset).where(open_dataset.c.dataset == dataset))
            row = found.mappings().one_or_none()
        if row is None:
            raise OpenDatasetNotFound("There is no such data set.")
        return _dataset(row, self.keyring)

    async def open_datasets(self, *, closed: bool, page_size: int, page_token: str) -> Page[Dataset]:
        """Give data sets by name; closed ones only where asked for."""
        query = select(open_dataset).order_by(open_dataset.c.dataset).limit(page_size + 1)
        if not closed:
            query = query.where(open_dataset.c.open)
        if after := text_after(page_token, "dataset"):
            query = query.where(open_dataset.c.dataset > after)
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(_dataset(row, self.keyring) for row in found[:page_size])
        return Page(page, encode_token(dataset=page[-1].dataset) if len(found) > page_size else "")

    async def made_by(self, request_id: str) -> Release | None:
        """Read the release that a request made."""
        async with self.reading() as connection:
            row = (await connection.execute(_made_by(request_id))).mappings().one_or_none()
        return None if row is None else _release(row)

    async def release(self, dataset: str, version: int) -> Release:
        """Read a release. Raises ReleaseNotFound."""
        async with self.reading() as connection:
            row = (await connection.execute(_one(dataset, version))).mappings().one_or_none()
        if row is None:
            raise ReleaseNotFound("The data set has no such release.")
        return _release(row)

    async def releases(self, dataset: str, *, page_size: int, page_token: str) -> Page[Release]:
        """Give releases, newest first."""
        query = select(open_release).where(open_release.c.dataset == dataset)
        query = query.order_by(open_release.c.version.desc()).limit(page_size + 1)
        if (before := number_after(page_token, "version")) is not None:
            query = query.where(open_release.c.version < before)
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(_release(row) for row in found[:page_size])
        return Page(page, encode_token(version=page[-1].version) if len(found) > page_size else "")

    async def pieces(self, sha256: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """Give pieces one by one; each is a read of its own, so that a slow reader holds no connection."""
        for place in range(first, last + 1):
            query = select(open_piece.c.content).where(open_piece.c.sha256 == sha256, open_piece.c.place == place)
            async with self.reading() as connection:
                content = await connection.scalar(query)
            if content is None:
                return
            yield content

    async def opendata_stamp(self) -> str:
        """Give what changes whenever the opening list or a release does."""
        async with self.reading() as connection:
            marks = [
                (await connection.execute(select(func.count(), func.max(table.c.update_time)).select_from(table))).one()
                for table in (open_dataset, open_release)
            ]
        return str([tuple(mark) for mark in marks])


def _one(dataset: str, version: int) -> Select[Any]:
    return select(open_release).where(open_release.c.dataset == dataset, open_release.c.version == version)


def _made_by(request_id: str) -> Select[Any]:
    return select(open_release).where(open_release.c.request_id == request_id)


def _dataset(row: Row, keyring: Keyring) -> Dataset:
    source = json.loads(keyring.open_sealed(row["source"], _context(row["dataset"])))
    return dataset_of(row["definition"], source_of(source))


def _release(row: Row) -> Release:
    given = {name: row[name] for name in Release.__dataclass_fields__}
    given["license"] = License(row["license"])
    given["files"] = tuple(ReleaseFile(Format(each["format"]), each["size"], each["sha256"]) for each in row["files"])
    return Release(**given)


def _context(dataset: str) -> str:
    return f"exchange.opendata.source:{dataset}"
