# SPDX-License-Identifier: Apache-2.0
"""Several processes move the same cases: nothing is lost, nothing is doubled, and the trace stays one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from services.gateway.domain.bounds import Bounds
from services.gateway.domain.history import Outcome
from services.gateway.domain.refusals import (
    CaseNotDraft,
    CaseNotFound,
    TooManyCases,
    TooManyDrafts,
    TooManySubmissions,
)
from services.gateway.service import CaseStatus, CaseView, CreateCase, DeleteDraft, SubmitCase
from services.gateway.service.ports import TaskRow
from services.gateway.service.steps import ToldAnswer
from services.gateway.service.tasks import CompleteTask
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from services.kit.errors import Refusal
from services.kit.telemetry import SpanKind
from tests.support.eventually import eventually
from tests.support.gateway_matters import field, plan_of, step, workflows_of
from tests.support.gateway_twins import Twins, twins_of
from tests.support.gateway_world import BOUNDS, CLINIC, RESIDENT, World

WIDE = 8
PLAN = plan_of(
    *(step(f"v{number}", "verify", time_limit="PT1H") for number in range(WIDE)),
    step("work", needs=[f"v{number}" for number in range(WIDE)], input={"n": "answers.name"}, output={"id": "serial"}),
    step("bell", "notify", needs=["work"]),
    form=(field("name", required=True),),
    several_drafts=True,
)
ONLY = plan_of(step("a"), code="only")
NAME = "欧阳不应出现"


@pytest.fixture
async def twins(database: str, tmp_path: Path) -> AsyncIterator[Twins]:
    async with twins_of(database, tmp_path, PLAN, ONLY) as both:
        yield both


async def submitted(world: World) -> CaseView:
    with acting_as(RESIDENT):
        draft = await world.service.create_case(CreateCase("sample", {"name": NAME}))
        with world.telemetry.span("POST", kind=SpanKind.SERVER):
            return await world.service.submit_case(SubmitCase(draft.id))


async def seen(world: World, case: CaseView) -> CaseView:
    with acting_as(RESIDENT):
        return await world.service.case(case.id)


def verified(case: CaseView, number: int) -> ToldAnswer:
    return ToldAnswer("identity", case.id, f"v{number}", 1, Outcome.DONE, output={"result": "match"})


async def all_verified(twins: Twins, case: CaseView) -> None:
    """Every answer is delivered to both processes, twice, all at once."""
    told = [
        world.steps.answered(verified(case, number), delivery_id=f"{case.id}-{number}")
        for number in range(WIDE)
        for world in (*twins.both, *twins.both)
    ]
    await asyncio.gather(*told)


async def written_by(world: World) -> str:
    """Every row of every table."""
    store = world.store
    assert isinstance(store, SqlGatewayStore)
    async with store.reading() as connection:
        tables = [repr((await connection.execute(select(each))).all()) for each in store.metadata.tables.values()]
    return "".join(tables)


async def taken(world: World, count: int, operations: tuple[str, ...] = ()) -> list[TaskRow]:
    found: list[TaskRow] = []

    async def take() -> None:
        async for task in world.tasks.take(operations, count):
            found.append(task)
            if len(found) == count:
                return

    with acting_as(CLINIC):
        async with asyncio.timeout(20):
            await take()
    return found


async def test_answers_that_come_at_once_and_twice_are_each_taken_once(twins: Twins) -> None:
    case = await submitted(twins.one)
    await all_verified(twins, case)
    for world in twins.both:
        now = await seen(world, case)
        assert [one.state for one in now.steps] == ["done"] * WIDE + ["running", "waiting"]
        with acting_as(RESIDENT):
            timeline = await world.service.timeline(case.id)
        assert [entry.seq for entry in timeline] == list(range(1, len(timeline) + 1))
        assert len([entry for entry in timeline if entry.kind == "step_done"]) == WIDE


async def test_each_step_is_asked_for_once_within_the_trace_of_the_submission(twins: Twins) -> None:
    case = await submitted(twins.one)
    await all_verified(twins, case)
    store = twins.one.store
    assert isinstance(store, SqlGatewayStore)
    outbox = store.tables.outbox
    async with store.reading() as connection:
        rows = (await connection.execute(select(outbox).order_by(outbox.c.id))).all()
    kinds = [row.type.rpartition(".")[2] for row in rows]
    assert kinds == ["CaseSubmitted", *["StepRequested"] * (WIDE + 1)]
    assert {row.traceparent[3:35] for row in rows} == {case.trace_id}
    assert {row.key for row in rows} == {row.correlation for row in rows} == {case.id}


async def test_one_key_opens_one_case_in_two_processes(twins: Twins) -> None:
    command = CreateCase("sample", {"name": NAME}, idempotency_key="k")
    with acting_as(RESIDENT):
        found = await asyncio.gather(*(world.service.create_case(command) for world in (*twins.both, *twins.both)))
        assert len({(case.id, case.receipt) for case in found}) == 1
        assert len((await twins.two.service.cases()).rows) == 1


async def test_two_processes_open_one_draft_of_a_matter_that_allows_no_other(twins: Twins) -> None:
    with acting_as(RESIDENT):
        found = await asyncio.gather(*(world.service.create_case(CreateCase("only")) for world in twins.both * 4))
    assert len({case.id for case in found}) == 1
    assert sorted(case.found for case in found) == [False] + [True] * 7


async def test_many_cases_at_once_have_receipts_of_their_own(twins: Twins) -> None:
    with acting_as(RESIDENT):
        commands = [world.service.create_case(CreateCase("sample", {"name": NAME})) for world in twins.both * 6]
        found = await asyncio.gather(*commands)
    assert len({case.receipt for case in found}) == 12


async def test_two_processes_never_open_more_drafts_than_a_resident_may_have(twins: Twins) -> None:
    with acting_as(RESIDENT):
        commands = [world.service.create_case(CreateCase("sample", {"name": NAME})) for world in twins.both * 13]
        found = await asyncio.gather(*commands, return_exceptions=True)
        assert [type(one) for one in found].count(TooManyDrafts) == 6
        drafts = [one.id for one in found if isinstance(one, CaseView)]
        assert {row.id for row in (await twins.two.service.cases()).rows} == set(drafts)
        submits = [twins.one.service.submit_case(SubmitCase(case_id)) for case_id in drafts[:3]]
        deletions = [world.service.delete_case(DeleteDraft(drafts[3])) for world in twins.both]
        left = await asyncio.gather(*submits, *deletions, return_exceptions=True)
        assert [type(one) for one in left].count(CaseNotFound) == 1
        commands = [world.service.create_case(CreateCase("sample", {"name": NAME})) for world in twins.both * 4]
        found = await asyncio.gather(*commands, return_exceptions=True)
    assert [type(one) for one in found].count(TooManyDrafts) == 4


@pytest.mark.parametrize(
    ("bounds", "refusal"),
    [
        (replace(BOUNDS, open_cases=3), TooManyCases),
        (replace(BOUNDS, open_cases=20, submissions_per_day=3), TooManySubmissions),
    ],
)
async def test_two_processes_never_take_more_submissions_than_a_resident_may_make(
    twins: Twins, bounds: Bounds, refusal: type[Refusal]
) -> None:
    worlds = [World(world.store, world.workflows, twins.clock, bounds=bounds) for world in twins.both]
    with acting_as(RESIDENT):
        drafts = [await worlds[0].service.create_case(CreateCase("sample", {"name": NAME})) for _ in range(12)]
        submits = [worlds[at % 2].service.submit_case(SubmitCase(draft.id)) for at, draft in enumerate(drafts)]
        found = await asyncio.gather(*submits, return_exceptions=True)
        assert [type(one) for one in found].count(refusal) == 9
        rows = (await worlds[1].service.cases()).rows
    assert [row.status for row in rows].count(CaseStatus.DRAFT) == 9
    assert await worlds[0].store.drafts_of(RESIDENT.id) == 9


async def test_of_submission_and_deletion_one_wins_and_the_other_hears_of_it(twins: Twins) -> None:
    with acting_as(RESIDENT):
        for _ in range(5):
            draft = await twins.one.service.create_case(CreateCase("sample", {"name": NAME}))
            submission, deletion = await asyncio.gather(
                twins.one.service.submit_case(SubmitCase(draft.id)),
                twins.two.service.delete_case(DeleteDraft(draft.id)),
                return_exceptions=True,
            )
            kept = isinstance(submission, CaseView)
            assert isinstance(deletion, CaseNotDraft) if kept else isinstance(submission, CaseNotFound)
            assert len([row for row in (await twins.two.service.cases()).rows if row.id == draft.id]) == kept


async def test_an_untouched_draft_is_deleted_by_one_of_two_processes_and_its_answers_with_it(twins: Twins) -> None:
    with acting_as(RESIDENT):
        draft = await twins.one.service.create_case(CreateCase("sample", {"name": NAME}))
        await twins.two.service.case(draft.id)
    twins.clock.forward(days=30)
    assert sum(await asyncio.gather(*(world.timers.fire() for world in twins.both))) == 1
    assert draft.id not in await written_by(twins.one)
    for world in twins.both:
        with pytest.raises(CaseNotFound):
            await seen(world, draft)


async def test_a_draft_that_goes_between_two_looks_is_not_there(twins: Twins) -> None:
    with acting_as(RESIDENT):
        draft = await twins.one.service.create_case(CreateCase("sample", {"name": NAME}))
    store = twins.two.store
    assert isinstance(store, SqlGatewayStore)
    async with store.transaction() as tx:
        await tx.connection.execute(delete(store.metadata.tables["case_event"]))
    assert await store.case_file(draft.id) is None


async def test_a_task_goes_to_one_of_two_processes_and_is_done_once(twins: Twins) -> None:
    cases = [await submitted(twins.one) for _ in range(4)]
    for case in cases:
        await all_verified(twins, case)
    (first, second) = await asyncio.gather(taken(twins.one, 2), taken(twins.two, 2))
    ids = {task.task_id for task in (*first, *second)}
    assert len(ids) == 4
    with acting_as(CLINIC):
        done = [
            world.tasks.complete(CompleteTask(f"q-{task.task_id[:8]}", task.task_id, task.lease_token, {"id": "Z1"}))
            for task in (*first, *second)
            for world in twins.both
        ]
        await asyncio.gather(*done)
    for case in cases:
        assert (await seen(twins.two, case)).status is CaseStatus.COMPLETED


async def test_a_timer_is_fired_by_one_of_two_processes(twins: Twins) -> None:
    case = await submitted(twins.one)
    twins.clock.forward(hours=1)

    async def fire_all(world: World) -> int:
        fired = 0
        while await world.timers.fire():
            fired += 1
        return fired

    assert sum(await asyncio.gather(*(fire_all(world) for world in twins.both))) == WIDE
    now = await seen(twins.one, case)
    assert [one.state for one in now.steps[:WIDE]] == ["parked"] * WIDE
    assert [one.attempts for one in now.steps[:WIDE]] == [1] * WIDE


async def test_news_of_another_process_come_without_a_signal(twins: Twins) -> None:
    case = await submitted(twins.one)
    with acting_as(RESIDENT):
        waiting = asyncio.create_task(twins.two.service.wait_for_events(case.id, case.version, 10))
        await asyncio.sleep(0)
        await twins.one.steps.answered(verified(case, 0), delivery_id="d")
        assert [entry.kind for entry in await waiting] == ["step_done"]


async def test_what_people_answer_stands_nowhere_in_clear(twins: Twins, database: str) -> None:
    case = await submitted(twins.one)
    await all_verified(twins, case)
    (task,) = await taken(twins.one, 1)
    assert task.input == {"n": NAME}
    written = await written_by(twins.one)
    raw = b""
    if database.startswith("sqlite"):
        folder = Path(database.removeprefix("sqlite:///")).parent
        raw = b"".join(file.read_bytes() for file in folder.glob("*.sqlite*"))
    assert case.receipt in written
    for secret in (NAME, NAME.encode("unicode_escape").decode()):
        assert secret not in written
        assert secret.encode() not in raw


OTHER = plan_of(step("ask", "verify"), code="other")
OUTER = plan_of(step("part", "sub_case"), step("later", "wait", duration="P1D"), code="outer")


async def test_a_sub_case_is_opened_and_its_end_heard_once_however_many_processes_look(twins: Twins) -> None:
    worlds = [World(world.store, workflows_of(OTHER, OUTER), twins.clock) for world in twins.both]
    with acting_as(RESIDENT):
        draft = await worlds[0].service.create_case(CreateCase("outer", {}))
        case = await worlds[1].service.submit_case(SubmitCase(draft.id))
    for _ in range(3):
        await asyncio.gather(*(world.timers.fire() for world in worlds * 4))
    with acting_as(RESIDENT):
        rows = (await worlds[1].service.cases()).rows
    assert len(rows) == 2
    (part,) = [row for row in rows if row.id != case.id]
    told = ToldAnswer("identity", part.id, "ask", 1, Outcome.DONE, output={"result": "match"})
    await asyncio.gather(*(world.steps.answered(told, delivery_id="d") for world in worlds * 2))
    await asyncio.gather(*(world.timers.fire() for world in worlds * 4))
    twins.clock.forward(days=1)
    assert sum(await asyncio.gather(*(world.timers.fire() for world in worlds * 4))) == 1
    now = await seen(worlds[0], case)
    assert now.status is CaseStatus.COMPLETED
    with acting_as(RESIDENT):
        kinds = [entry.kind for entry in await worlds[0].service.timeline(case.id)]
    assert kinds.count("sub_case_opened") == 1
    assert kinds.count("step_done") == 2


async def test_what_a_process_leaves_behind_another_one_takes_over_within_ten_seconds(twins: Twins) -> None:
    loops = [asyncio.create_task(world.timers.run()) for world in twins.both]
    case = await submitted(twins.one)
    loops[0].cancel()
    twins.clock.forward(hours=1)

    async def parked() -> bool:
        return (await seen(twins.two, case)).status is CaseStatus.PARKED

    await eventually(parked, seconds=10)
    loops[1].cancel()
