# SPDX-License-Identifier: Apache-2.0
"""Hearing everything from now on, in every process, without a group: how caches learn what to forget."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.kit.consumer.delivery import Delivery, Routes
from services.kit.envelope import EnvelopeMalformed, unpack
from services.kit.errors import Unavailable
from services.kit.eventlog import EventLog, Record
from services.kit.logs import get_logger
from services.kit.telemetry import Telemetry

REOPEN_SECONDS: Final = 0.5
REOPEN_SECONDS_MAX: Final = 10.0


class Listener:
    """Calls `routes` for every fact told on `topics` while it runs. Nothing is kept or repeated.

    `opened` is called each time it begins to listen: what was told before then was heard by nobody here, so caches let
    go of everything.
    """

    def __init__(
        self,
        *,
        service: str,
        eventlog: EventLog,
        telemetry: Telemetry,
        routes: Routes,
        topics: Sequence[str],
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._eventlog = eventlog
        self._topics = tuple(topics)
        self._opened = opened
        self._delivery = Delivery(service, routes, telemetry)

    async def run(self) -> None:
        """Listen until cancelled."""
        wait = REOPEN_SECONDS
        while True:
            try:
                await self._eventlog.ensure_topics(self._topics)
                async with self._eventlog.tail(self._topics) as records:
                    self._opened()
                    async for record in records:
                        wait = REOPEN_SECONDS
                        await self._heard(record)
            except Unavailable as away:
                get_logger().warning("event_log_away", service=self._service, reason=str(away))
            await asyncio.sleep(wait)
            wait = min(wait * 2, REOPEN_SECONDS_MAX)

    async def _heard(self, record: Record) -> None:
        try:
            envelope = unpack(record)
            if self._delivery.knows(envelope.type):
                await self._delivery.deliver(record, envelope)
        except EnvelopeMalformed as broken:
            get_logger().warning("event_undecodable", topic=record.topic, offset=record.offset, reason=str(broken))
        except Exception:  # noqa: BLE001 - whatever a handler breaks with
            get_logger().exception("listener_broke", topic=record.topic, offset=record.offset)
