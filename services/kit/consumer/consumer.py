# SPDX-License-Identifier: Apache-2.0
"""The loop that the kit owns: one member of the service's group, one worker for each partition it holds."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from services.kit.consumer.delivery import Delivery, Routes
from services.kit.consumer.halt import Halt
from services.kit.consumer.worker import WAIT_SECONDS, Worker
from services.kit.errors import Unavailable
from services.kit.eventlog import EventLog, Place, Subscription
from services.kit.logs import get_logger
from services.kit.parked import Parked
from services.kit.store import Store
from services.kit.telemetry import Telemetry

REPLAY_POLL_SECONDS: Final = 1.0
REOPEN_SECONDS: Final = 0.5
REOPEN_SECONDS_MAX: Final = 10.0


class Consumer:
    """Hears `topics` as member `<service>-<worker>` of group `<service>`. Create it inside the running loop, then `await run()`.

    `drain_seconds`: how long messages in hand may take at the end. `wait_seconds`: before the first retry; doubled up to 10 s.
    """

    def __init__(
        self,
        *,
        store: Store[Any],
        eventlog: EventLog,
        telemetry: Telemetry,
        routes: Routes,
        topics: Sequence[str],
        worker: str = "1",
        service: str = "",
        drain_seconds: float = 3.0,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._service = service or store.service
        self._member = f"{self._service}-{worker}"
        self._parked = Parked.of(store)
        self._eventlog = eventlog
        self._topics = tuple(topics)
        self._delivery = Delivery(self._service, routes, telemetry)
        self._halt = Halt(self._service)
        self._drain_seconds = drain_seconds
        self._wait_seconds = wait_seconds
        self._workers: dict[Place, Worker] = {}
        self._joined = asyncio.Event()

    @property
    def places(self) -> frozenset[Place]:
        """The partitions held now."""
        return frozenset(self._workers)

    async def run(self) -> None:
        """Hear until cancelled; the messages in hand are finished then, within the drain time."""
        replays = asyncio.create_task(self._replay_when_asked(), name=f"replay-{self._service}")
        wait = REOPEN_SECONDS
        try:
            while True:
                try:
                    await self._eventlog.ensure_topics(self._topics)
                    async with self._eventlog.consumer(self._service, self._topics, self._member, self) as subscription:
                        wait = REOPEN_SECONDS
                        await subscription.lost()
                except Unavailable as away:
                    get_logger().warning("event_log_away", service=self._service, reason=str(away))
                await asyncio.sleep(wait)
                wait = min(wait * 2, REOPEN_SECONDS_MAX)
        finally:
            replays.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await replays

    async def joined(self) -> None:
        """Return once partitions have been given for the first time."""
        await self._joined.wait()

    async def ready(self) -> None:
        """Return if messages are being handled.

        Raises:
            Unavailable: not joined yet, or stopped because too many messages were parked in a row.
        """
        if not self._halt.passing:
            raise Unavailable("Too many messages were parked in a row; the consumer has stopped.")
        if not self._joined.is_set():
            raise Unavailable("The consumer has not joined its group yet.")

    async def given(self, subscription: Subscription, places: frozenset[Place]) -> None:
        """Start a worker for each partition that came."""
        for place in places - self._workers.keys():
            worker = Worker(
                place,
                subscription,
                delivery=self._delivery,
                parked=self._parked,
                halt=self._halt,
                wait_seconds=self._wait_seconds,
            )
            self._workers[place] = worker
            worker.start()
        self._joined.set()

    async def taken(self, subscription: Subscription, places: frozenset[Place]) -> None:  # noqa: ARG002 - the port's
        """End the workers of the partitions that go, all at once, each with the message in hand finished."""
        leaving = [worker for place in places if (worker := self._workers.pop(place, None)) is not None]
        if leaving:
            await asyncio.gather(*(worker.stop(self._drain_seconds) for worker in leaving))

    async def _replay_when_asked(self) -> None:
        while True:
            await asyncio.sleep(REPLAY_POLL_SECONDS)
            try:
                for place in await self._parked.places_to_replay():
                    if (worker := self._workers.get(place)) is not None:
                        await worker.replay()
            except Unavailable:
                continue
            except Exception:  # noqa: BLE001 - one message's trouble must not end the replays
                get_logger().exception("replay_failed", service=self._service)
