# SPDX-License-Identifier: Apache-2.0
"""One partition, in order: handle, retry, park, commit."""

import asyncio
import contextlib
import random
import traceback
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from services.kit.consumer.delivery import Delivery
from services.kit.consumer.halt import Halt
from services.kit.envelope import Envelope, EnvelopeMalformed, unpack
from services.kit.errors import Refusal, Unavailable
from services.kit.eventlog import Place, Record, Subscription
from services.kit.logs import get_logger
from services.kit.parked import BROKEN, UNDECODABLE, Parked, ParkedMessage, parked_key

T = TypeVar("T")

BATCH_MAX: Final = 100
TAKE_SECONDS: Final = 2.0
TRIES: Final = 5
WAIT_SECONDS: Final = 0.1
WAIT_SECONDS_MAX: Final = 10.0


class Stopping(Exception):  # noqa: N818 - it states what is so
    """The partition goes elsewhere: leave what is in hand to whoever gets it."""


class Worker:
    """Handles the records of one partition while it is ours."""

    def __init__(
        self,
        place: Place,
        subscription: Subscription,
        *,
        delivery: Delivery,
        parked: Parked,
        halt: Halt,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.place = place
        self._subscription = subscription
        self._delivery = delivery
        self._parked = parked
        self._halt = halt
        self._wait = wait_seconds
        self._blocked: set[str] = set()
        self._stop = asyncio.Event()
        self._turn = asyncio.Lock()  # one message at a time, delivered or replayed
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take records."""
        self._task = asyncio.create_task(self._run(), name=f"hear-{self.place.topic}-{self.place.partition}")

    async def stop(self, seconds: float) -> None:
        """Finish the message in hand, at most this long, commit what is done and end."""
        self._stop.set()
        task = self._task
        if task is None:
            return
        if not self._busy:
            task.cancel()
        _, late = await asyncio.wait([task], timeout=seconds)
        if late:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            get_logger().error("partition_broke", topic=self.place.topic, exc_info=task.exception())

    async def replay(self) -> None:
        """Handle again what an operator asked for, oldest first; a message that fails again stops its key."""
        async with self._turn:
            self._busy = True
            try:
                stuck: set[str] = set()
                moving = True
                while moving:
                    moving = False
                    for message in await self._parked.to_replay(self.place, stuck):
                        if self._stop.is_set():
                            return
                        if message.key in stuck:
                            continue
                        if await self._replayed(message):
                            moving = True
                        else:
                            stuck.add(message.key)
                self._blocked = await self._parked.blocked_keys(self.place)
            finally:
                self._busy = False

    async def _run(self) -> None:
        with contextlib.suppress(Stopping):
            self._blocked = await self._until_available(lambda: self._parked.blocked_keys(self.place))
            wait = self._wait
            while not self._stop.is_set():
                await self._halt.gate()
                try:
                    await self._batch()
                    wait = self._wait
                except Stopping:
                    raise
                except Exception as error:  # noqa: BLE001 - not the handler: our own rows; never in silence, never lost
                    get_logger().error(
                        "partition_broke", topic=self.place.topic, partition=self.place.partition, exc_info=error
                    )
                    await self._pause(wait)
                    wait = min(wait * 2, WAIT_SECONDS_MAX)

    async def _batch(self) -> None:
        records = await self._until_available(
            lambda: self._subscription.take(self.place, limit=BATCH_MAX, seconds=TAKE_SECONDS)
        )
        if not records:
            return
        done = -1
        self._busy = True
        try:
            for record in records:
                await self._pass_gate()
                async with self._turn:
                    await self._settle(record)
                done = record.offset + 1
        finally:
            if done <= records[-1].offset:
                self._subscription.rewind(self.place, max(done, records[0].offset))
            if done >= 0:
                await self._subscription.commit(self.place, done)
            self._busy = False

    async def _pass_gate(self) -> None:
        """Go on unless the partition is taken away; a halted consumer waits here."""
        while not self._stop.is_set():
            if self._halt.passing:
                return
            waiting = [asyncio.ensure_future(self._halt.gate()), asyncio.ensure_future(self._stop.wait())]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()
        raise Stopping

    async def _settle(self, record: Record) -> None:
        """Give one record its end: an effect, a place among the parked, or nothing where nobody wants it."""
        try:
            envelope = unpack(record)
        except EnvelopeMalformed as broken:
            await self._park(record, None, reason=UNDECODABLE, detail=str(broken), blocking=False, attempts=1)
            return
        if not self._delivery.knows(envelope.type):
            return
        if parked_key(record) in self._blocked:
            if await self._until_available(lambda: self._parked.park_behind(record, envelope)):
                return
            self._blocked.discard(parked_key(record))
        await self._handle(record, envelope)

    async def _handle(self, record: Record, envelope: Envelope) -> None:
        tries, wait = 0, self._wait
        while True:
            try:
                await self._delivery.deliver(record, envelope)
            except EnvelopeMalformed as broken:
                await self._park(record, envelope, reason=UNDECODABLE, detail=str(broken), blocking=False, attempts=1)
                return
            except Refusal as refusal:
                await self._park(
                    record, envelope, reason=refusal.reason, detail=refusal.message, blocking=False, attempts=tries + 1
                )
                return
            except Unavailable as away:
                _log_wait("event_waits", envelope, wait, reason=str(away))
            except Exception as error:  # noqa: BLE001 - whatever a handler breaks with
                tries += 1
                if tries >= TRIES:
                    get_logger().error("event_broke", **_names(envelope), tries=tries, exc_info=error)
                    await self._park(
                        record, envelope, reason=BROKEN, detail=_where(error), blocking=True, attempts=tries
                    )
                    self._blocked.add(parked_key(record))
                    return
                _log_wait("event_retried", envelope, wait, reason=type(error).__name__)
            else:
                self._halt.went_well()
                get_logger().info("event_handled", **_names(envelope))
                return
            await self._pause(wait)
            wait = min(wait * 2, WAIT_SECONDS_MAX)

    async def _park(
        self, record: Record, envelope: Envelope | None, *, reason: str, detail: str, blocking: bool, attempts: int
    ) -> None:
        await self._until_available(
            lambda: self._parked.park(
                record, envelope, reason=reason, detail=detail, blocking=blocking, attempts=attempts
            )
        )
        get_logger().warning(
            "event_parked",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            event_id=envelope.event_id if envelope else "",
            type=envelope.type if envelope else "",
            reason=reason,
        )
        self._halt.parked()

    async def _replayed(self, message: ParkedMessage) -> bool:
        """Whether the message needs no place among the parked any more, or at least holds up nobody."""
        record = message.record
        try:
            envelope = unpack(record)
            if self._delivery.knows(envelope.type):
                await self._delivery.deliver(record, envelope)
        except EnvelopeMalformed as broken:
            await self._parked.failed_again(message, reason=UNDECODABLE, detail=str(broken), blocking=False)
            return True
        except Refusal as refusal:
            await self._parked.failed_again(message, reason=refusal.reason, detail=refusal.message, blocking=False)
            return True
        except Unavailable:
            return False  # asked for still: the next round tries again
        except Exception as error:  # noqa: BLE001 - whatever a handler breaks with
            get_logger().error("replay_broke", event_id=message.event_id, type=message.type, exc_info=error)
            await self._parked.failed_again(message, reason=BROKEN, detail=_where(error), blocking=message.blocking)
            return False
        await self._parked.settled(message)
        self._halt.went_well()
        get_logger().info("event_replayed", **_names(envelope))
        return True

    async def _until_available(self, ask: Callable[[], Awaitable[T]]) -> T:
        wait = self._wait
        while True:
            try:
                return await ask()
            except Unavailable as away:
                get_logger().warning(
                    "partition_waits", topic=self.place.topic, partition=self.place.partition, reason=str(away)
                )
            await self._pause(wait)
            wait = min(wait * 2, WAIT_SECONDS_MAX)

    async def _pause(self, seconds: float) -> None:
        """Wait, a little irregularly so that partitions don't return all at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311
                await self._stop.wait()
            raise Stopping


def _names(envelope: Envelope) -> dict[str, str]:
    return {"event_id": envelope.event_id, "type": envelope.type, "topic": envelope.topic, "case": envelope.correlation}


def _log_wait(event: str, envelope: Envelope, wait: float, *, reason: str) -> None:
    get_logger().warning(event, **_names(envelope), wait_seconds=wait, reason=reason)


def _where(error: BaseException) -> str:
    """The kind of error and its place; its text may hold what a log must not."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name} ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{place}"
