# SPDX-License-Identifier: Apache-2.0
"""A department's own register: one SQLite file, one writer, and a note of every operation that was done.

The note stands in the transaction of the effect, so that a task which comes twice (a lost answer, a lease that
ran out, a kill) finds what was done and gives the same answer.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

ResultT = TypeVar("ResultT")
Output = Mapping[str, str | float | bool]

_BUSY_SECONDS = 5.0
BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS done (
    case_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (case_id, operation)
) STRICT;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""
"""What every register has beside its own tables."""


class Register:
    """One department's database, used from one thread of its own."""

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._schema = schema
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"register-{path.stem}")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        """Create the file where it isn't there yet."""
        await self._call(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._call(self._close)
        self._thread.shutdown()

    async def read(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run a read."""
        return await self._call(lambda: work(self._opened()))

    async def write(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run `work` in one transaction; it is on disk when this returns."""
        return await self._call(lambda: self._transact(work))

    async def once(self, case_id: str, operation: str, work: Callable[[sqlite3.Connection], Output]) -> Output:
        """Do an operation of a case the first time; every later time give the answer of the first."""

        def guarded(connection: sqlite3.Connection) -> Output:
            if (done := _done(connection, case_id, operation)) is not None:
                return done
            output = work(connection)
            connection.execute("INSERT INTO done VALUES (?, ?, ?)", (case_id, operation, json.dumps(dict(output))))
            return output

        return await self.write(guarded)

    async def done(self, case_id: str, operation: str) -> Output | None:
        """The answer that was given before, if the operation was done."""
        return await self.read(lambda connection: _done(connection, case_id, operation))

    async def _call(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The thread pool has one thread, but nothing says that it is the same one for ever.
        self._connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(BOOKKEEPING + self._schema)

    def _close(self) -> None:
        self._opened().close()

    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _transact(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        with _transaction(self._opened()) as connection:
            return work(connection)


def next_number(connection: sqlite3.Connection, name: str) -> int:
    """The next running number of a series, from 1; part of the transaction."""
    row = connection.execute(
        "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value", (name,)
    ).fetchone()
    return int(row[0])


def _done(connection: sqlite3.Connection, case_id: str, operation: str) -> Output | None:
    row = connection.execute(
        "SELECT output FROM done WHERE case_id = ? AND operation = ?", (case_id, operation)
    ).fetchone()
    if row is None:
        return None
    output: Output = json.loads(row["output"])
    return output


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
