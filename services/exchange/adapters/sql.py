# SPDX-License-Identifier: Apache-2.0
"""A provider's database, read with one parametrised statement over a connection that can't write."""

import asyncio
import sqlite3
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiosqlite
from sqlalchemy import URL, AsyncAdaptedQueuePool, RowMapping, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.exchange.domain.answer import ANSWER_BYTES_MAX
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid
from services.exchange.domain.settings import SqlSettings

_POOL = 4
_CONNECT_SECONDS = 5.0
_BUSY_SECONDS = 1.0  # So long a SQLite register may be locked by whoever writes to it.
_STATEMENT_MS_MAX = 30_000
_POSTGRESQL = {
    "timeout": _CONNECT_SECONDS,
    "server_settings": {
        "application_name": "tongban-exchange",
        "default_transaction_read_only": "on",
        "statement_timeout": str(_STATEMENT_MS_MAX),
    },
}
_MYSQL = {
    "connect_timeout": _CONNECT_SECONDS,
    # The two servers have other names for the same things; each reads its own comment and skips the other's.
    "init_command": (
        f"SET SESSION /*M! tx_read_only=1, max_statement_time={_STATEMENT_MS_MAX // 1000} */"
        f" /*!80000 transaction_read_only=1, max_execution_time={_STATEMENT_MS_MAX} */"
    ),
}
_ROW_BYTES_MAX = 2 * ANSWER_BYTES_MAX  # A text of four bytes a character may still be an answer.
# A stream of MySQL that is left before its end must be read to its end: its server is told to stop instead.
_WRAPPED = "SELECT * FROM ({}) AS answer LIMIT 2"
_OPCODES = 20_000  # SQLite looks at the time limit after so many steps of its machine: well under a millisecond.


@dataclass(slots=True)
class _Limit:
    """When the statement that runs on a SQLite connection must end, on the monotonic clock. Read by its thread."""

    ends: float = float("inf")


class SqlAdapter:
    """One statement, one row. A second row is an invalid answer: nobody could tell which one is meant."""

    def __init__(self, settings: SqlSettings) -> None:
        self._engine = open_register(settings.url)
        self._streams = self._engine.dialect.name in {"sqlite", "postgresql"}
        self._statement = text(settings.statement if self._streams else _WRAPPED.format(settings.statement))

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Run the statement; None for no row."""
        if self._engine.dialect.name == "sqlite":
            rows = await self._rows_of_thread(inquiry)
        else:
            rows = await self._rows(inquiry, _Limit())
        if len(rows) > 1:
            raise ProviderAnswerInvalid("The provider has more than one record of the subject.")
        return {name: plain(value) for name, value in rows[0].items()} if rows else None

    async def _rows_of_thread(self, inquiry: Inquiry) -> Sequence[RowMapping]:
        """SQLite runs in a thread, which can't be cancelled: its statement is told to end, and waited for."""
        limit = _Limit(time.monotonic() + inquiry.timeout_seconds)
        running = asyncio.create_task(self._rows(inquiry, limit))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            limit.ends = 0.0
            await asyncio.wait({running}, timeout=_BUSY_SECONDS + 1)
            if running.done() and not running.cancelled():
                running.exception()  # Taken note of: nobody waits for it any more.
            running.cancel()
            raise

    async def _rows(self, inquiry: Inquiry, limit: _Limit) -> Sequence[RowMapping]:
        async with self._engine.connect() as connection:
            (await connection.get_raw_connection()).info["limit"] = limit
            asked = {"subject_key": inquiry.subject_key}
            if self._streams:
                return await (await connection.stream(self._statement, asked)).mappings().fetchmany(2)
            return (await connection.execute(self._statement, asked)).mappings().fetchmany(2)

    async def probe(self) -> None:
        """Open a connection and ask nothing about anybody."""
        async with self._engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


def open_register(given: str) -> AsyncEngine:
    """Open a provider's database for reading alone."""
    parsed = make_url(given)
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed.database or "")
        case "postgresql":
            return _served(parsed.set(drivername="postgresql+asyncpg"), _POSTGRESQL)
        case backend:
            encrypted = {"ssl": ssl.create_default_context()} if "ssl" in parsed.query else {}
            url = parsed.difference_update_query(["ssl"]).set(drivername=f"{backend}+asyncmy")
            return _served(url, _MYSQL | encrypted)


def _served(url: URL, arguments: Mapping[str, Any]) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=dict(arguments),
    )


def _sqlite(path: str) -> AsyncEngine:
    database = f"file:{quote(str(Path(path)))}?mode=ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(database, timeout=_BUSY_SECONDS, uri=True)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _ROW_BYTES_MAX)
        return connection

    async def opened() -> aiosqlite.Connection:
        connection = aiosqlite.Connection(connect, iter_chunk_size=2)
        try:
            return await connection
        except BaseException:
            # Its thread still tells the loop that it ends, and must not outlive it.
            await asyncio.to_thread(connection._thread.join)  # noqa: SLF001 - it has no public way to wait for that
            raise

    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=opened,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=_POOL,
        max_overflow=_POOL,
        hide_parameters=True,
    )

    def connecting(*_: Any) -> None:
        if not Path(path).is_file():  # Said here, so that no thread is started for it.
            raise FileNotFoundError(path)

    def connected(connection: Any, record: Any) -> None:
        info = record.info

        def too_late() -> bool:
            limit: _Limit | None = info.get("limit")
            return limit is not None and time.monotonic() > limit.ends

        connection.run_async(lambda driver: driver.set_progress_handler(too_late, _OPCODES))

    event.listen(engine.sync_engine, "do_connect", connecting)
    event.listen(engine.sync_engine, "connect", connected)
    return engine


def plain(value: object) -> object:
    """Bring a column's value into a form that JSON has; what has none is left for the check of the answer to refuse."""
    if isinstance(value, datetime | date | clock_time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value
