# SPDX-License-Identifier: Apache-2.0
"""A case that opens another one: opened once, answered by its end, let go with the case that waits for it."""

from typing import Any

import pytest

from services.gateway.domain.history import Outcome
from services.gateway.domain.problems import DefinitionInvalid, ProblemCode
from services.gateway.service import CaseStatus, CaseView, CreateCase, SubmitCase
from services.gateway.service.life import OnCase
from services.gateway.service.operating import OnStep
from services.gateway.service.ports import CaseFile
from services.gateway.service.steps import ToldAnswer
from services.kit.caller import acting_as
from tests.support.gateway_matters import field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import OPERATOR, RESIDENT, MovingClock, World

OTHER = plan_of(
    step("ask", "verify", pivot=False),
    form=(
        field("name", required=True),
        field("number", read_only=True, prefill={"source": "identity", "field": "number", "basis": "PIPL art. 13"}),
    ),
    code="other",
)
OUTER = plan_of(
    step(
        "part",
        "sub_case",
        answers={"name": "answers.name", "number": "'11010519491231002X'"},
        output={"result": "steps.ask.output.result"},
        retry={"max": 2},
    ),
    step("after", needs=["part"], input={"r": "steps.part.output.result", "c": "steps.part.output.case_id"}),
    form=(field("name"),),
)


@pytest.fixture
def world() -> World:
    return World(MemoryGatewayStore(), workflows_of(OTHER, OUTER), MovingClock())


async def opened(world: World, name: str = "小明") -> CaseView:
    with acting_as(RESIDENT):
        draft = await world.service.create_case(CreateCase("sample", {"name": name}))
        return await world.service.submit_case(SubmitCase(draft.id))


async def all_timers(world: World) -> None:
    while await world.timers.fire():
        pass


async def file_of(world: World, case_id: str) -> CaseFile:
    file = await world.store.case_file(case_id)
    assert file is not None
    return file


async def sub_case_of(world: World, case: CaseView) -> CaseFile:
    return await file_of(world, (await file_of(world, case.id)).state.step("part").sub_case_id)


async def told(world: World, case_id: str, outcome: Outcome = Outcome.DONE, **more: Any) -> None:
    answer = ToldAnswer("identity", case_id, "ask", 1, outcome, output={"result": "match"}, **more)
    await world.steps.answered(answer, delivery_id=case_id)


async def test_a_case_is_opened_for_the_same_applicant_and_its_end_is_the_answer(world: World) -> None:
    case = await opened(world)
    await all_timers(world)
    part = await sub_case_of(world, case)
    assert (part.state.applicant_id, part.state.matter, part.state.status) == (
        RESIDENT.id, "other", CaseStatus.SUBMITTED,
    )  # fmt: skip
    assert part.state.effective_answers() == {"name": "小明", "number": "11010519491231002X"}
    assert part.traceparent == (await file_of(world, case.id)).traceparent
    await told(world, part.case_id)
    await all_timers(world)
    state = (await file_of(world, case.id)).state
    assert state.step("part").output["result"] == "match"
    assert state.step("after").state.value == "running"
    with acting_as(RESIDENT):
        rows = (await world.service.cases()).rows
    assert {row.id for row in rows} == {case.id, part.case_id}


async def test_a_sub_case_that_is_refused_refuses_its_step(world: World) -> None:
    case = await opened(world)
    await all_timers(world)
    await told(world, (await sub_case_of(world, case)).case_id, Outcome.REFUSED, reason="NO")
    await all_timers(world)
    state = (await file_of(world, case.id)).state
    assert (state.status, state.reason) == (CaseStatus.REFUSED, "NO")


async def test_a_case_that_is_withdrawn_takes_its_sub_case_along(world: World) -> None:
    case = await opened(world)
    await all_timers(world)
    with acting_as(RESIDENT):
        await world.life.own.withdraw(OnCase(case.id, "q-1"))
    await all_timers(world)
    part = (await sub_case_of(world, case)).state
    assert (part.status, part.reason) == (CaseStatus.TERMINATED, "PARENT_GIVEN_UP")


async def test_a_case_that_ends_before_its_sub_case_is_opened_opens_none(world: World) -> None:
    case = await opened(world)
    with acting_as(RESIDENT):
        await world.life.own.withdraw(OnCase(case.id, "q-1"))
    await all_timers(world)
    with acting_as(RESIDENT):
        assert len((await world.service.cases()).rows) == 1


async def test_a_sub_case_that_its_applicant_takes_back_refuses_its_step(world: World) -> None:
    case = await opened(world)
    await all_timers(world)
    with acting_as(RESIDENT):
        await world.life.own.withdraw(OnCase((await sub_case_of(world, case)).case_id, "q-1"))
    await all_timers(world)
    assert (await file_of(world, case.id)).state.reason == "SUB_CASE_WITHDRAWN"


async def test_a_sub_case_whose_form_is_not_complete_is_tried_again_and_then_parked(world: World) -> None:
    case = await opened(world, "")
    await all_timers(world)
    assert isinstance(world.clock, MovingClock)
    world.clock.forward(seconds=5)
    await all_timers(world)
    state = (await file_of(world, case.id)).state
    assert (state.status, state.step("part").reason) == (CaseStatus.PARKED, "SUB_CASE_INVALID")
    with acting_as(OPERATOR):
        ended = await world.operators.compensate(OnStep("q", case.id, "part", "it never will"))
    assert ended.status is CaseStatus.REFUSED


def problems_of(**more: Any) -> list[str]:
    with pytest.raises(DefinitionInvalid) as caught:
        workflows_of(OTHER, plan_of(step("part", "sub_case", **more)))
    return [problem.code.value for problem in caught.value.problems]


def test_sub_cases_are_checked_against_the_matter_that_they_open() -> None:
    assert problems_of(matter="nothing") == [ProblemCode.MATTER_UNKNOWN.value]
    assert problems_of(matter="sample") == [ProblemCode.MATTER_CYCLE.value]
    assert problems_of(answers={"x": "'y'"}) == [ProblemCode.FIELD_UNKNOWN.value]
    assert problems_of(output={"x": "steps.ask.output.nothing"}) == [ProblemCode.OUTPUT_UNKNOWN.value]
    assert problems_of(output={"x": "steps.nobody.output.x"}) == [ProblemCode.STEP_UNKNOWN.value]
