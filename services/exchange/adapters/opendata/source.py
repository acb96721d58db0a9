# SPDX-License-Identifier: Apache-2.0
"""Reads the records of a data set: only the columns that are published, and whose a record is, ever leave their source."""

import csv
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from services.exchange.adapters.sql import open_register, plain
from services.exchange.domain.answer import Scalar
from services.exchange.domain.opendata.release import SourceInvalid
from services.exchange.domain.opendata.source import FileSource, Source, SqlSource

ROWS_MAX = 1_000_000
_BATCH = 1000
_CELL_MAX = 10_000

Record = Mapping[str, Scalar]


async def records_of(source: Source, columns: Sequence[str], drop: Path | None) -> list[Record]:
    """Read all records. Raises SourceInvalid; whatever a driver raises is for the caller to call no answer."""
    found: list[Record] = []
    async for record in _read(source, columns, drop):
        if len(found) >= ROWS_MAX:
            raise SourceInvalid(f"The source has more than {ROWS_MAX} records.")
        found.append(record)
    return found


async def _read(source: Source, columns: Sequence[str], drop: Path | None) -> AsyncIterator[Record]:
    if isinstance(source, SqlSource):
        async for row in _statement(source):
            yield _record(row, columns)
        return
    for row in _file(source, drop, columns):
        yield _record(row, columns)


async def _statement(source: SqlSource) -> AsyncIterator[Mapping[Any, Any]]:
    engine = open_register(source.url)
    try:
        async with engine.connect() as connection:
            result = await connection.stream(text(source.statement))
            async for batch in result.mappings().partitions(_BATCH):
                for row in batch:
                    yield row
    finally:
        await engine.dispose()


def _file(source: FileSource, drop: Path | None, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    path = None if drop is None else drop / source.file
    if path is None or path.is_symlink() or not path.is_file():
        raise SourceInvalid("There is no such file in the drop folder.")
    return _parquet(path, columns) if path.suffix == ".parquet" else _csv(path)


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_CELL_MAX)
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            for row in csv.DictReader(opened, strict=True):
                if None in row or None in row.values():
                    raise SourceInvalid("A line of the file has more or fewer cells than its first one.")
                yield row
    except (csv.Error, UnicodeDecodeError):
        raise SourceInvalid("The file is not CSV in UTF-8.") from None


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - 40 MB that only this needs

    try:
        with parquet.ParquetFile(path) as opened:
            wanted = [name for name in columns if name in opened.schema_arrow.names]
            for batch in opened.iter_batches(_BATCH, columns=wanted):
                yield from batch.to_pylist()
    except ArrowException:
        raise SourceInvalid("The file is not Parquet.") from None


def _record(row: Mapping[Any, Any], columns: Sequence[str]) -> Record:
    record: dict[str, Scalar] = {}
    for name in columns:
        if name not in row:
            raise SourceInvalid(f"The source has no column {name}.")
        value: Any = plain(row[name])
        if value is not None and not isinstance(value, str | int | float | bool):
            raise SourceInvalid(f"Column {name} has values that are no texts, numbers or dates.")
        if isinstance(value, str) and len(value) > _CELL_MAX:
            raise SourceInvalid(f"Column {name} has values that are too long.")
        record[name] = value
    return record
