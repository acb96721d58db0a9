# SPDX-License-Identifier: Apache-2.0
"""Writes a table as CSV, JSON and Parquet; the same table always gives the same bytes."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.exchange.domain.opendata.anonymity import Table
from services.exchange.domain.opendata.release import Format

_EXACT = 1 << 63


def write_all(table: Table, folder: Path) -> None:
    """Write `data.<format>` for every format."""
    for form, write in _WRITERS.items():
        write(table, folder / f"data.{form.value}")


def _csv(table: Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\r\n")  # RFC 4180
        writer.writerow(table.columns)
        writer.writerows(table.rows)


def _json(table: Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as opened:
        opened.write("[")
        for index, row in enumerate(table.rows):
            record = dict(zip(table.columns, row, strict=True))
            opened.write(("\n" if not index else ",\n") + json.dumps(record, ensure_ascii=False, allow_nan=False))
        opened.write("\n]\n")


def _parquet(table: Table, path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - 40 MB that only this needs
    from pyarrow import parquet  # noqa: PLC0415 - the same

    arrays = {name: _array([row[index] for row in table.rows], pa) for index, name in enumerate(table.columns)}
    parquet.write_table(pa.table(arrays), path, compression="zstd")


def _array(values: list[Any], pa: Any) -> Any:
    """Give a column the narrowest type that holds all its values: whole numbers, numbers, texts."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, int) and abs(value) < _EXACT for value in there):
        return pa.array(values, pa.int64())
    if there and all(isinstance(value, int | float) for value in there):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


_WRITERS: Mapping[Format, Callable[[Table, Path], None]] = {
    Format.CSV: _csv,
    Format.JSON: _json,
    Format.PARQUET: _parquet,
}
