# SPDX-License-Identifier: Apache-2.0
"""Messages that could not be handled: rows in the service's own database that an operator lists, reads, replays or drops."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from sqlalchemy import MetaData, Row, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.clock import Clock, utc_now
from services.kit.envelope import Envelope
from services.kit.errors import NotFound, RequestInvalid
from services.kit.eventlog import Place, Record
from services.kit.logs import get_logger
from services.kit.paging import LONG_MAX, Page, encode_token, number_after
from services.kit.store import Store
from services.kit.store.dialect import insert_into
from services.kit.store.engine import Engines, connected, open_engines
from services.kit.store.tables import KitTables, kit_tables

UNDECODABLE: Final = "UNDECODABLE"
BROKEN: Final = "BROKEN"
BEHIND: Final = "BEHIND"
PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 500
DETAIL_MAX: Final = 500
TEXT_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """One parked message. `blocking`: later messages of its key wait behind it. `replay`: the consumer has been asked to try again."""

    id: int
    event_id: str
    topic: str
    partition: int
    offset: int
    key: str
    type: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    reason: str
    detail: str
    blocking: bool
    replay: bool
    attempts: int
    park_time: datetime

    @property
    def record(self) -> Record:
        """The message as it came."""
        return Record(
            topic=self.topic,
            key=self.key,
            value=self.value,
            headers=self.headers,
            partition=self.partition,
            offset=self.offset,
        )


class Parked:
    """The parked messages of one service. `Parked.of(store)` within it, `open_parked(url)` from outside."""

    def __init__(self, engines: Engines, tables: KitTables, clock: Clock) -> None:
        self._engines = engines
        self._table = tables.parked
        self._seen = tables.seen
        self._clock = clock

    @classmethod
    def of(cls, store: Store[Any]) -> Self:
        """The parked messages in an open store."""
        return cls(store.engines, store.tables, store.clock)

    # ---- for operators --------------------------------------------------------------------------------------------

    async def list(self, *, key: str = "", page_size: int = 0, token: str = "") -> Page[ParkedMessage]:
        """Parked messages, oldest first; of one key where given."""
        size = min(page_size or PAGE_SIZE, PAGE_SIZE_MAX)
        query = select(self._table).order_by(self._table.c.id).limit(size + 1)
        if key:
            query = query.where(self._table.c.key == key)
        if token:
            query = query.where(self._table.c.id > (number_after(token, "after", most=LONG_MAX) or 0))
        rows = await self._read(query)
        more, rows = len(rows) > size, rows[:size]
        return Page(rows=tuple(rows), next_token=encode_token(after=rows[-1].id) if more else "")

    async def show(self, message_id: int) -> ParkedMessage:
        """One parked message with its payload.

        Raises:
            NotFound: it is not parked (any more).
        """
        rows = await self._read(select(self._table).where(self._table.c.id == message_id))
        if not rows:
            raise NotFound(f"No message {message_id} is parked.")
        return rows[0]

    async def count(self) -> int:
        """How many are parked."""
        async with connected(self._engines.reading) as connection:
            return int((await connection.execute(select(func.count()).select_from(self._table))).scalar_one())

    async def replay(self, message_id: int) -> int:
        """Ask the consumer to handle it again, and with it the messages of its key that wait behind; returns how many.

        The consumer that has the partition does it within seconds, in order, through the same path as a delivery.
        """
        message = await self.show(message_id)
        asked = self._table.c.id == message.id
        if message.blocking:
            asked = and_(self._same_key(message), self._table.c.blocking)
        async with self._changing() as connection:
            return int((await connection.execute(update(self._table).where(asked).values(replay=True))).rowcount)

    async def drop(self, message_id: int, reason: str) -> None:
        """Give a message up for good; a later delivery of the same event changes nothing either. Those behind it go on.

        Raises:
            RequestInvalid: no reason given.
        """
        if not reason.strip():
            raise RequestInvalid("Dropping a message needs a reason.")
        message = await self.show(message_id)
        async with self._changing() as connection:
            await connection.execute(delete(self._table).where(self._table.c.id == message.id))
            await connection.execute(
                insert_into(connection, self._seen)
                .values(id=message.event_id, seen_time=self._clock())
                .on_conflict_do_nothing()
            )
            if message.blocking:
                await self._mark_key(connection, message, replay=True)
        get_logger().warning(
            "parked_message_dropped", event_id=message.event_id, type=message.type, topic=message.topic, why=reason
        )

    # ---- for the consumer -----------------------------------------------------------------------------------------

    async def park(
        self, record: Record, envelope: Envelope | None, *, reason: str, detail: str, blocking: bool, attempts: int
    ) -> None:
        """Keep a message; one that is parked already stays as it is."""
        row = self._row(record, envelope, reason=reason, detail=detail, blocking=blocking, attempts=attempts)
        async with self._changing() as connection:
            await connection.execute(insert_into(connection, self._table).values(row).on_conflict_do_nothing())

    async def park_behind(self, record: Record, envelope: Envelope) -> bool:
        """Keep a message behind the one that blocks its key; False where nothing blocks it any more.

        The blocking row is locked meanwhile: an operator who drops it at this moment also finds the new one. A repeat
        of an event that has had its effect needs no place.
        """
        place = Place(record.topic, record.partition)
        head = select(self._table.c.id).where(self._here(place), self._table.c.key == parked_key(record))
        head = head.where(self._table.c.blocking).order_by(self._table.c.id).limit(1).with_for_update()
        row = self._row(record, envelope, reason=BEHIND, detail="", blocking=True, attempts=0)
        async with self._changing() as connection:
            if (await connection.execute(head)).one_or_none() is None:
                return False
            seen = select(self._seen.c.id).where(self._seen.c.id == envelope.event_id)
            if (await connection.execute(seen)).one_or_none() is not None:
                return True
            await connection.execute(insert_into(connection, self._table).values(row).on_conflict_do_nothing())
        return True

    async def blocked_keys(self, place: Place) -> set[str]:
        """Keys of one partition whose messages have to wait."""
        query = select(self._table.c.key).where(self._here(place), self._table.c.blocking).distinct()
        async with connected(self._engines.reading) as connection:
            return {key for (key,) in await connection.execute(query)}

    async def places_to_replay(self) -> set[Place]:
        """Partitions with messages that an operator wants handled again."""
        query = select(self._table.c.topic, self._table.c.partition).where(self._table.c.replay).distinct()
        async with connected(self._engines.reading) as connection:
            return {Place(topic, partition) for topic, partition in await connection.execute(query)}

    async def to_replay(self, place: Place, but_keys: set[str], limit: int = 100) -> Sequence[ParkedMessage]:
        """Those of one partition, in order, without those of some keys."""
        query = (
            select(self._table)
            .where(self._here(place), self._table.c.replay, self._table.c.key.not_in(but_keys))
            .order_by(self._table.c.id)
            .limit(limit)
        )
        return await self._read(query)

    async def settled(self, message: ParkedMessage) -> None:
        """It has had its effect now; those that waited behind it go on."""
        async with self._changing() as connection:
            await connection.execute(delete(self._table).where(self._table.c.id == message.id))
            if message.blocking:
                await self._mark_key(connection, message, replay=True)

    async def failed_again(self, message: ParkedMessage, *, reason: str, detail: str, blocking: bool) -> None:
        """It stays, with its newest reason; where it blocks its key, those behind stop trying, else they go on."""
        async with self._changing() as connection:
            await connection.execute(
                update(self._table)
                .where(self._table.c.id == message.id)
                .values(
                    replay=False,
                    reason=reason[:100],
                    detail=detail[:DETAIL_MAX],
                    blocking=blocking,
                    attempts=self._table.c.attempts + 1,
                )
            )
            if message.blocking:
                await self._mark_key(connection, message, replay=not blocking)

    # ---- inside ---------------------------------------------------------------------------------------------------

    def _here(self, place: Place) -> Any:
        return and_(self._table.c.topic == place.topic, self._table.c.partition == place.partition)

    def _same_key(self, message: ParkedMessage) -> Any:
        return and_(self._here(Place(message.topic, message.partition)), self._table.c.key == message.key)

    async def _mark_key(self, connection: AsyncConnection, message: ParkedMessage, *, replay: bool) -> None:
        waiting = and_(self._same_key(message), self._table.c.blocking)
        await connection.execute(update(self._table).where(waiting).values(replay=replay))

    def _row(
        self, record: Record, envelope: Envelope | None, *, reason: str, detail: str, blocking: bool, attempts: int
    ) -> dict[str, object]:
        event_id = envelope.event_id if envelope else f"{record.topic}/{record.partition}/{record.offset}"
        return {
            "event_id": _text(event_id),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": parked_key(record),
            "type": _text(envelope.type if envelope else ""),
            "value": record.value,
            "headers": _headers_text(record.headers),
            "reason": reason[:100],
            "detail": detail[:DETAIL_MAX],
            "blocking": blocking,
            "replay": False,
            "attempts": attempts,
            "park_time": self._clock(),
        }

    async def _read(self, query: Any) -> Sequence[ParkedMessage]:
        async with connected(self._engines.reading) as connection:
            return [_message(row) for row in await connection.execute(query)]

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        async with connected(self._engines.writing) as connection, connection.begin():
            yield connection


@asynccontextmanager
async def open_parked(url: str, *, clock: Clock = utc_now) -> AsyncIterator[Parked]:
    """The parked messages in a service's database, for a command beside the running service."""
    engines = open_engines(url, application="parked")
    try:
        yield Parked(engines, kit_tables(MetaData()), clock)
    finally:
        await engines.close()


def parked_key(record: Record) -> str:
    """A record's key as it is kept here, whoever wrote it."""
    return _text(record.key)


def _text(foreign: str) -> str:
    """What both databases take: no NUL, bounded."""
    return foreign.replace("\x00", "\ufffd")[:TEXT_MAX]


def _headers_text(headers: tuple[tuple[str, bytes], ...]) -> str:
    return json.dumps([[name, raw.decode("latin-1")] for name, raw in headers])


def _message(row: Row[*tuple[Any, ...]]) -> ParkedMessage:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["headers"] = tuple((name, text.encode("latin-1")) for name, text in json.loads(values["headers"]))
    return ParkedMessage(**values)
