# SPDX-License-Identifier: Apache-2.0
"""What an agency's system does with a task beside answering it, over either database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select
from tongban.gateway.v1 import gateway_service_pb2 as pb

from services.gateway.domain.history import CorrectionItem
from services.gateway.domain.refusals import (
    CorrectionInvalid,
    CorrectionRepeated,
    ExtensionNotAsked,
    ExtensionRepeated,
    FourEyes,
    LeaseLost,
    TaskNotFound,
    TaskNotOpen,
)
from services.gateway.events import to_wire
from services.gateway.rpc import TaskRpc
from services.gateway.rpc.gateway import Context
from services.gateway.service import CaseStatus, CaseView, CreateCase, SubmitCase
from services.gateway.service.dealing import Held
from services.gateway.service.life import OnCase
from services.gateway.service.ports import TaskRow
from services.gateway.service.tasks import CompleteTask
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from services.kit.errors import PageTokenInvalid, RequestIdReused
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_matters import POLICE, field, plan_of, step, workflows_of
from tests.support.gateway_world import CLINIC, RESIDENT, MovingClock, World
from tests.support.probe import resources

PLAN = plan_of(step("work", input={"n": "answers.name"}, output={"id": "serial"}), form=(field("name"), field("place")))
WRONG = Text("姓名有误", "The name is wrong")
WHY = Text("案情复杂", "It is complicated")
ITEMS = [CorrectionItem("name", WRONG)]


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    clock = MovingClock()
    async with AsyncExitStack() as stack:
        opened = SqlGatewayStore.open(resources(database, tmp_path, clock=clock), encode=to_wire)
        yield World(await stack.enter_async_context(opened), workflows_of(PLAN), clock)


async def submitted(world: World) -> CaseView:
    with acting_as(RESIDENT):
        draft = await world.service.create_case(CreateCase("sample", {"name": "小明"}))
        return await world.service.submit_case(SubmitCase(draft.id))


async def leased(world: World) -> tuple[CaseView, TaskRow]:
    """A case whose task the clinic holds."""
    case = await submitted(world)
    with acting_as(CLINIC):
        waiting = await world.dealings.waiting()
        return case, await world.dealings.lease(new_id(), next(t.task_id for t in waiting.rows if t.case_id == case.id))


def held(task: TaskRow) -> Held:
    return Held(new_id(), task.task_id, task.lease_token)


def _later(world: World, seconds: int) -> None:
    assert isinstance(world.clock, MovingClock)
    world.clock.forward(seconds=seconds)


async def kinds(world: World, case: CaseView) -> list[str]:
    with acting_as(RESIDENT):
        return [entry.kind for entry in await world.service.timeline(case.id)]


async def told(world: World) -> list[str]:
    store = world.store
    assert isinstance(store, SqlGatewayStore)
    async with store.reading() as connection:
        outbox = store.tables.outbox
        rows = (await connection.execute(select(outbox).order_by(outbox.c.id))).all()
    return [row.type.rpartition(".")[2] for row in rows]


async def test_tasks_are_listed_page_by_page_without_inputs_and_leased_one_by_one(world: World) -> None:
    cases = []
    for _ in range(5):
        cases.append((await submitted(world)).id)
        _later(world, 1)
    seen: list[str] = []
    token = ""
    with acting_as(CLINIC):
        while True:
            page = await world.dealings.waiting(page_size=2, page_token=token)
            seen += [task.case_id for task in page.rows]
            assert all(task.input == {} for task in page.rows)
            token = page.next_token
            if not token:
                break
        assert seen == cases
        with pytest.raises(PageTokenInvalid):
            await world.dealings.waiting(page_token="eyJhIjoxfQ")
        request = new_id()
        task = await world.dealings.lease(request, page.rows[0].task_id)
        assert task.input == {"n": "小明"}
        assert await world.dealings.lease(request, task.task_id) == task
        with pytest.raises(LeaseLost):
            await world.dealings.lease(new_id(), task.task_id)
        _later(world, 31)
        again = await world.dealings.lease(new_id(), task.task_id)
        with pytest.raises(LeaseLost):
            await world.dealings.note(held(task), "late")
        await world.tasks.complete(CompleteTask(new_id(), again.task_id, again.lease_token, {"id": "A1"}))
        with pytest.raises(TaskNotOpen):
            await world.dealings.lease(new_id(), task.task_id)


async def test_a_lease_given_back_is_free_at_once(world: World) -> None:
    _, task = await leased(world)
    with acting_as(CLINIC):
        command = held(task)
        await world.dealings.release(command)
        await world.dealings.release(command)
        with pytest.raises(RequestIdReused):
            await world.dealings.note(command, "x")
        other = await world.dealings.lease(new_id(), task.task_id)
        assert other.lease_token != task.lease_token
        with pytest.raises(LeaseLost):
            await world.dealings.release(held(task))


async def test_corrections_are_asked_for_once_and_all_at_once_and_the_resident_reads_them(world: World) -> None:
    case, task = await leased(world)
    with acting_as(CLINIC):
        for items, fields in (
            ([CorrectionItem("shoes", WRONG)], ["items.0.name"]),
            ([*ITEMS, *ITEMS], ["items.1.name"]),
        ):
            with pytest.raises(CorrectionInvalid) as refused:
                await world.dealings.correct(held(task), items)
            assert [one.field for one in refused.value.violations] == fields
        command = held(task)
        await world.dealings.correct(command, ITEMS)
        await world.dealings.correct(command, ITEMS)
        with pytest.raises(CorrectionRepeated):
            await world.dealings.correct(held(task), ITEMS)
    with acting_as(RESIDENT):
        entry = (await world.service.timeline(case.id))[-1]
    assert (entry.kind, entry.message) == ("correction_requested", WRONG)
    assert (await told(world)).count("CorrectionRequested") == 1
    with acting_as(CLINIC):
        await world.tasks.complete(CompleteTask(new_id(), task.task_id, task.lease_token, {"id": "A1"}))
    with acting_as(RESIDENT):
        assert (await world.service.case(case.id)).status is CaseStatus.COMPLETED


async def test_more_time_is_granted_by_another_person_than_who_asked(world: World) -> None:
    case, task = await leased(world)
    desk = world.dealings
    with acting_as(CLINIC):
        with pytest.raises(ExtensionNotAsked):
            await desk.decide_extension(new_id(), task.task_id, "head", granted=True)
        await desk.extend(held(task), 10, WHY, "officer-1")
        with pytest.raises(ExtensionRepeated):
            await desk.extend(held(task), 10, WHY, "officer-1")
        with pytest.raises(FourEyes):
            await desk.decide_extension(new_id(), task.task_id, "officer-1", granted=True)
        await desk.decide_extension(new_id(), task.task_id, "head", granted=False)
        await desk.extend(held(task), 5, WHY, "officer-1")
        request = new_id()
        await desk.decide_extension(request, task.task_id, "head", granted=True)
        await desk.decide_extension(request, task.task_id, "head", granted=True)
        with pytest.raises(ExtensionRepeated):
            await desk.extend(held(task), 5, WHY, "officer-1")
    assert (await kinds(world, case))[-4:] == [
        "extension_requested",
        "extension_refused",
        "extension_requested",
        "extension_granted",
    ]
    assert [kind for kind in await told(world) if kind.startswith("Extension")] == [
        "ExtensionRequested",
        "ExtensionDecided",
        "ExtensionRequested",
        "ExtensionDecided",
    ]


async def test_another_agency_and_a_lost_lease_change_nothing(world: World) -> None:
    case, task = await leased(world)
    before = await kinds(world, case)
    elsewhere = replace(CLINIC, id=POLICE, agency=POLICE)
    with acting_as(elsewhere):
        assert (await world.dealings.waiting()).rows == ()
        with pytest.raises(TaskNotFound):
            await world.dealings.lease(new_id(), task.task_id)
        with pytest.raises(TaskNotFound):
            await world.dealings.correct(held(task), ITEMS)
        with pytest.raises(TaskNotFound):
            await world.dealings.decide_extension(new_id(), task.task_id, "head", granted=True)
    with acting_as(CLINIC), pytest.raises(LeaseLost):
        await world.dealings.extend(replace(held(task), lease_token="stale"), 5, WHY, "officer-1")
    assert await kinds(world, case) == before


async def test_the_grpc_door_says_the_same(world: World) -> None:
    case = await submitted(world)
    rpc, context = TaskRpc(world.tasks, world.dealings), cast(Context, None)
    with acting_as(CLINIC):
        [waiting] = (await rpc.ListTasks(pb.ListTasksRequest(), context)).tasks
        assert (waiting.operation, waiting.HasField("lease_expire_time")) == ("work", False)
        asked = pb.LeaseTaskRequest(request_id=new_id(), task_id=waiting.task_id)
        task = (await rpc.LeaseTask(asked, context)).task
        holding = {"task_id": task.task_id, "lease_token": task.lease_token}
        await rpc.NoteTask(pb.NoteTaskRequest(request_id=new_id(), words="x", **holding), context)
        items = [pb.CorrectionItem(name="place", message_zh="有误", message_en="Wrong")]
        await rpc.RequestCorrection(pb.RequestCorrectionRequest(request_id=new_id(), items=items, **holding), context)
        await rpc.RequestExtension(
            pb.RequestExtensionRequest(
                request_id=new_id(), working_days=5, message_zh="难", message_en="Hard", officer="o-1", **holding
            ),
            context,
        )
        await rpc.DecideExtension(
            pb.DecideExtensionRequest(request_id=new_id(), task_id=task.task_id, granted=True, officer="head"), context
        )
        await rpc.ReleaseTask(pb.ReleaseTaskRequest(request_id=new_id(), **holding), context)
    assert (await kinds(world, case))[-3:] == ["correction_requested", "extension_requested", "extension_granted"]


async def test_what_the_applicant_corrects_comes_back_to_whoever_holds_the_task(world: World) -> None:
    case, task = await leased(world)
    with acting_as(CLINIC):
        await world.dealings.correct(held(task), ITEMS)
    with acting_as(RESIDENT):
        shown = await world.service.case(case.id)
        assert (shown.status, [one.name for one in shown.to_correct]) == (CaseStatus.CORRECTION_REQUIRED, ["name"])
        after = await world.life.own.correct(OnCase(case.id, new_id()), {"name": "小红"})
    assert (after.status, after.answers) == (CaseStatus.SUBMITTED, {"name": "小红"})
    with acting_as(CLINIC):
        async with world.store.transaction() as tx:
            renewed = await tx.task(task.task_id)
        assert renewed is not None
        assert (renewed.input, renewed.lease_token) == ({"n": "小红"}, task.lease_token)
        await world.tasks.complete(CompleteTask(new_id(), task.task_id, task.lease_token, {"id": "A1"}))
    assert (await kinds(world, case))[-1] == "ended"


async def test_a_correction_that_is_not_made_in_time_ends_the_case(world: World) -> None:
    case, task = await leased(world)
    with acting_as(CLINIC):
        await world.dealings.correct(held(task), ITEMS)
    _later(world, 31 * 86_400)
    while await world.timers.fire():
        pass
    with acting_as(RESIDENT):
        after = await world.service.case(case.id)
    assert (after.status, after.reason) == (CaseStatus.WITHDRAWN, "CORRECTION_NOT_MADE")
