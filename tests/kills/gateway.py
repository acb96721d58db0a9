# SPDX-License-Identifier: Apache-2.0
"""One gateway that dies at a commit of its own: just before it, or just after, before anybody hears of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

from tongban.events.v1.steps_pb2 import StepAnswered

from services.gateway.domain.case import StepState
from services.gateway.domain.definition import TaskStep
from services.gateway.domain.refusals import LeaseLost, TaskNotOpen
from services.gateway.events import OWNERS, GatewayEvents, to_wire
from services.gateway.service import CreateCase, SubmitCase
from services.gateway.service.life import OnCase
from services.gateway.service.ports import TaskRow
from services.gateway.service.tasks import CompleteTask, RefuseTask
from services.gateway.store import SqlGatewayStore
from services.gateway.store.tx import SqlGatewayTx
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.clock import utc_now
from services.kit.consumer import Consumer
from services.kit.envelope import service_topic
from services.kit.errors import Unavailable, VersionConflict
from services.kit.eventlog import open_eventlog
from services.kit.ids import derived_id
from services.kit.outbox import Relay
from services.kit.text import Text
from tests.kills.town import FATHER_NUMBER, REFUSED, output_of, town
from tests.support.gateway_world import BOUNDS, World
from tests.support.probe import resources

_LOOK_SECONDS = 0.1
_NOBODY = cast(Any, None)
"""Stands for who hears other facts than the answers of steps."""
_BOUNDS = replace(BOUNDS, drafts=1000, open_cases=1000, submissions_per_day=1000)


@dataclass(frozen=True)
class Life:
    """Where a gateway works, and where it ends."""

    database: str
    events: str
    folder: Path
    seat: int
    """Its place in the consumer group: who comes after it takes the same."""
    dies_at: int = 0
    """At which of its commits, from 1; 0 for never."""
    before: bool = False
    """Just before the commit, so that nothing of it is there; else just after, so that all of it is."""


def live(life: Life) -> None:
    """The process."""
    log = os.open(life.folder / f"gateway-{life.seat}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    asyncio.run(_run(life))


class MortalStore(SqlGatewayStore):
    """The gateway's store, which counts its commits."""

    life: Life | None = None
    commits = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlGatewayTx]:
        assert self.life is not None
        async with super().transaction() as tx:
            yield tx
            self.commits += 1
            now = self.commits == self.life.dies_at
            if now and self.life.before:
                os.kill(os.getpid(), signal.SIGKILL)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)


async def _run(life: Life) -> None:
    async with AsyncExitStack() as stack:
        workflows = town()
        given = resources(life.database, life.folder / "gateway")
        store = await stack.enter_async_context(MortalStore.open(given, encode=to_wire))
        store.life = life
        log = await stack.enter_async_context(open_eventlog(life.events))
        world = World(store, workflows, utc_now, lease_seconds=2, poll_seconds=0.5, bounds=_BOUNDS)
        events = GatewayEvents(world.steps, world.recalls, _NOBODY, _NOBODY, world.bell)
        consumer = Consumer(
            store=store,
            eventlog=log,
            telemetry=world.telemetry,
            routes={StepAnswered: events.on_step_answered},
            topics=[service_topic(owner) for owner in OWNERS],
            worker=str(life.seat),
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for work in (world.timers.run(), Relay(store, log).run(), consumer.run(), _residents(world, life)):
            group.create_task(work)
        for uscc in sorted({agency.uscc for agency in workflows.agencies}):
            group.create_task(_department(world, uscc))


async def _department(world: World, uscc: str) -> None:
    """Does every task of one agency; refuses what is never done."""
    with acting_as(Caller(CallerKind.AGENCY, uscc, frozenset({"gateway.tasks"}), agency=uscc)):
        while True:
            with suppress(Unavailable, VersionConflict, LeaseLost, TaskNotOpen):
                async for task in world.tasks.take((), 10):
                    await _do(world, task)


async def _do(world: World, task: TaskRow) -> None:
    request = derived_id("answer", task.task_id)
    if task.operation == REFUSED:
        refusal = RefuseTask(request, task.task_id, task.lease_token, "NEVER", Text("不办", "Never"))
        await world.tasks.refuse(refusal)
        return
    file = await world.store.case_file(task.case_id)
    assert file is not None
    plan = await world.engine.plan_of(file.state.definition)
    declared = plan.step(task.step_id)
    assert isinstance(declared, TaskStep)
    await world.tasks.complete(CompleteTask(request, task.task_id, task.lease_token, output_of(declared)))


async def _residents(world: World, life: Life) -> None:
    """Everybody whose wish stands in the list asks until it is acknowledged, by whichever gateway lives."""
    begun: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for line in (life.folder / "wishes").read_text(encoding="utf-8").splitlines():
                if line not in begun:
                    begun.add(line)
                    group.create_task(_resident(world, life, *line.split()))
            await asyncio.sleep(_LOOK_SECONDS)


async def _resident(world: World, life: Life, matter: str, key: str) -> None:
    with acting_as(Caller(CallerKind.CITIZEN, derived_id("applicant", key), token="t")):
        draft = await _again(
            lambda: world.service.create_case(CreateCase(matter, _answers(matter), idempotency_key=key))
        )
        await _again(lambda: world.service.submit_case(SubmitCase(draft.id, idempotency_key=f"{key}-submit")))
        if matter == "withdrawn":
            while (file := await world.store.case_file(draft.id)) and not _reserved(file.state.step("reserve").state):
                await asyncio.sleep(_LOOK_SECONDS)
            await _again(lambda: world.life.own.withdraw(OnCase(draft.id, f"{key}-withdraw")))
        with (life.folder / "acknowledged").open("a", encoding="utf-8") as acknowledged:
            acknowledged.write(f"{matter} {key} {draft.id}\n")


def _reserved(state: StepState) -> bool:
    return state in {StepState.DONE, StepState.UNDONE}


async def _again(call: Any) -> Any:
    """As an app does: the same request under the same key until there is an answer."""
    while True:
        try:
            return await cast("Coroutine[Any, Any, Any]", call())
        except (Unavailable, VersionConflict):
            await asyncio.sleep(_LOOK_SECONDS)


def _answers(matter: str) -> dict[str, str]:
    if matter != "birth":
        return {}
    born = date.fromordinal(utc_now().toordinal()) - timedelta(days=20)
    return {
        "father_name": "司徒无名",
        "father_number": FATHER_NUMBER,
        "child_name": "安宁",
        "child_sex": "female",
        "birth_date": born.isoformat(),
    }
