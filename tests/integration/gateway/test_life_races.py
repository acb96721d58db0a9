# SPDX-License-Identifier: Apache-2.0
"""A resident, a clerk and a clock want different things of one case at once: one has it, the other is told why not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.domain.history import CorrectionItem
from services.gateway.domain.refusals import CaseNotUnderWay, CorrectionNotAsked, TaskNotOpen
from services.gateway.service import CaseStatus, CaseView, ChangeAnswers, CreateCase, SubmitCase
from services.gateway.service.dealing import Held
from services.gateway.service.life import OnCase
from services.gateway.service.ports import TaskRow
from services.gateway.service.tasks import CompleteTask
from services.kit.caller import acting_as
from services.kit.errors import Refusal, VersionConflict
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_matters import field, plan_of, step
from tests.support.gateway_twins import Twins, twins_of
from tests.support.gateway_world import CLINIC, RESIDENT, World

PLAN = plan_of(
    step("work", input={"n": "answers.name"}, output={"id": "serial"}),
    form=(field("name"), field("place")),
    several_drafts=True,
)
ROUNDS = 6
"""Each with the two in another order: who comes first differs, what holds does not."""
LATE_DAYS = 31


@pytest.fixture
async def twins(database: str, tmp_path: Path) -> AsyncIterator[Twins]:
    async with twins_of(database, tmp_path, PLAN) as both:
        yield both


async def drafted(world: World) -> CaseView:
    with acting_as(RESIDENT):
        return await world.service.create_case(CreateCase("sample", {"name": "小明"}))


async def leased(world: World) -> tuple[CaseView, TaskRow]:
    """A case whose task the clinic holds."""
    draft = await drafted(world)
    with acting_as(RESIDENT):
        case = await world.service.submit_case(SubmitCase(draft.id))
    with acting_as(CLINIC):
        waiting = (await world.dealings.waiting()).rows
        task_id = next(row.task_id for row in waiting if row.case_id == case.id)
        return case, await world.dealings.lease(new_id(), task_id)


async def now(world: World, case: CaseView) -> CaseView:
    with acting_as(RESIDENT):
        return await world.service.case(case.id)


async def history(world: World, case: CaseView) -> list[str]:
    with acting_as(RESIDENT):
        return [entry.kind for entry in await world.service.timeline(case.id)]


async def withdraws(world: World, case: CaseView) -> CaseView:
    with acting_as(RESIDENT):
        return await world.life.own.withdraw(OnCase(case.id, new_id()))


async def completes(world: World, task: TaskRow) -> None:
    with acting_as(CLINIC):
        await world.tasks.complete(CompleteTask(new_id(), task.task_id, task.lease_token, {"id": "Z1"}))


async def corrects(world: World, case: CaseView) -> CaseView:
    with acting_as(RESIDENT):
        return await world.life.own.correct(OnCase(case.id, new_id()), {"name": "小红"})


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_of_two_edits_of_the_same_version_one_is_kept_whole_and_the_other_says_what_to_do(
    twins: Twins, number: int
) -> None:
    draft = await drafted(twins.one)
    changes = [
        ChangeAnswers(draft.id, {"name": who, "place": who}, version=draft.version, idempotency_key=new_id())
        for who in ("甲", "乙")
    ]
    with acting_as(RESIDENT):
        edits = [
            world.service.change_answers(change)
            for world, change in zip(twins.both[:: 1 if number % 2 else -1], changes, strict=True)
        ]
        found = await asyncio.gather(*edits, return_exceptions=True)
    [kept] = [one for one in found if isinstance(one, CaseView)]
    [refused] = [one for one in found if isinstance(one, VersionConflict)]
    assert refused.remedy
    after = await now(twins.two, draft)
    assert after.answers == kept.answers
    assert after.answers["name"] == after.answers["place"]


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_submission_that_races_a_withdrawal_comes_first_or_the_withdrawal_says_that_there_is_nothing_yet(
    twins: Twins, number: int
) -> None:
    draft = await drafted(twins.one)

    async def submits() -> CaseView:
        with acting_as(RESIDENT):
            return await twins.two.service.submit_case(SubmitCase(draft.id))

    racing = [submits(), withdraws(twins.one, draft)][:: 1 if number % 2 else -1]
    found = await asyncio.gather(*racing, return_exceptions=True)
    refused = [one for one in found if isinstance(one, BaseException)]
    assert all(isinstance(one, CaseNotUnderWay) for one in refused)
    after = await now(twins.one, draft)
    assert after.status is (CaseStatus.SUBMITTED if refused else CaseStatus.WITHDRAWN)
    assert (await history(twins.two, draft)).count("submitted") == 1


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_withdrawal_that_races_the_last_answer_takes_the_case_back_or_says_that_it_is_done(
    twins: Twins, number: int
) -> None:
    case, task = await leased(twins.one)
    racing = [completes(twins.two, task), withdraws(twins.one, case)][:: 1 if number % 2 else -1]
    found = await asyncio.gather(*racing, return_exceptions=True)
    [refused] = [one for one in found if isinstance(one, Refusal)]
    after = await now(twins.two, case)
    if after.status is CaseStatus.COMPLETED:
        assert isinstance(refused, CaseNotUnderWay)
    else:
        assert isinstance(refused, TaskNotOpen)
        assert after.status is CaseStatus.WITHDRAWN
    assert (await history(twins.one, case)).count("ended") == 1


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_correction_that_races_its_clock_counts_or_hears_that_the_time_was_over(
    twins: Twins, number: int
) -> None:
    case, task = await leased(twins.one)
    with acting_as(CLINIC):
        item = CorrectionItem("name", Text("姓名有误", "The name is wrong"))
        await twins.one.dealings.correct(Held(new_id(), task.task_id, task.lease_token), [item])
    twins.clock.forward(days=LATE_DAYS)

    async def rings() -> None:
        while await twins.two.timers.fire():
            pass

    racing = [corrects(twins.one, case), rings()][:: 1 if number % 2 else -1]
    found = await asyncio.gather(*racing, return_exceptions=True)
    refused = [one for one in found if isinstance(one, BaseException)]
    assert all(isinstance(one, CorrectionNotAsked) for one in refused)
    after = await now(twins.two, case)
    if refused:
        assert (after.status, after.reason) == (CaseStatus.WITHDRAWN, "CORRECTION_NOT_MADE")
        assert after.answers["name"] == "小明"
    else:
        assert (after.status, after.answers["name"]) == (CaseStatus.SUBMITTED, "小红")
    assert (await history(twins.one, case)).count("ended") == len(refused)
