# SPDX-License-Identifier: Apache-2.0
"""A new version of a matter: two pairs of eyes, open cases moved where they fit, once, and a clerk who works meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.gateway.domain.moving import Stuck
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import DefinitionProposed, DefinitionRefused, DefinitionUnknown, FourEyes
from services.gateway.events import to_wire
from services.gateway.service import CaseView, CreateCase, SubmitCase
from services.gateway.service.activations import ActivationDesk, MoveCases, Propose, Replayed
from services.gateway.service.ports import TaskRow
from services.gateway.service.tasks import CompleteTask
from services.gateway.store import SqlGatewayStore
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RightMissing
from services.kit.ids import new_id
from services.kit.paging import Page
from tests.support.gateway_matters import field, plan_of, step, workflows_of
from tests.support.gateway_world import CLINIC, OPERATOR, RESIDENT, MovingClock, World
from tests.support.probe import resources

OLD = plan_of(step("a"), step("b", needs=["a"]), form=(field("name"),))
NEW = plan_of(step("a"), step("b", needs=["a"]), step("c", needs=["a"]), form=(field("name"),))
FIRST, SECOND = (Caller(CallerKind.OPERATOR, name, frozenset({"gateway.matters"})) for name in ("first", "second"))


@dataclass
class Process:
    """One gateway."""

    world: World
    desk: ActivationDesk


@pytest.fixture
async def both(database: str, tmp_path: Path) -> AsyncIterator[tuple[Process, Process]]:
    clock = MovingClock()
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            opened = SqlGatewayStore.open(resources(database, tmp_path, clock=clock), encode=to_wire)
            store = await stack.enter_async_context(opened)
            world = World(store, workflows_of(OLD), clock)
            made.append(Process(world, ActivationDesk(world.engine, store)))
        yield made[0], made[1]


async def submitted(process: Process) -> CaseView:
    with acting_as(RESIDENT):
        draft = await process.world.service.create_case(CreateCase("sample", {"name": "x"}))
        return await process.world.service.submit_case(SubmitCase(draft.id))


async def seen(process: Process, case: CaseView) -> CaseView:
    with acting_as(RESIDENT):
        return await process.world.service.case(case.id)


async def activated(process: Process, plan: Plan = NEW) -> None:
    with acting_as(FIRST):
        await process.desk.propose(Propose(new_id(), plan.matter.canonical(), "a better order"))
    with acting_as(SECOND):
        await process.desk.confirm(new_id(), plan.digest)


async def replayed(process: Process, plan: Plan = NEW, size: int = 0, token: str = "") -> Page[Replayed]:
    with acting_as(FIRST):
        return await process.desk.replay(plan.matter.canonical(), size, token)


async def moved(process: Process, request_id: str = "", size: int = 0, token: str = "") -> Page[Replayed]:
    with acting_as(FIRST):
        return await process.desk.move(MoveCases(request_id or new_id(), NEW.digest, "it is better", size, token))


async def one_task(process: Process) -> TaskRow:
    with acting_as(CLINIC):
        async for task in process.world.tasks.take((), 1):
            return task
    raise AssertionError


async def test_new_cases_follow_a_version_only_after_another_operator_confirmed_it(
    both: tuple[Process, Process],
) -> None:
    one, other = both
    with acting_as(FIRST):
        request_id = new_id()
        proposed = await one.desk.propose(Propose(request_id, NEW.matter.canonical(), "a better order"))
        assert await one.desk.propose(Propose(request_id, NEW.matter.canonical(), "a better order")) == proposed
        with pytest.raises(DefinitionProposed):
            await one.desk.propose(Propose(new_id(), NEW.matter.canonical(), "again"))
        with pytest.raises(FourEyes):
            await one.desk.confirm(new_id(), NEW.digest)
        with pytest.raises(DefinitionUnknown):
            await one.desk.move(MoveCases(new_id(), NEW.digest, "too early"))
    assert one.world.workflows.current("sample").digest == OLD.digest
    with acting_as(SECOND):
        confirmed = await one.desk.confirm(new_id(), NEW.digest)
        assert (confirmed.proposed_by, confirmed.confirmed_by) == ("operator:first", "operator:second")
        with pytest.raises(DefinitionUnknown):
            await one.desk.confirm(new_id(), "0" * 64)
    assert one.world.workflows.current("sample").digest == NEW.digest
    assert other.world.workflows.current("sample").digest == OLD.digest
    await other.desk.load()  # What the fact of the confirmation makes it do.
    assert other.world.workflows.current("sample").digest == NEW.digest
    assert (await submitted(other)).definition == NEW.digest


async def test_open_cases_stay_on_their_version_until_they_are_moved_and_a_dry_run_changes_nothing(
    both: tuple[Process, Process],
) -> None:
    one, other = both
    case = await submitted(one)
    page = await replayed(one)
    assert [(row.row.case_id, row.replay.fits) for row in page.rows] == [(case.id, True)]
    await activated(one)
    assert await seen(other, case) == case
    assert [row.row.case_id for row in (await moved(other)).rows] == [case.id]
    after = await seen(one, case)
    assert after.definition == NEW.digest
    assert (await moved(one)).rows == ()
    with acting_as(RESIDENT):
        assert "definition_moved" in [entry.kind for entry in await one.world.service.timeline(case.id)]


async def test_a_moved_case_goes_on_under_its_new_version_to_the_end(both: tuple[Process, Process]) -> None:
    one, other = both
    case = await submitted(one)
    await activated(one)
    await moved(one)
    for _ in range(3):
        task = await one_task(other)
        with acting_as(CLINIC):
            await other.world.tasks.complete(CompleteTask(new_id(), task.task_id, task.lease_token, {}))
    after = await seen(other, case)
    assert after.status.value == "completed"
    assert [one.id for one in after.steps] == ["a", "b", "c"]


async def test_two_who_move_at_once_move_each_case_once_and_answers_meanwhile_are_not_lost(
    both: tuple[Process, Process],
) -> None:
    one, other = both
    cases = [await submitted(one) for _ in range(5)]
    await activated(one)
    task = await one_task(other)

    async def worked() -> None:
        with acting_as(CLINIC):
            await other.world.tasks.complete(CompleteTask(new_id(), task.task_id, task.lease_token, {}))

    await asyncio.gather(moved(one), moved(other), worked())
    for case in cases:
        with acting_as(RESIDENT):
            entries = [entry.kind for entry in await one.world.service.timeline(case.id)]
        assert entries.count("definition_moved") == 1
        assert (await seen(other, case)).definition == NEW.digest
        begun = {step.id for step in (await seen(one, case)).steps if step.state != "waiting"}
        assert begun == ({"a", "b", "c"} if case.id == task.case_id else {"a"})


async def test_a_case_that_does_not_fit_stays_and_the_report_says_why_page_by_page(
    both: tuple[Process, Process],
) -> None:
    one, _ = both
    cases = [await submitted(one) for _ in range(3)]
    other_shape = plan_of(step("z"), form=(field("name"),))
    first = await replayed(one, other_shape, 2)
    second = await replayed(one, other_shape, 2, first.next_token)
    found = [*first.rows, *second.rows]
    assert [row.row.case_id for row in found] == sorted(case.id for case in cases)
    assert {(row.replay.stuck, row.replay.where) for row in found} == {(Stuck.STEP_GONE, "a")}
    assert second.next_token == ""


async def test_what_does_not_hold_is_refused_with_each_place_and_others_have_no_business_here(
    both: tuple[Process, Process],
) -> None:
    one, _ = both
    with acting_as(FIRST):
        with pytest.raises(DefinitionRefused) as refused:
            await one.desk.propose(Propose(new_id(), "{}", "empty"))
        assert "code" in {violation.field for violation in refused.value.violations}
        lost = plan_of(step("a", agency="nobody")).matter.canonical()
        with pytest.raises(DefinitionRefused) as refused:
            await one.desk.propose(Propose(new_id(), lost, "nobody does it"))
        assert refused.value.violations[0].field == "steps.a.agency"
    with acting_as(OPERATOR), pytest.raises(RightMissing):
        await one.desk.propose(Propose(new_id(), NEW.matter.canonical(), "no right"))
