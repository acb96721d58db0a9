# SPDX-License-Identifier: Apache-2.0
"""Owners of steps, departments and clocks move a case; what comes twice, late or from the wrong side does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.gateway.domain.history import Outcome, StepAnswered, from_body, to_body
from services.gateway.domain.refusals import (
    CaseNotFound,
    CaseNotParked,
    LeaseLost,
    StepNotOpen,
    StepNotYours,
    TaskNotFound,
    TaskNotOpen,
    TaskOutputInvalid,
)
from services.gateway.service import CaseStatus, CaseView, CreateCase, SubmitCase
from services.gateway.service.operating import OnStep
from services.gateway.service.ports import TaskRow
from services.gateway.service.steps import ToldAnswer
from services.gateway.service.tasks import CompleteTask, RefuseTask
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RequestIdReused, RightMissing, Unavailable
from services.kit.text import Text
from tests.support.eventually import eventually
from tests.support.gateway_matters import CASE, HOSPITAL, MOTHER, POLICE, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import CLINIC, OPERATOR, RESIDENT, MovingClock, World

PLAN = plan_of(
    step("who", "verify", input={"subject_id": "applicant.id", "name": "answers.name"}, time_limit="PT1H"),
    step("fact", "fetch", retry={"max": 2, "waits": ["PT5S"]}),
    step(
        "work",
        needs=["who", "fact"],
        operation="do_work",
        input={"name": "answers.name", "status": "steps.fact.output.status", "empty": "answers.more"},
        output={"number": "serial"},
    ),
    form=(field("name"), field("more")),
)


@pytest.fixture
def world() -> World:
    made = World(MemoryGatewayStore(), workflows_of(PLAN), MovingClock())
    made.exchange.answers = {"answer-1": {"status": "valid", "secret": "x"}}
    return made


@pytest.fixture
async def case(world: World) -> CaseView:
    with acting_as(RESIDENT):
        draft = await world.service.create_case(CreateCase("sample", {"name": "小明"}))
        return await world.service.submit_case(SubmitCase(draft.id))


async def seen(world: World, case: CaseView) -> CaseView:
    with acting_as(RESIDENT):
        return await world.service.case(case.id)


async def told(world: World, case: CaseView, step_id: str, outcome: Outcome = Outcome.DONE, **more: object) -> None:
    owners = {"who": "identity", "fact": "exchange"}
    answer = {
        "teller": owners[step_id],
        "case_id": case.id,
        "step_id": step_id,
        "attempt": 1,
        "outcome": outcome,
        "output": {"result": "match"} if step_id == "who" else {},
        "answer_id": "answer-1" if step_id == "fact" and outcome is Outcome.DONE else "",
        **more,
    }
    delivery = str(answer.pop("delivery_id", f"{step_id}-{answer['attempt']}"))
    await world.steps.answered(ToldAnswer(**answer), delivery_id=delivery)  # type: ignore[arg-type]


async def first_task(world: World, *, operations: tuple[str, ...] = ()) -> TaskRow:
    tasks: AsyncIterator[TaskRow] = world.tasks.take(operations, 0)
    async with asyncio.timeout(5):
        async with aclosing(tasks) as stream:  # type: ignore[type-var]
            async for task in stream:
                return task
    raise AssertionError


@pytest.fixture
async def task(world: World, case: CaseView) -> AsyncIterator[TaskRow]:
    await told(world, case, "who")
    await told(world, case, "fact")
    with acting_as(CLINIC):
        yield await first_task(world)


def complete(task: TaskRow, request: str = "q-1", **output: object) -> CompleteTask:
    return CompleteTask(request, task.task_id, task.lease_token, output or {"number": "B99"})


async def test_the_owner_of_a_step_reads_its_input_while_it_is_open(world: World, case: CaseView) -> None:
    step_input = await world.steps.input(case.id, "who", 1, owner="identity")
    assert step_input.input == {"subject_id": MOTHER, "name": "小明"}
    assert (step_input.agency, step_input.applicant_id, step_input.purpose) == (HOSPITAL, MOTHER, "sample")
    assert "小明" not in repr(step_input)
    fact = await world.steps.input(case.id, "fact", 1, owner="exchange")
    assert fact.input == {"subject_id": MOTHER, "resource": "307001/000001", "fields": "status"}
    with pytest.raises(StepNotYours):
        await world.steps.input(case.id, "who", 1, owner="licenses")
    for case_id, step_id, attempt in ((case.id, "who", 2), (case.id, "nobody", 1), ("none", "who", 1)):
        with pytest.raises(StepNotOpen):
            await world.steps.input(case_id, step_id, attempt, owner="identity")
    await told(world, case, "who")
    with pytest.raises(StepNotOpen):
        await world.steps.input(case.id, "who", 1, owner="identity")


async def test_an_answer_is_taken_once_and_only_from_the_owner(world: World, case: CaseView) -> None:
    await told(world, case, "who", teller="licenses", delivery_id="wrong")
    assert (await seen(world, case)).version == case.version
    await told(world, case, "who")
    after = await seen(world, case)
    assert after.status is CaseStatus.IN_PROGRESS
    await told(world, case, "who")
    await told(world, case, "who", delivery_id="another")
    await told(world, case, "who", Outcome.REFUSED, attempt=7)
    assert await seen(world, case) == after
    with pytest.raises(CaseNotFound):
        await told(world, case, "who", case_id=CASE, delivery_id="of-nobody")


async def test_the_full_answer_is_fetched_and_only_what_was_asked_for_is_kept(
    world: World, case: CaseView, task: TaskRow
) -> None:
    assert task.input == {"name": "小明", "status": "valid"}
    file = await world.store.case_file(case.id)
    assert file is not None
    assert dict(file.state.step("fact").output) == {"status": "valid"}


async def test_a_fetched_value_in_dispute_at_its_source_is_kept_as_such(world: World, case: CaseView) -> None:
    world.exchange.disputed = frozenset({"status", "secret"})
    await told(world, case, "fact")
    events = [event for _, event in await world.store.events_after(case.id, 0)]
    answered = next(event for event in events if isinstance(event, StepAnswered) and event.step_id == "fact")
    assert answered.disputed == ("status",)
    body = json.loads(json.dumps(to_body(answered)))
    assert from_body("StepAnswered", answered.at, "fact", body) == answered
    file = await world.store.case_file(case.id)
    assert file is not None
    assert file.state.step("fact").disputed == ("status",)


async def test_an_answer_that_exchange_has_let_go_is_asked_for_again(world: World, case: CaseView) -> None:
    await told(world, case, "fact", answer_id="gone")
    fact = next(one for one in (await seen(world, case)).steps if one.id == "fact")
    assert (fact.state, fact.reason) == ("retrying", "ANSWER_GONE")


async def test_an_answer_that_can_not_be_fetched_now_is_heard_again(world: World, case: CaseView) -> None:
    world.exchange.trouble = Unavailable("away")
    with pytest.raises(Unavailable):
        await told(world, case, "fact")
    assert (await seen(world, case)).version == case.version
    world.exchange.trouble = None
    await told(world, case, "fact")
    assert (await seen(world, case)).version > case.version


async def test_a_retry_waits_for_its_time(world: World, case: CaseView) -> None:
    clock = world.clock
    assert isinstance(clock, MovingClock)
    await told(world, case, "fact", Outcome.UNAVAILABLE, reason="SOURCE_DOWN")
    assert await world.timers.fire() is False
    clock.forward(seconds=5)
    assert await world.timers.fire() is True
    fact = next(one for one in (await seen(world, case)).steps if one.id == "fact")
    assert (fact.state, fact.attempts) == ("running", 2)
    await told(world, case, "fact", Outcome.UNAVAILABLE, attempt=2, reason="SOURCE_DOWN")
    parked = await seen(world, case)
    assert (parked.status, parked.reason) == (CaseStatus.PARKED, "SOURCE_DOWN")
    with acting_as(OPERATOR):
        with pytest.raises(CaseNotParked):
            await world.operators.resume(OnStep("r-1", case.id, "who", "because"))
        await world.operators.resume(OnStep("r-2", case.id, "fact", "because"))
    await told(world, case, "fact", attempt=3)
    assert (await seen(world, case)).status is CaseStatus.IN_PROGRESS


async def test_a_limit_that_is_exceeded_parks_and_the_late_answer_is_ignored(world: World, case: CaseView) -> None:
    clock = world.clock
    assert isinstance(clock, MovingClock)
    clock.forward(hours=1)
    assert await world.timers.fire() is True
    parked = await seen(world, case)
    assert (parked.status, parked.reason) == (CaseStatus.PARKED, "TIME_LIMIT_EXCEEDED")
    await told(world, case, "who")
    assert await seen(world, case) == parked


async def test_the_timer_loop_fires_what_is_due_and_waits_for_the_rest(world: World, case: CaseView) -> None:
    clock = world.clock
    assert isinstance(clock, MovingClock)
    loop = asyncio.create_task(world.timers.run())
    clock.forward(hours=2)

    async def parked() -> bool:
        return (await seen(world, case)).status is CaseStatus.PARKED

    await eventually(parked, seconds=5)
    loop.cancel()


async def test_a_case_that_breaks_its_timer_does_not_hold_up_the_others(world: World, case: CaseView) -> None:
    clock, store = world.clock, world.store
    assert isinstance(clock, MovingClock)
    assert isinstance(store, MemoryGatewayStore)
    file = store.kept.files.pop(case.id)
    clock.forward(hours=1)
    assert await world.timers.fire() is True
    assert await world.timers.fire() is False
    store.kept.files[case.id] = file
    clock.forward(minutes=1)
    assert await world.timers.fire() is True
    assert (await seen(world, case)).status is CaseStatus.PARKED


async def test_a_task_that_is_completed_ends_its_step(world: World, case: CaseView, task: TaskRow) -> None:
    assert (task.operation, task.attempt, task.agency) == ("do_work", 1, HOSPITAL)
    await world.tasks.complete(complete(task))
    assert (await seen(world, case)).status is CaseStatus.COMPLETED
    await world.tasks.complete(complete(task))
    with pytest.raises(RequestIdReused):
        await world.tasks.complete(complete(task, number="B100"))
    with pytest.raises(TaskNotOpen):
        await world.tasks.complete(complete(task, "q-2"))


async def test_an_output_that_does_not_fit_is_refused_and_can_be_mended(
    world: World, case: CaseView, task: TaskRow
) -> None:
    with pytest.raises(TaskOutputInvalid, match="number"):
        await world.tasks.complete(complete(task, nothing="x"))
    await world.tasks.complete(complete(task))
    assert (await seen(world, case)).status is CaseStatus.COMPLETED


async def test_a_refused_task_refuses_the_case_with_the_departments_words(
    world: World, case: CaseView, task: TaskRow
) -> None:
    words = Text("不符合条件", "Not eligible")
    command = RefuseTask("q-1", task.task_id, task.lease_token, "NOT_ELIGIBLE", words)
    await world.tasks.refuse(command)
    await world.tasks.refuse(command)
    after = await seen(world, case)
    assert (after.status, after.reason, after.message) == (CaseStatus.REFUSED, "NOT_ELIGIBLE", words)


async def test_a_lease_can_be_renewed_and_lost(world: World, task: TaskRow) -> None:
    clock = world.clock
    assert isinstance(clock, MovingClock)
    clock.forward(seconds=20)
    await world.tasks.renew(task.task_id, task.lease_token)
    clock.forward(seconds=20)
    assert not await world.store.has_tasks(HOSPITAL, [], clock.now)
    clock.forward(seconds=20)
    other = await first_task(world)
    assert other.task_id == task.task_id
    for late in (world.tasks.renew(task.task_id, task.lease_token), world.tasks.complete(complete(task))):
        with pytest.raises(LeaseLost):
            await late
    await world.tasks.complete(complete(other))


async def test_a_lease_that_ran_out_still_counts_while_nobody_else_took_the_task(world: World, task: TaskRow) -> None:
    clock = world.clock
    assert isinstance(clock, MovingClock)
    clock.forward(hours=3)
    await world.tasks.complete(complete(task))


async def test_tasks_are_only_for_their_agency_and_its_right(world: World, task: TaskRow) -> None:
    with acting_as(Caller(CallerKind.AGENCY, POLICE, frozenset({"gateway.tasks"}), agency=POLICE)):
        with pytest.raises(TaskNotFound):
            await world.tasks.complete(complete(task))
        with pytest.raises(TaskNotFound):
            await world.tasks.renew(task.task_id, task.lease_token)
    with acting_as(Caller(CallerKind.AGENCY, HOSPITAL, agency=HOSPITAL)), pytest.raises(RightMissing):
        await first_task(world)


async def test_a_holder_gets_no_more_than_it_can_hold(world: World, case: CaseView, task: TaskRow) -> None:
    assert task.case_id == case.id
    with acting_as(RESIDENT):
        other = await world.service.create_case(CreateCase("sample", {"name": "小红"}))
        await world.service.submit_case(SubmitCase(other.id))
    await told(world, case, "who", case_id=other.id, delivery_id="x1")
    await told(world, case, "fact", case_id=other.id, delivery_id="x2")
    clock = world.clock
    assert isinstance(clock, MovingClock)
    clock.forward(hours=1)
    got: list[TaskRow] = []

    async def take() -> None:
        async for one in world.tasks.take([], 1):
            got.append(one)  # noqa: PERF401 - the stream has no end

    with acting_as(CLINIC):
        taking = asyncio.create_task(take())
        await eventually(lambda: len(got) == 1, seconds=5)
        await asyncio.sleep(world.poll_seconds * 2)
        assert len(got) == 1
        await world.tasks.complete(complete(got[0]))
        await eventually(lambda: len(got) == 2, seconds=5)
    taking.cancel()


async def test_a_stream_of_tasks_takes_only_the_operations_that_it_asks_for(world: World, task: TaskRow) -> None:
    clock = world.clock
    assert isinstance(clock, MovingClock)
    clock.forward(hours=1)
    assert not await world.store.has_tasks(HOSPITAL, ["other"], clock.now)
    assert (await first_task(world, operations=("do_work",))).task_id == task.task_id


async def flagged(world: World, case_id: str, *, delivery: str = "d-1") -> None:
    await world.recalls.flag(case_id, "k-1", "307002/000001", "address", delivery_id=delivery)


async def kinds(world: World, case: CaseView) -> list[str]:
    with acting_as(RESIDENT):
        return [entry.kind for entry in await world.service.timeline(case.id)]


async def test_a_case_that_used_a_wrong_value_says_so_once_and_goes_on(world: World, case: CaseView) -> None:
    before = await seen(world, case)
    await flagged(world, case.id)
    await flagged(world, case.id)
    assert (await kinds(world, case)).count("value_corrected") == 1
    after = await seen(world, case)
    assert (after.status, after.steps) == (before.status, before.steps)
    await told(world, case, "who")
    await told(world, case, "fact")
    assert (await kinds(world, case))[-1] == "step_started"


async def test_a_case_that_has_ended_or_is_none_of_ours_is_left_alone(world: World, task: TaskRow) -> None:
    await world.tasks.complete(complete(task))
    with acting_as(RESIDENT):
        (ended,) = (await world.service.cases()).rows
        assert ended.status is CaseStatus.COMPLETED
        await flagged(world, ended.id)
        assert "value_corrected" not in [entry.kind for entry in await world.service.timeline(ended.id)]
    await flagged(world, "a case of some department", delivery="d-2")
