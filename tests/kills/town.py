# SPDX-License-Identifier: Apache-2.0
"""What the killed gateways work on: three matters, and owners of steps that outlive everybody."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tongban.events.v1.steps_pb2 import STEP_OUTCOME_DONE, StepAnswered
from tongban.gateway.v1 import gateway_pb2
from tongban.gateway.v1.gateway_events_pb2 import StepRequested

from services.gateway.definitions.samples import SAMPLES
from services.gateway.domain.definition import TaskStep
from services.gateway.workflows import Workflows, load_workflows, read_agencies
from services.kit.consumer import Consumer
from services.kit.envelope import Envelope, Outgoing, service_topic
from services.kit.eventlog import open_eventlog
from services.kit.ids import derived_id
from services.kit.outbox import Relay
from services.kit.telemetry import Telemetry
from tests.support.gateway_matters import BIRTH, plan_of, step
from tests.support.probe import Probe, fact_of, resources

FATHER_NUMBER = "990100188001010019"
REFUSED = "never"
TOWN = BIRTH.parents[3] / "sandbox" / "agencies.yaml"
OWNERS = {
    "identity": gateway_pb2.STEP_KIND_VERIFY,
    "exchange": gateway_pb2.STEP_KIND_FETCH,
    "licenses": gateway_pb2.STEP_KIND_LICENSE,
}
AGAIN = {"max": 5, "waits": ["PT1S"]}
UNDONE = plan_of(
    step("reserve", undo={"operation": "release", "retry": AGAIN}),
    step("pause", "wait", needs=["reserve"], duration="PT1S"),
    step("permit", "license", needs=["pause"], undo={"retry": AGAIN}),
    step("last", needs=["permit"], operation=REFUSED),
    code="undone",
)
WITHDRAWN = plan_of(
    step("reserve", undo={"operation": "release", "retry": AGAIN}),
    step("news", "wait", needs=["reserve"], signal="never", agency="hospital"),
    code="withdrawn",
)
ENDS = {"birth": "completed", "undone": "refused", "withdrawn": "withdrawn"}
UNDOS = {"birth": [], "undone": ["permit.undo", "reserve.undo"], "withdrawn": ["reserve.undo"]}


class _Identity(Probe):
    service = "identity"


class _Exchange(Probe):
    service = "exchange"


class _Licenses(Probe):
    service = "licenses"


_STORES: Mapping[str, type[Probe]] = {one.service: one for one in (_Identity, _Exchange, _Licenses)}


def town() -> Workflows:
    """The matters, and who stands in their roles."""
    birth = load_workflows(BIRTH.parent, TOWN).current("birth")
    agencies = read_agencies(TOWN.read_text(encoding="utf-8"), str(TOWN))
    return Workflows({"birth": birth, "undone": UNDONE, "withdrawn": WITHDRAWN}, agencies)


def output_of(declared: TaskStep) -> dict[str, Any]:
    """What a department gives back."""
    return {name: SAMPLES[kind.rstrip("?")] for name, kind in declared.output.items()}


@asynccontextmanager
async def owners(databases: Mapping[str, str], events: str, folder: Path) -> AsyncIterator[dict[str, Probe]]:
    """Identity, exchange and licenses, each with a store, a relay and a consumer; they answer everything they are asked."""
    stores: dict[str, Probe] = {}
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_eventlog(events))
        await log.ensure_topics([service_topic("gateway"), *(service_topic(name) for name in OWNERS)])
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running: list[asyncio.Task[None]] = []
        for name in OWNERS:
            given = resources(databases[name], folder / name)
            store = await stack.enter_async_context(_STORES[name].open(given, encode=fact_of))
            telemetry = Telemetry(name)
            stack.callback(telemetry.close)
            hears = Consumer(
                store=store,
                eventlog=log,
                telemetry=telemetry,
                routes={StepRequested: _Owner(name, store).on_step_requested},
                topics=[service_topic("gateway")],
                service=name,
            )
            running += [group.create_task(Relay(store, log).run()), group.create_task(hears.run())]
            stores[name] = store
        try:
            yield stores
        finally:
            for task in running:
                task.cancel()


class _Owner:
    def __init__(self, name: str, store: Probe) -> None:
        self._name = name
        self._store = store

    async def on_step_requested(self, fact: StepRequested, envelope: Envelope) -> None:
        """Do it, note it and answer, in one transaction."""
        if fact.kind != OWNERS[self._name]:
            return
        async with self._store.transaction() as tx:
            if not await tx.first_sight(envelope.event_id):
                return
            await tx.add(f"{fact.case_id}:{fact.step_id}", fact.attempt)
            answer = StepAnswered(
                case_id=fact.case_id,
                step_id=fact.step_id,
                attempt=fact.attempt,
                outcome=STEP_OUTCOME_DONE,
                output=_answer(self._name, fact),
            )
            await tx.record(Outgoing(answer, fact.case_id, fact.case_id))


def _answer(owner: str, fact: StepRequested) -> dict[str, str]:
    if owner == "identity":
        return {"result": "match"}
    if owner == "exchange":
        return {"status": "valid", "spouse_number": FATHER_NUMBER, "household_number": "1", "address": "x"}
    return {"license_id": derived_id("license", fact.case_id, fact.step_id), "identifier": "1.2.156", "version": "1"}
