# SPDX-License-Identifier: Apache-2.0
"""Connections to either database, and the one place where their troubles become `Unavailable`."""

import asyncio
import functools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import URL, Connection, ExceptionContext, event, make_url
from sqlalchemy import exc as errors
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.kit.errors import Unavailable
from services.kit.store import inline

BUSY_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 5.0
COMMAND_SECONDS: Final = 15.0
POOL_SIZE: Final = 4
POOL_OVERFLOW: Final = 4
READERS: Final = 3

# SQLSTATEs that a retry gets over: serialization, deadlock, too many connections, shutdowns, lock and statement timeouts, disk full.
_TRANSIENT_STATES: Final = frozenset({"40001", "40P01", "53300", "53100", "57P01", "57P02", "57P03", "57014", "55P03"})
_TRANSIENT_CLASSES: Final = ("08",)
_TRANSIENT_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)


@dataclass(frozen=True)
class Engines:
    """One database: where changes go through, and where reads go (committed state, each statement on its own)."""

    dialect: str
    writing: AsyncEngine
    reading: AsyncEngine

    async def close(self) -> None:
        """Close every connection."""
        await self.writing.dispose()
        if self.dialect == "sqlite":
            await self.reading.dispose()


def async_url(url: str) -> URL:
    """The SQLAlchemy URL with the driver we use; `postgresql://user@/name?host=/folder` means a socket in that folder.

    Raises:
        ValueError: neither SQLite nor PostgreSQL.
    """
    parsed = make_url(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database:
        return parsed.set(drivername="sqlite+aiosqlite")
    if kind in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+asyncpg")
    raise ValueError(f"{kind}: no database of this kind; use sqlite:///path or postgresql://...")


def open_engines(url: str, *, application: str) -> Engines:
    """Prepare both engines; nothing is connected yet."""
    parsed = async_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Engines(
            dialect="sqlite",
            writing=_sqlite(parsed, readers=0),
            reading=_sqlite(parsed, readers=READERS),
        )
    engine = create_async_engine(
        parsed,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=BUSY_SECONDS,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": COMMAND_SECONDS,
            "server_settings": {"application_name": f"tongban-{application}", "jit": "off"},
        },
    )
    event.listen(engine.sync_engine, "handle_error", _translate, retval=True)
    return Engines(dialect="postgresql", writing=engine, reading=engine.execution_options(isolation_level="AUTOCOMMIT"))


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for the block.

    Raises:
        Unavailable: the database does not answer, or all connections are busy for too long.
    """
    connection = engine.connect()
    try:
        await connection.start()
    except (OSError, errors.TimeoutError) as error:
        raise unavailable(error) from error
    try:
        yield connection
    finally:
        await connection.close()


def unavailable(cause: BaseException) -> Unavailable:
    """The one sentence for every database trouble that a retry gets over."""
    return Unavailable(f"The database does not answer ({type(cause).__name__}).")


def is_transient(error: BaseException | None) -> bool:
    """Whether a retry gets over it: no connection, lock, shutdown, full disk; not a mistake in a statement."""
    if isinstance(error, OSError | asyncio.TimeoutError):
        return True
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str):
        return state in _TRANSIENT_STATES or state.startswith(_TRANSIENT_CLASSES)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return isinstance(code, int) and (code & 0xFF) in _TRANSIENT_CODES
    return False


def _sqlite(url: URL, *, readers: int) -> AsyncEngine:
    """The writer is a pool of one connection (its queue is the lock, first come first served); readers have their own."""
    engine = create_async_engine(
        url,
        pool_size=readers or 1,
        max_overflow=0,
        pool_timeout=30.0,
        async_creator=functools.partial(inline.connect, str(url.database), busy_seconds=BUSY_SECONDS),
    )

    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        if not readers:
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA query_only={'ON' if readers else 'OFF'}")
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "handle_error", _translate, retval=True)
    if not readers:
        event.listen(engine.sync_engine, "begin", begun)
    return engine


def _translate(context: ExceptionContext) -> BaseException | None:
    original = context.original_exception
    if not isinstance(original, Exception):
        return None  # a cancelled task stays cancelled
    cause = getattr(original, "__cause__", None)
    if context.is_disconnect or is_transient(original) or is_transient(cause):
        if isinstance(original, OSError) or isinstance(cause, OSError):
            context.is_disconnect = True  # what is left of this connection can't be trusted
        return unavailable(original)
    return None
