# SPDX-License-Identifier: Apache-2.0
"""The store of one service: one database, one way in for changes, another for reads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

from sqlalchemy import Executable, MetaData
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.clock import Clock
from services.kit.crypto import Keyring, SigningKey
from services.kit.envelope import Outgoing
from services.kit.ledger.ledger import Ledger
from services.kit.store import migrate
from services.kit.store.engine import Engines, connected, open_engines
from services.kit.store.statement import Prepared
from services.kit.store.tables import KitTables, kit_tables
from services.kit.store.tx import OUTBOX_COLUMNS, Tx
from services.kit.store.types import in_utc

TxT = TypeVar("TxT", bound=Tx)
Encode = Callable[[Any], Outgoing]


class HasDatabase(Protocol):
    """The setting that a store needs."""

    @property
    def database(self) -> str:
        """`sqlite:///absolute/path` or `postgresql://...`."""


class Resources(Protocol):
    """What a store needs of the runtime."""

    @property
    def settings(self) -> HasDatabase:
        """The service's settings."""

    @property
    def clock(self) -> Clock:
        """What time it is."""

    @property
    def keyring(self) -> Keyring:
        """The service's data keys."""

    @property
    def signing_key(self) -> SigningKey:
        """What signs the ledger's heads."""


class _Open:
    """Marks the transaction that a task is in, so that a second one inside it is refused instead of waiting for itself."""

    def __init__(self, store: object) -> None:
        self.store: object | None = store


_open: ContextVar[_Open | None] = ContextVar("open_transaction", default=None)


class Store(Generic[TxT]):
    """Base of every service's store.

    A service writes `class LicensesStore(Store[LicensesTx])` with `service`, `metadata` and `tx_type`, and opens it with
    `async with LicensesStore.open(runtime, encode=to_wire) as store`.
    """

    service: ClassVar[str]
    metadata: ClassVar[MetaData]
    tx_type: ClassVar[type[Tx]] = Tx
    migrations: ClassVar[Path | None] = None  # services/<service>/migrations where None

    def __init__(self, engines: Engines, runtime: Resources, *, encode: Encode) -> None:
        self.engines = engines
        self.encode = encode
        self.clock = runtime.clock
        self.keyring = runtime.keyring
        self.database = runtime.settings.database
        self.tables: KitTables = kit_tables(self.metadata)
        insert = postgresql.insert if engines.dialect == "postgresql" else sqlite.insert
        self.guard = Prepared(insert(self.tables.seen).on_conflict_do_nothing(), "id", "seen_time")
        self.outbox = Prepared(self.tables.outbox.insert().inline(), *OUTBOX_COLUMNS)
        self.ledger = Ledger(self, signing_key=runtime.signing_key)
        self.outbox_grown = asyncio.Event()
        self.relays_here = False

    @classmethod
    @asynccontextmanager
    async def open(cls, runtime: Resources, *, encode: Encode) -> AsyncIterator[Self]:
        """Bring the schema up to date, connect, and close everything afterwards.

        Raises:
            Unavailable: the database does not answer.
            SchemaTooNew: the database was written by a newer release.
        """
        await migrate.upgrade(runtime.settings.database, cls.service, cls.migrations)
        engines = open_engines(runtime.settings.database, application=cls.service)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engines.close)
            store = cls(engines, runtime, encode=encode)
            await stack.enter_async_context(store.ledger.kept())
            yield store

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`; asked only inside the kit."""
        return self.engines.dialect

    def prepared(self, statement: Executable, *names: str) -> Prepared:
        """A statement of a hot path, compiled once; see `statement.py`."""
        return Prepared(statement, *names)

    def stored(self, moment: datetime) -> object:
        """A moment as a prepared statement takes it; the same in the database as a `UtcDateTime` bound by SQLAlchemy."""
        utc = in_utc(moment)
        return utc if self.dialect == "postgresql" else utc.replace(tzinfo=None).isoformat(" ", "microseconds")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[TxT]:
        """One transaction for a change: committed at the end of the block, undone by any exception.

        SQLite has one writer at a time; PostgreSQL runs READ COMMITTED.

        Raises:
            Unavailable: the database does not answer; nothing is known to have been changed.
            RuntimeError: this task is already inside a transaction of this store.
        """
        outer = _open.get()
        if outer is not None and outer.store is self:
            raise RuntimeError("A transaction inside a transaction of the same store would wait for itself.")
        mark = _Open(self)
        token = _open.set(mark)
        facts = False
        try:
            async with connected(self.engines.writing) as connection, connection.begin():
                tx = cast(TxT, self.tx_type(self, connection))
                yield tx
                facts = tx.facts_recorded
                await tx.flush()
                if facts and not self.relays_here and self.dialect == "postgresql":
                    await connection.exec_driver_sql(f"NOTIFY {self.notify_channel}")
        finally:
            mark.store = None
            _open.reset(token)
            if facts:
                self.outbox_grown.set()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads of committed state; each statement sees what is committed when it starts.

        Raises:
            Unavailable: the database does not answer.
        """
        async with connected(self.engines.reading) as connection:
            yield connection

    @asynccontextmanager
    async def each_alone(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement is a transaction of its own; PostgreSQL's, since SQLite's only reads.

        Raises:
            Unavailable: the database does not answer.
        """
        assert self.dialect == "postgresql", "SQLite writes through its one writer"
        async with connected(self.engines.reading) as connection:
            yield connection

    @property
    def notify_channel(self) -> str:
        """Where PostgreSQL tells other processes of this service that the outbox has grown."""
        return "tongban_outbox"

    async def ready(self) -> None:
        """Return if the database answers now.

        Raises:
            Unavailable: it does not.
        """
        async with self.reading() as connection:
            await connection.exec_driver_sql("SELECT 1")
