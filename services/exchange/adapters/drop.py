# SPDX-License-Identifier: Apache-2.0
"""A provider that drops files: read as CSV or Parquet, and asked from what was loaded of them."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from services.exchange.domain.drops import TEXT_MAX
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import FileDropInvalid
from services.exchange.domain.settings import DropSettings
from services.exchange.service.drops import DropStore, Given

COLUMNS_MAX = 1_000
_BATCH = 200
_GROUP_BYTES_MAX = 256 * 1024 * 1024


class DropAdapter:
    """One resource whose provider drops files."""

    def __init__(self, store: DropStore, resource: str) -> None:
        self._store = store
        self._resource = resource

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Give the subject's row of the current version."""
        return await self._store.dropped(self._resource, inquiry.subject_key)

    async def close(self) -> None:
        """Nothing to close: the rows are the exchange's own."""


def read_file(file: BinaryIO, settings: DropSettings) -> Iterator[Given]:
    """Give the rows of a file by column, a few in memory at a time. Raises FileDropInvalid."""
    return _csv(file, settings) if settings.format == "csv" else _parquet(file, settings)


def _csv(file: BinaryIO, settings: DropSettings) -> Iterator[Given]:
    encoding = "utf-8-sig" if settings.encoding == "utf-8" else settings.encoding
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    csv.field_size_limit(TEXT_MAX * 4)
    rows = csv.reader(text, delimiter=settings.delimiter, strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
        _must_have(head, settings)
        for row in rows:
            if row:
                yield dict(zip(head, row, strict=True)) if len(row) == len(head) else None
    except (csv.Error, UnicodeError):
        raise FileDropInvalid("The file can't be read as CSV to its end.") from None
    finally:
        text.detach()


def _parquet(file: BinaryIO, settings: DropSettings) -> Iterator[Given]:
    import pyarrow as pa  # noqa: PLC0415 - 0.2 s and 60 MB that only files of this kind are worth
    from pyarrow import parquet  # noqa: PLC0415 - as above

    try:
        opened = parquet.ParquetFile(file)
        names = opened.schema_arrow.names
        _must_have(names, settings)
        groups = [opened.metadata.row_group(number).total_byte_size for number in range(opened.metadata.num_row_groups)]
        if any(size > _GROUP_BYTES_MAX for size in groups):
            raise FileDropInvalid("A row group of the file is larger than 256 MiB.")
        wanted = list(dict.fromkeys([settings.key, *settings.columns.values()]))
        for batch in opened.iter_batches(batch_size=_BATCH, columns=wanted, use_threads=False):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError):
        raise FileDropInvalid("The file can't be read as Parquet to its end.") from None


def _must_have(head: list[str], settings: DropSettings) -> None:
    wanted = {settings.key, *settings.columns.values()}
    if len(head) > COLUMNS_MAX or len(set(head)) != len(head) or not wanted <= set(head):
        raise FileDropInvalid("The file lacks columns of the resource, or names one twice.")
