# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka by aiokafka: idempotent sends in batches, static membership, sticky shares."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from aiokafka.partitioner import DefaultPartitioner

from services.kit.errors import Unavailable
from services.kit.eventlog.broker import connection_of
from services.kit.eventlog.kafka_group import KafkaSubscription, open_subscription, record_of
from services.kit.eventlog.port import Assignment, Record
from services.kit.logs import get_logger

PARTITIONS: Final = 6
SEND_SECONDS: Final = 15.0
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 2.0
BATCH_BYTES: Final = 900_000  # below the broker's message.max.bytes of 1 MiB


class KafkaLog:
    """See `EventLog`. Survives a broker that goes away and comes back."""

    def __init__(self, connection: Mapping[str, Any], client: str) -> None:
        self._connection = connection
        self._client = client
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._partition = DefaultPartitioner()
        self._ensured: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, client: str) -> AsyncIterator["KafkaLog"]:
        """Prepare; the first use connects, so that a service starts while the broker is away."""
        log = cls(connection_of(url), client)
        try:
            yield log
        finally:
            await log._abandon_producer()

    async def ensure_topics(self, topics: Sequence[str], partitions: int = 0) -> None:
        """See `EventLog.ensure_topics`; six partitions, and waits until each has a leader."""
        missing = [topic for topic in topics if topic not in self._ensured]
        if not missing:
            return
        admin = AIOKafkaAdminClient(**self._connection, client_id=self._client)
        try:
            async with asyncio.timeout(START_SECONDS):
                await admin.start()
                await _create(admin, missing, partitions or PARTITIONS)
                while not await _led(admin, missing):  # noqa: ASYNC110 - the broker has no event for it
                    await asyncio.sleep(0.05)
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise _away(error) from error
        finally:
            await _quietly(admin.close())
        self._ensured.update(missing)

    async def send(self, records: Sequence[Record]) -> None:
        """See `EventLog.send`.

        All records of one partition travel in one batch (or in batches that wait for each other), so that what is
        sent again after a failure never overtakes what came before it.
        """
        if not records:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS):
                producer = await self._ready_producer()
                places = await self._placed(producer, records)
                await asyncio.gather(*(self._send_place(producer, place, each) for place, each in places.items()))
        except (KafkaError, OSError) as error:
            await self._abandon_producer()
            raise _away(error) from error

    @asynccontextmanager
    async def consumer(
        self, group: str, topics: Sequence[str], member: str, assignment: Assignment
    ) -> AsyncIterator[KafkaSubscription]:
        """See `EventLog.consumer`."""
        async with open_subscription(self._connection, group, topics, member, assignment) as subscription:
            yield subscription

    @asynccontextmanager
    async def tail(self, topics: Sequence[str]) -> AsyncIterator[AsyncIterator[Record]]:
        """See `EventLog.tail`."""
        consumer = AIOKafkaConsumer(
            **self._connection,
            client_id=f"{self._client}-tail",
            auto_offset_reset="latest",
            enable_auto_commit=False,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await consumer.start()
                places = await _places(consumer, topics)
                consumer.assign(places)
                await consumer.seek_to_end(*places)
                for place in places:
                    await consumer.position(place)
            yield _follow(consumer)
        except (KafkaError, OSError) as error:
            raise _away(error) from error
        finally:
            await _quietly(consumer.stop())

    async def ready(self) -> None:
        """See `EventLog.ready`."""
        host, _, port = self._connection["bootstrap_servers"].split(",")[0].rpartition(":")
        try:
            async with asyncio.timeout(STOP_SECONDS):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                await writer.wait_closed()
        except OSError as error:
            raise _away(error) from error

    async def _ready_producer(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._connection,
                    client_id=self._client,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_batch_size=BATCH_BYTES,
                    request_timeout_ms=int(SEND_SECONDS * 1000),
                    retry_backoff_ms=300,
                    metadata_max_age_ms=30_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await _quietly(producer.stop())
                    raise
                self._producer = producer
            return self._producer

    async def _placed(
        self, producer: AIOKafkaProducer, records: Sequence[Record]
    ) -> dict[TopicPartition, list[Record]]:
        partitions = {topic: sorted(await producer.partitions_for(topic)) for topic in {each.topic for each in records}}
        places: dict[TopicPartition, list[Record]] = defaultdict(list)
        for record in records:
            every = partitions[record.topic]
            places[TopicPartition(record.topic, self._partition(record.key.encode(), every, every))].append(record)
        return places

    async def _send_place(self, producer: AIOKafkaProducer, place: TopicPartition, records: list[Record]) -> None:
        batch, size = producer.create_batch(), 0
        for record in records:
            if _added(batch, record):
                size += 1
                continue
            if size:
                await _sent(producer, batch, place)
            batch, size = producer.create_batch(), 1
            if not _added(batch, record):
                raise ValueError(f"A record of {len(record.value)} bytes is too large for the event log.")
        await _sent(producer, batch, place)

    async def _abandon_producer(self) -> None:
        """Drop it with whatever it still holds: that is sent again by whoever asked."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await producer.stop()
        except (KafkaError, OSError):
            # stop() waits for what can't be delivered; its parts have to be closed one by one then
            await _quietly(producer._sender.close())  # noqa: SLF001
            await _quietly(producer.client.close())


def _added(batch: Any, record: Record) -> bool:
    return (
        batch.append(key=record.key.encode(), value=record.value, timestamp=None, headers=list(record.headers))
        is not None
    )


async def _sent(producer: AIOKafkaProducer, batch: Any, place: TopicPartition) -> None:
    await asyncio.shield(await producer.send_batch(batch, place.topic, partition=place.partition))


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    wanted = [NewTopic(name=topic, num_partitions=partitions, replication_factor=1) for topic in topics]
    answer = await admin.create_topics(wanted)
    for error in answer.topic_errors:
        if error[1] not in (0, TopicAlreadyExistsError.errno):
            raise Unavailable(f"The topic {error[0]} can't be created (error {error[1]}).")


async def _led(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> bool:
    described = await admin.describe_topics(list(topics))
    return all(
        topic["error_code"] == 0
        and topic["partitions"]
        and all(partition["leader"] >= 0 for partition in topic["partitions"])
        for topic in described
    )


async def _places(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    places = []
    for topic in topics:
        while not (numbers := consumer.partitions_for_topic(topic)):
            await consumer._client.force_metadata_update()  # noqa: SLF001 - it has no public way to ask
            consumer._client.add_topic(topic)  # noqa: SLF001
            await asyncio.sleep(0.05)
        places += [TopicPartition(topic, number) for number in sorted(numbers)]
    return places


async def _follow(consumer: AIOKafkaConsumer) -> AsyncIterator[Record]:
    while True:
        try:
            batches = await consumer.getmany(timeout_ms=1000)
        except KafkaError as error:
            raise _away(error) from error
        for batch in batches.values():
            for message in batch:
                yield record_of(message)


def _away(error: BaseException) -> Unavailable:
    return Unavailable(f"The event log does not answer ({type(error).__name__}).")


async def _quietly(closing: Any) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await closing
    except (KafkaError, OSError) as error:
        get_logger().debug("kafka_close_failed", error=type(error).__name__)
