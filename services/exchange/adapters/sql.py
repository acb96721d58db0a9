# SPDX-License-Identifier: Apache-2.0
"""A provider's database, read with one parametrised statement over a connection that can't write."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import URL, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid
from services.exchange.domain.settings import SqlSettings

_POOL = 4
_CONNECT_SECONDS = 5.0
_STATEMENT_MS_MAX = 30_000
_OPCODES = 20_000  # SQLite looks at the time limit after so many steps of its machine: well under a millisecond.


@dataclass(slots=True)
class _Limit:
    """When the statement that runs on a SQLite connection must end, on the monotonic clock. Read by its thread."""

    ends: float = float("inf")

    def passed(self) -> bool:
        return time.monotonic() > self.ends


class SqlAdapter:
    """One statement, one row. A second row is an invalid answer: nobody could tell which one is meant."""

    def __init__(self, settings: SqlSettings) -> None:
        self._engine = _open(settings.url)
        self._statement = text(settings.statement)

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Run the statement; None for no row."""
        async with self._engine.connect() as connection:
            limit: _Limit | None = (await connection.get_raw_connection()).info.get("limit")
            if limit is not None:
                limit.ends = time.monotonic() + inquiry.timeout_seconds
            try:
                result = await connection.stream(self._statement, {"subject_key": inquiry.subject_key})
                rows = await result.mappings().fetchmany(2)
            finally:
                if limit is not None:
                    limit.ends = 0.0  # A thread can't be cancelled; a statement that is still running there ends now.
        if len(rows) > 1:
            raise ProviderAnswerInvalid("The provider has more than one record of the subject.")
        return {name: _plain(value) for name, value in rows[0].items()} if rows else None

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
        connect_args={"timeout": _CONNECT_SECONDS},
    )

    def connected(connection: Any, record: Any) -> None:
        limit = record.info["limit"] = _Limit()
        connection.run_async(lambda driver: driver.set_progress_handler(limit.passed, _OPCODES))

    event.listen(engine.sync_engine, "connect", connected)
    return engine


def _plain(value: object) -> object:
    """Bring a column's value into a form that JSON has; what has none is left for the check of the answer to refuse."""
    if isinstance(value, datetime | date | clock_time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value
