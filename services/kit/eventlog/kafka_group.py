# SPDX-License-Identifier: Apache-2.0
"""One member of a Kafka consumer group, with static membership: a restart moves no partition."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError

from services.kit.errors import Unavailable
from services.kit.eventlog.port import Assignment, Place, Record
from services.kit.logs import get_logger

START_SECONDS: Final = 20.0
COMMIT_SECONDS: Final = 5.0
STOP_SECONDS: Final = 3.0
SESSION_SECONDS: Final = 10.0
HEARTBEAT_SECONDS: Final = 1.0
# A partition whose handler waits for something is not asked for records meanwhile; that is no reason to leave the group.
POLL_SECONDS_MAX: Final = 86_400


class KafkaSubscription:
    """See `Subscription`."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._broken = asyncio.Event()

    async def take(self, place: Place, *, limit: int, seconds: float) -> Sequence[Record]:
        """See `Subscription.take`."""
        wanted = TopicPartition(place.topic, place.partition)
        try:
            batches = await self._consumer.getmany(wanted, timeout_ms=int(seconds * 1000), max_records=limit)
        except KafkaError as error:
            if isinstance(error, ConsumerStoppedError) or not error.retriable:
                self._broken.set()
            raise Unavailable(f"The event log does not answer ({type(error).__name__}).") from error
        return [record_of(message) for message in batches.get(wanted, ())]

    async def commit(self, place: Place, offset: int) -> None:
        """See `Subscription.commit`."""
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._consumer.commit({TopicPartition(place.topic, place.partition): offset})
        except (KafkaError, OSError) as error:
            get_logger().warning(
                "event_offset_uncommitted",
                topic=place.topic,
                partition=place.partition,
                reason=type(error).__name__,
            )

    def rewind(self, place: Place, offset: int) -> None:
        """See `Subscription.rewind`."""
        with contextlib.suppress(KafkaError):  # no longer ours: whoever has it begins where we committed
            self._consumer.seek(TopicPartition(place.topic, place.partition), offset)

    async def lost(self) -> None:
        """See `Subscription.lost`."""
        await self._broken.wait()


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Hands the group's decisions on. Eager: at every change all partitions are revoked, then given anew."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self.subscription: KafkaSubscription
        self.holds: frozenset[Place] = frozenset()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        """Before the group shares anew."""
        await self.release()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After."""
        self.holds = frozenset(Place(each.topic, each.partition) for each in assigned)
        await self._assignment.given(self.subscription, self.holds)

    async def release(self) -> None:
        """Give up what is held."""
        holds, self.holds = self.holds, frozenset()
        if holds:
            await self._assignment.taken(self.subscription, holds)


@asynccontextmanager
async def open_subscription(
    connection: Mapping[str, Any], group: str, topics: Sequence[str], member: str, assignment: Assignment
) -> AsyncIterator[KafkaSubscription]:
    """Join the group; on leaving the member's place is kept for the length of a session."""
    # The assignor keeps its state in the class: each consumer needs its own, or consumers of one process mix it up.
    sticky = type("Sticky", (StickyPartitionAssignor,), {})
    consumer = AIOKafkaConsumer(
        **connection,
        group_id=group,
        client_id=member,
        group_instance_id=member,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(sticky,),
        session_timeout_ms=int(SESSION_SECONDS * 1000),
        heartbeat_interval_ms=int(HEARTBEAT_SECONDS * 1000),
        max_poll_interval_ms=POLL_SECONDS_MAX * 1000,
        metadata_max_age_ms=30_000,
        retry_backoff_ms=500,
    )
    rebalance = _Rebalance(assignment)
    rebalance.subscription = subscription = KafkaSubscription(consumer)
    consumer.subscribe(list(topics), listener=rebalance)
    try:
        try:
            async with asyncio.timeout(START_SECONDS):
                await consumer.start()
        except (KafkaError, OSError) as error:
            raise Unavailable(f"The event log does not answer ({type(error).__name__}).") from error
        yield subscription
    finally:
        await rebalance.release()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await consumer.stop()
        except (KafkaError, OSError) as error:
            get_logger().warning("kafka_close_failed", reason=type(error).__name__)


def record_of(message: Any) -> Record:
    """A consumed message in the port's words."""
    return Record(
        topic=message.topic,
        key=(message.key or b"").decode("utf-8", "replace"),
        value=message.value or b"",
        headers=tuple((name, raw or b"") for name, raw in message.headers),
        partition=message.partition,
        offset=message.offset,
    )
