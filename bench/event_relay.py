# SPDX-License-Identifier: Apache-2.0
"""The relay from outbox to Kafka against bare idempotent sends of the same records; and from commit to consumed at 2,000 facts a second.

Both sides run in this process, in alternation. The bare side has its records in memory; the relay reads them from PostgreSQL and deletes them again.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer
from sqlalchemy import select

from bench.result import Result, percentile, spread
from services.cli.kafka import Kafka
from services.cli.postgres import Postgres
from services.kit.envelope import Envelope, pack, service_topic
from services.kit.eventlog import EventLog, Record, open_eventlog
from services.kit.eventlog.broker import connection_of
from services.kit.ids import new_id
from services.kit.outbox import Relay
from tests.support.probe.probe import Probe, fact_of, opened, step

FACTS = 20_000
ROUNDS = 7
PER_TRANSACTION = 10
RATE = 2_000
PACED_SECONDS = 10


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            kafka = await asyncio.to_thread(Kafka.start, folder / "kafka")
            stack.callback(kafka.stop)
            postgres = await asyncio.to_thread(Postgres.start, folder / "postgres")
            stack.callback(postgres.stop)
            database = await postgres.create_database("bench_relay")
            store = await stack.enter_async_context(opened(database, folder / "keys"))
            log = await stack.enter_async_context(open_eventlog(kafka.url, client="bench"))
            await log.ensure_topics([service_topic(store.service)])
            records = [_record(store, number) for number in range(FACTS)]
            base, whole = [], []
            for _ in range(ROUNDS):
                base.append(await _bare(kafka.url, records))
                whole.append(await _relayed(store, log))
            latencies = await _paced(store, log)
    ratios = [one / other for one, other in zip(whole, base, strict=True)]
    return Result(
        name="event_relay",
        value=round(statistics.median(whole), 1),
        unit="events/s",
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        ratio=round(statistics.median(ratios), 3),
        baseline="bare idempotent aiokafka, the same records from memory",
        repeats=ROUNDS,
        spread=round(spread(whole), 3),
        details={
            "baseline_events_per_second": round(statistics.median(base), 1),
            "ratio_min": round(min(ratios), 3),
            "ratio_max": round(max(ratios), 3),
            "latencies": f"commit to consumed at {RATE} facts/s, {PER_TRANSACTION} a transaction",
        },
    )


def _record(store: Probe, number: int) -> Record:
    outgoing = fact_of(step(f"key-{number % 1000}", number))
    envelope = Envelope(
        event_id=new_id(),
        source=f"/tongban/{store.service}",
        type=outgoing.message.DESCRIPTOR.full_name,
        subject=outgoing.key,
        occur_time=store.clock(),
        topic=service_topic(store.service),
    )
    return pack(envelope, outgoing.message.SerializeToString(deterministic=True))


async def _bare(url: str, records: Sequence[Record]) -> float:
    producer = AIOKafkaProducer(**connection_of(url), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        began = time.perf_counter()
        sent = [
            await producer.send(each.topic, each.value, key=each.key.encode(), headers=list(each.headers))
            for each in records
        ]
        await asyncio.gather(*sent)
        return len(records) / (time.perf_counter() - began)
    finally:
        await producer.stop()


async def _relayed(store: Probe, log: EventLog) -> float:
    """From a full outbox to an empty one."""
    for first in range(0, FACTS, 1000):
        async with store.transaction() as tx:
            for number in range(first, first + 1000):
                await tx.record(step(f"key-{number % 1000}", number))
    async with relaying(store, log):
        began = time.perf_counter()
        while await _waits(store):  # noqa: ASYNC110 - seen from outside, as an operator would
            await asyncio.sleep(0.02)
        return FACTS / (time.perf_counter() - began)


async def _paced(store: Probe, log: EventLog) -> list[float]:
    """Milliseconds from the commit of each fact until a consumer has it."""
    committed: dict[int, float] = {}
    heard: dict[int, float] = {}
    total = RATE * PACED_SECONDS

    async def listen(records: AsyncIterator[Record]) -> None:
        async for record in records:
            now = time.perf_counter()
            number = int(dict(record.headers)["ce_subject"].decode().removeprefix("paced-"))
            heard.setdefault(number, now)
            if len(heard) == total:
                return

    async def write(number: int) -> None:
        async with store.transaction() as tx:
            for each in range(number, number + PER_TRANSACTION):
                await tx.record(step(f"paced-{each}", each))
        now = time.perf_counter()
        committed.update(dict.fromkeys(range(number, number + PER_TRANSACTION), now))

    async with relaying(store, log), log.tail([service_topic(store.service)]) as records:
        listening = asyncio.create_task(listen(records))
        began = time.perf_counter()
        writing = []
        for number in range(0, total, PER_TRANSACTION):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            writing.append(asyncio.create_task(write(number)))
        await asyncio.gather(*writing)
        async with asyncio.timeout(60):
            await listening
    return [(heard[number] - committed[number]) * 1000 for number in committed]


@asynccontextmanager
async def relaying(store: Probe, log: EventLog) -> AsyncIterator[None]:
    """The relay, running."""
    task = asyncio.create_task(Relay(store, log).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _waits(store: Probe) -> bool:
    async with store.reading() as connection:
        return (await connection.execute(select(store.tables.outbox.c.id).limit(1))).first() is not None
