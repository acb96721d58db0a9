# SPDX-License-Identifier: Apache-2.0
"""Exports and archive segments as files: JSON lines, a segment's compressed with gzip. What the records mean stands in `verify.py`."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

Record = dict[str, Any]
_LEAF: Final = '{"leaf'
SEGMENT_SUFFIX: Final = ".jsonl.gz"


@contextmanager
def writing(path: Path) -> Iterator[Callable[..., None]]:
    """Write records; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.partial")
    with ExitStack() as stack:
        file = stack.enter_context(draft.open("wb"))
        packed = (
            stack.enter_context(gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0, filename=""))
            if path.name.endswith(".gz")
            else file
        )

        def write(**record: object) -> None:
            packed.write(f"{json.dumps(record, ensure_ascii=False)}\n".encode())

        yield write
    draft.replace(path)


def promises(path: Path, found: Callable[[str], None]) -> Iterator[Record]:
    """Every record that is no leaf; lines of leaves are passed over unread."""
    for number, line in _lines(path, found):
        if not line.startswith(_LEAF):
            record = _parsed(line)
            if record is None:
                found(f"Line {number} can't be read.")
            elif "leaf" not in record and "leaf_hash" not in record:
                yield record


def leaves(path: Path, found: Callable[[str], None]) -> Iterator[Record]:
    """Every record of a leaf, in the order of the file."""
    for number, line in _lines(path, lambda _: None):
        record = _parsed(line)
        if record is not None and ("leaf" in record or "leaf_hash" in record):
            yield record
        elif record is None and line.startswith(_LEAF):
            found(f"Line {number} can't be read.")


def _lines(path: Path, found: Callable[[str], None]) -> Iterator[tuple[int, str]]:
    try:
        with cast(
            IO[str],
            gzip.open(path, "rt", encoding="utf-8") if path.name.endswith(".gz") else path.open(encoding="utf-8"),
        ) as lines:
            yield from enumerate(lines, start=1)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        found(f"{path.name} can't be read to its end.")


def _parsed(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
