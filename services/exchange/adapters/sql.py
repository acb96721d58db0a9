# SPDX-License-Identifier: Apache-2.0
"""A provider's database, read with one parametrised statement over a connection that can't write."""

import asyncio
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

from sqlalchemy import URL, RowMapping, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid
from services.exchange.domain.settings import SqlSettings

_POOL = 4
_CONNECT_SECONDS = 5.0
_BUSY_SECONDS = 1.0  # So long a SQLite register may be locked by whoever writes to it.
_STATEMENT_MS_MAX = 30_000
_OPCODES = 20_000  # SQLite looks at the time limit after so many steps of its machine: well under a millisecond.


@dataclass(slots=True)
class _Limit:
    """When the statement that runs on a SQLite connection must end, on the monotonic clock. Read by its thread."""

    ends: float = float("inf")


class SqlAdapter:
    """One statement, one row. A second row is an invalid answer: nobody could tell which one is meant."""

    def __init__(self, settings: SqlSettings) -> None:
        self._engine = _open(settings.url)
        self._statement = text(settings.statement)

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Run the statement; None for no row."""
        if self._engine.dialect.name == "sqlite":
            rows = await self._rows_of_thread(inquiry)
        else:
            rows = await self._rows(inquiry, _Limit())
        if len(rows) > 1:
            raise ProviderAnswerInvalid("The provider has more than one record of the subject.")
        return {name: _plain(value) for name, value in rows[0].items()} if rows else None

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
            result = await connection.stream(self._statement, {"subject_key": inquiry.subject_key})
            return await result.mappings().fetchmany(2)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


def _open(url: str) -> AsyncEngine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed.database or "")
    return create_async_engine(
        parsed.set(drivername="postgresql+asyncpg"),
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "timeout": _CONNECT_SECONDS,
            "server_settings": {
                "application_name": "tongban-exchange",
                "default_transaction_read_only": "on",
                "statement_timeout": str(_STATEMENT_MS_MAX),
            },
        },
    )


def _sqlite(path: str) -> AsyncEngine:
    database = f"file:{quote(str(Path(path)))}"
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=database, query={"mode": "ro", "uri": "true"}),
        pool_size=_POOL,
        max_overflow=_POOL,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS},
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


def _plain(value: object) -> object:
    """Bring a column's value into a form that JSON has; what has none is left for the check of the answer to refuse."""
    if isinstance(value, datetime | date | clock_time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value
