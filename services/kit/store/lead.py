# SPDX-License-Identifier: Apache-2.0
"""One process at a time: who holds a database's advisory lock (PostgreSQL) or its lock file (SQLite) leads."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.errors import Unavailable
from services.kit.store.engine import connected
from services.kit.store.store import Store

ASK_SECONDS: Final = 1.0


@dataclass
class Lead:
    """Leadership while it lasts. Its work goes over its own connections, so that none of it outlives the lock."""

    _store: Store[Any]
    _held: AsyncConnection | None = None
    _lost: asyncio.Event = field(default_factory=asyncio.Event)

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for reads of committed state."""
        return nullcontext(self._held) if self._held is not None else self._store.reading()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose changes are committed at the end of the block."""
        if self._held is not None:
            yield self._held
        else:
            async with connected(self._store.engines.writing) as connection, connection.begin():
                yield connection

    async def while_leading(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work until it ends or leadership is lost.

        Raises:
            Unavailable: it was lost; the work has been cancelled.
        """
        working = asyncio.create_task(work)
        losing = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait([working, losing], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Unavailable("The connection that held the lead is gone.")
            await working
        finally:
            for task in (working, losing):
                task.cancel()
            await asyncio.wait([working, losing])

    def lose(self) -> None:
        """The lock is gone."""
        self._lost.set()


@asynccontextmanager
async def leading(store: Store[Any], name: str) -> AsyncIterator[Lead]:
    """Wait until this process leads for `name` in the store's database; a process that dies stops leading by that.

    Raises:
        Unavailable: the database does not answer.
    """
    if store.dialect == "postgresql":
        async with _advisory(store, name) as lead:
            yield lead
    else:
        async with _file(store, name) as lead:
            yield lead


@asynccontextmanager
async def _advisory(store: Store[Any], name: str) -> AsyncIterator[Lead]:
    """Session-level lock on a connection of its own; PostgreSQL drops it with the connection."""
    async with connected(store.engines.reading) as connection:
        lead = Lead(store, connection)
        try:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(lambda _: lead.lose())
            ask = text("SELECT pg_try_advisory_lock(:key)")
            while not (await connection.execute(ask, {"key": crc32(name.encode())})).scalar_one():  # noqa: ASYNC110
                await asyncio.sleep(ASK_SECONDS)
            # What is changed here is forgotten work: lost in a crash it is done again, so nobody waits for the disk.
            await connection.execute(text("SET synchronous_commit TO off"))
            await driver.add_listener(store.notify_channel, lambda *_: store.outbox_grown.set())
            yield lead
        finally:
            await connection.invalidate()  # closed, not returned to the pool: the lock must not stay behind


@asynccontextmanager
async def _file(store: Store[Any], name: str) -> AsyncIterator[Lead]:
    """A lock on `<database>.<name>.lock`; the kernel drops it with the process."""
    path = Path(f"{store.engines.writing.url.database}.{name}.lock")
    with path.open("a") as file:  # noqa: ASYNC230 - an empty file beside the database
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(ASK_SECONDS)
        yield Lead(store)
