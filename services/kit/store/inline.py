# SPDX-License-Identifier: Apache-2.0
"""SQLite for SQLAlchemy's aiosqlite dialect without a thread hop for each statement.

A statement on an indexed table takes 10 to 100 us, a hop to aiosqlite's thread and back costs more than that, and a
transaction has a dozen. So statements run where they are asked for, and only what waits leaves the loop: a commit (it
waits for the disk) and a statement that finds the file locked by another process. Measured: a third of the time.
"""

import asyncio
import functools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

T = TypeVar("T")

_STATEMENTS_CACHED = 256


async def connect(path: str, *, busy_seconds: float) -> "InlineConnection":
    """Open a file; what `create_async_engine(async_creator=...)` asks for."""
    return InlineConnection(
        sqlite3.connect(
            path,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,  # one task at a time has it, on the loop or waiting for a thread
            cached_statements=_STATEMENTS_CACHED,
        ),
        busy_seconds,
    )


class InlineConnection:
    """Quacks like `aiosqlite.Connection`, as far as SQLAlchemy listens."""

    isolation_level = None  # the engine begins and commits by itself

    def __init__(self, db: sqlite3.Connection, busy_seconds: float) -> None:
        self._connection: sqlite3.Connection | None = db
        self._busy_milliseconds = int(busy_seconds * 1000)

    def cursor(self) -> "InlineCursor":
        """A new cursor."""
        return InlineCursor(self, self._db.cursor())

    async def create_function(self, *args: Any, **kwargs: Any) -> None:
        """Register a function; the dialect brings its own REGEXP."""
        self._db.create_function(*args, **kwargs)

    async def commit(self) -> None:
        """Commit, beside the loop: on return it is on the disk."""
        if self._db.in_transaction:
            await _aside(self._db.commit)

    async def rollback(self) -> None:
        """Undo; touches no disk."""
        if self._db.in_transaction:
            self._db.rollback()

    async def close(self) -> None:
        """Close the file."""
        self.stop()

    def stop(self) -> None:
        """The same at once, for a connection that nobody trusts any more."""
        db, self._connection = self._connection, None
        if db is not None:
            db.close()

    async def patiently(self, work: Callable[[], T]) -> T:
        """Run a statement; one that finds the file locked waits for it, beside the loop."""
        try:
            return work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        return await _aside(functools.partial(self._wait, work))

    def _wait(self, work: Callable[[], T]) -> T:
        self._db.execute(f"PRAGMA busy_timeout={self._busy_milliseconds}")
        try:
            return work()
        finally:
            self._db.execute("PRAGMA busy_timeout=0")

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("Connection closed")  # the words that the dialect knows as a disconnect
        return self._connection


class InlineCursor:
    """Quacks like `aiosqlite.Cursor`."""

    def __init__(self, connection: InlineConnection, cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        """Run one statement."""
        await self._connection.patiently(lambda: self._cursor.execute(statement, parameters))
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        """Run one statement for each set of parameters."""
        await self._connection.patiently(lambda: self._cursor.executemany(statement, parameters))
        return self

    async def fetchone(self) -> Any:
        """The next row."""
        return self._cursor.fetchone()

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """The next rows."""
        return self._cursor.fetchmany(size or self._cursor.arraysize)

    async def fetchall(self) -> Sequence[Any]:
        """All rows left."""
        return self._cursor.fetchall()

    async def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()

    @property
    def description(self) -> Any:
        """Columns of the result."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """Rows changed."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The id of the row inserted last."""
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany` takes."""
        return self._cursor.arraysize

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._cursor.arraysize = size


async def _aside(work: Callable[[], T]) -> T:
    """Run in a thread; a caller that is cancelled meanwhile leaves only after the thread has let go of the connection."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
