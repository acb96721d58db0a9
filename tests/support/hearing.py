# SPDX-License-Identifier: Apache-2.0
"""A probe service with its relay and its consumer running, and handlers that a test decides about."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tongban.events.v1.steps_pb2 import StepAnswered

from services.kit.consumer import Consumer
from services.kit.envelope import Envelope, service_topic
from services.kit.eventlog import EventLog, open_eventlog
from services.kit.outbox import Relay
from services.kit.parked import Parked
from services.kit.telemetry import Telemetry
from tests.support.eventually import beside
from tests.support.probe import Probe, opened, step
from tests.support.profiles import Profile

TOPIC = service_topic("probe")
Trouble = Callable[[str, int, int], Awaitable[None] | None]


@dataclass
class Hearing:
    """Handles facts about steps: writes each as an effect, once, unless `trouble(key, number, tries)` raises."""

    store: Probe
    log: EventLog
    telemetry: Telemetry
    spans: InMemorySpanExporter
    trouble: Trouble | None = None
    wait_seconds: float = 0.1
    tries: Counter[tuple[str, int]] = field(default_factory=Counter)
    envelopes: list[Envelope] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    tells_on: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)

    @property
    def parked(self) -> Parked:
        return Parked.of(self.store)

    def consumer(self, worker: str = "1") -> Consumer:
        return Consumer(
            store=self.store,
            eventlog=self.log,
            telemetry=self.telemetry,
            routes={StepAnswered: self.on_step_answered},
            topics=[TOPIC],
            worker=worker,
            wait_seconds=self.wait_seconds,
        )

    def relay(self) -> Relay:
        return Relay(self.store, self.log)

    async def on_step_answered(self, fact: StepAnswered, envelope: Envelope) -> None:
        self.envelopes.append(envelope)
        self.values.append(fact.SerializeToString())
        self.tries[fact.case_id, fact.attempt] += 1
        async with self.store.transaction() as tx:
            if not await tx.first_sight(envelope.event_id):
                return
            await tx.add(fact.case_id, fact.attempt)
            if (fact.case_id, fact.attempt) in self.tells_on:
                await tx.record(step(*self.tells_on[fact.case_id, fact.attempt]))
            if self.trouble is not None:
                waiting = self.trouble(fact.case_id, fact.attempt, self.tries[fact.case_id, fact.attempt])
                if waiting is not None:
                    await waiting

    async def tell(self, *steps: tuple[str, int]) -> None:
        async with self.store.transaction() as tx:
            for key, number in steps:
                await tx.record(step(key, number))

    async def effects_of(self, key: str) -> list[int]:
        return [number for name, number in await self.store.effects() if name == key]


@asynccontextmanager
async def hearing(profile: Profile) -> AsyncIterator[Hearing]:
    """Store and log, nothing running yet."""
    spans = InMemorySpanExporter()
    telemetry = Telemetry("probe", processors=[SimpleSpanProcessor(spans)])
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.close)
        store = await stack.enter_async_context(opened(await profile.database(), profile.folder / "keys"))
        log = await stack.enter_async_context(open_eventlog(profile.events))
        await log.ensure_topics([TOPIC])
        yield Hearing(store, log, telemetry, spans)


@asynccontextmanager
async def heard(profile: Profile, trouble: Trouble | None = None) -> AsyncIterator[Hearing]:
    """The same with relay and consumer running."""
    async with hearing(profile) as service:
        service.trouble = trouble
        consumer = service.consumer()
        async with beside(service.relay().run()), beside(consumer.run()):
            await consumer.joined()
            yield service
