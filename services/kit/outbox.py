# SPDX-License-Identifier: Apache-2.0
"""The relay: what was recorded with a change leaves in order, once the change is committed, until the log has it."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ColumnElement, Row, any_, bindparam, delete, not_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import InvalidRequestError

from services.kit.envelope import Envelope, pack, service_topic
from services.kit.errors import Unavailable
from services.kit.eventlog import EventLog, Record
from services.kit.logs import get_logger
from services.kit.store import Store
from services.kit.store.lead import Lead, leading

BATCH_MAX: Final = 1000
POLL_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 0.05
FORGET_MAX: Final = 100
CLOSE_SECONDS: Final = 0.5
WAIT_SECONDS: Final = 0.1
WAIT_SECONDS_MAX: Final = 10.0
SEEN_DAYS: Final = 30
CLEAN_SECONDS: Final = 3600.0


class Relay:
    """Sends one service's outbox. Every process runs one; the leader works, the others wait to take over."""

    def __init__(self, store: Store[Any], eventlog: EventLog) -> None:
        self._store = store
        self._eventlog = eventlog
        self._table = store.tables.outbox
        self._sent = _among(self._table.c.id, store.dialect)
        self._topic = service_topic(store.service)
        self._source = f"/tongban/{store.service}"
        self._cleaned = 0.0
        self._answered = False
        self.leads = False

    async def run(self) -> None:
        """Relay until cancelled; survives the loss of database, log and leadership."""
        wait = WAIT_SECONDS
        while True:
            try:
                await self._eventlog.ensure_topics([self._topic])
                async with leading(self._store, "relay") as lead:
                    self.leads = self._store.relays_here = True
                    await lead.while_leading(self._work(lead))
            except Unavailable as away:
                get_logger().warning("relay_waits", service=self._store.service, reason=str(away), wait_seconds=wait)
            except Exception:  # noqa: BLE001 - the relay outlives whatever happens to one batch
                get_logger().exception("relay_broke", service=self._store.service)
            finally:
                self.leads = self._store.relays_here = False
            if self._answered:
                self._answered, wait = False, WAIT_SECONDS
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, hides nothing
            wait = min(wait * 2, WAIT_SECONDS_MAX)

    async def _work(self, lead: Lead) -> None:
        """Send what is there, forget what was sent, wait for more.

        Forgetting waits a moment, so that facts that trickle in share one commit for it and don't compete with the
        transactions that they cause. A crash in between sends them twice: the guard of whoever hears them makes that
        no second effect.
        """
        grown = self._store.outbox_grown
        sent: list[int] = []
        try:
            while True:
                grown.clear()
                rows = await self._unsent(lead, sent)
                if rows:
                    await self._eventlog.send([self._record(row) for row in rows])
                    self._answered = True
                    sent += [row.id for row in rows]
                if len(sent) >= FORGET_MAX or not rows:
                    await self._forget(lead, sent)
                    sent = []
                if len(rows) < BATCH_MAX:
                    await self._clean(lead)
                    with contextlib.suppress(TimeoutError):
                        # not wait_for: that of Python 3.11 can swallow a cancellation
                        async with asyncio.timeout(FORGET_SECONDS if sent else POLL_SECONDS):
                            await grown.wait()
        finally:
            # A statement that the cancellation cut has taken its connection along.
            with contextlib.suppress(Unavailable, TimeoutError, InvalidRequestError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._forget(lead, sent)

    async def _unsent(self, lead: Lead, sent: Sequence[int]) -> Sequence[Row[*tuple[Any, ...]]]:
        """What has waited longest."""
        query = select(self._table).where(not_(self._sent)).order_by(self._table.c.id).limit(BATCH_MAX)
        async with lead.reading() as connection:
            return (await connection.execute(query, {"sent": sent})).all()

    async def _forget(self, lead: Lead, sent: Sequence[int]) -> None:
        """By id, not by range: on PostgreSQL a lower id may be committed later."""
        if sent:
            async with lead.changing() as connection:
                await connection.execute(delete(self._table).where(self._sent), {"sent": sent})

    async def _clean(self, lead: Lead) -> None:
        """Once an hour, forget ids seen more than a month ago: nobody repeats a request after so long."""
        now = asyncio.get_running_loop().time()
        if now - self._cleaned < CLEAN_SECONDS:
            return
        self._cleaned = now
        seen = self._store.tables.seen
        before = self._store.clock() - timedelta(days=SEEN_DAYS)
        async with lead.changing() as connection:
            await connection.execute(delete(seen).where(seen.c.seen_time < before))

    def _record(self, row: Row[*tuple[Any, ...]]) -> Record:
        envelope = Envelope(
            event_id=row.event_id,
            source=self._source,
            type=row.type,
            subject=row.key,
            occur_time=row.occur_time,
            traceparent=row.traceparent,
            correlation=row.correlation,
            causation=row.causation,
            topic=self._topic,
        )
        return pack(envelope, row.value)


def _among(id: Column[Any], dialect: str) -> ColumnElement[bool]:
    """Whether a row is one of `sent`: an array where the database has them, since a text of a thousand ids costs more than its rows."""
    if dialect == "postgresql":
        return id == any_(bindparam("sent", type_=ARRAY(BigInteger)))
    return id.in_(bindparam("sent", expanding=True))
