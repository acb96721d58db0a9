# SPDX-License-Identifier: Apache-2.0
"""Signals, signatures, withdrawals, and what operators do: through the desks, each by whom it is for, each once."""

import pytest

from services.gateway.domain.history import Outcome
from services.gateway.domain.refusals import (
    CaseNotFound,
    CaseNotParked,
    CaseNotUnderWay,
    RoleUnknown,
    SignalUnknown,
    SignatureNotAsked,
)
from services.gateway.service import CaseStatus, CaseView, CreateCase, SubmitCase
from services.gateway.service.life import OnCase
from services.gateway.service.operating import OnStep
from services.gateway.service.outside import SignalCase, SignStepOf
from services.gateway.service.steps import ToldAnswer
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import PageTokenInvalid, RequestIdReused, RightMissing
from tests.support.gateway_matters import FATHER, POLICE, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import CLINIC, NEIGHBOR, OPERATOR, RESIDENT, MovingClock, World

CO_SIGNER = Caller(CallerKind.CITIZEN, FATHER, token="t")
OTHER_OPERATOR = Caller(CallerKind.OPERATOR, "two", frozenset({"gateway.cases"}))
OTHER_AGENCY = Caller(CallerKind.AGENCY, POLICE, frozenset({"gateway.signals"}), agency=POLICE)
PLAN = plan_of(
    step("seen", "wait", signal="inspected", output={"grade": "text"}),
    step("signed", "sign", shown={"name": "answers.name"}),
    step("fact", "fetch"),
    step("kept", "task", after=["seen"], undo={"operation": "take_back"}),
    form=(field("name"),),
)


@pytest.fixture
def world() -> World:
    return World(MemoryGatewayStore(), workflows_of(PLAN), MovingClock())


@pytest.fixture
async def case(world: World) -> CaseView:
    with acting_as(RESIDENT):
        draft = await world.service.create_case(CreateCase("sample", {"name": "小明"}))
        return await world.service.submit_case(SubmitCase(draft.id))


async def state_of(world: World, case: CaseView, step_id: str) -> str:
    with acting_as(RESIDENT):
        now = await world.service.case(case.id)
    return next(one.state for one in now.steps if one.id == step_id)


async def test_a_signal_is_taken_once_and_only_from_the_agency_that_gives_it(world: World, case: CaseView) -> None:
    command = SignalCase("q-1", case.id, "inspected", {"grade": "A"})
    with acting_as(OTHER_AGENCY), pytest.raises(SignalUnknown):
        await world.outside.signal(command)
    with acting_as(Caller(CallerKind.AGENCY, CLINIC.id, agency=CLINIC.id)), pytest.raises(RightMissing):
        await world.outside.signal(command)
    with acting_as(CLINIC):
        first = await world.outside.signal(command)
        assert (await world.outside.signal(command)).state.version == first.state.version
        with pytest.raises(RequestIdReused):
            await world.outside.signal(SignalCase("q-1", case.id, "inspected", {"grade": "B"}))
    assert await state_of(world, case, "seen") == "done"


async def test_only_who_is_asked_reads_and_signs(world: World, case: CaseView) -> None:
    with acting_as(CO_SIGNER):
        asked = await world.outside.asked(case.id, "signed")
        assert (asked.shown, "小明" in repr(asked)) == ({"name": "小明"}, False)
        for _ in range(2):
            await world.outside.sign(SignStepOf("q-1", case.id, "signed", signs=True))
        with pytest.raises(SignatureNotAsked):
            await world.outside.asked(case.id, "signed")
    for who in (RESIDENT, NEIGHBOR):
        with acting_as(who), pytest.raises(SignatureNotAsked):
            await world.outside.sign(SignStepOf("q-2", case.id, "signed", signs=True))
    with acting_as(CO_SIGNER), pytest.raises(SignatureNotAsked):
        await world.outside.asked("nobody", "signed")
    with acting_as(CO_SIGNER), pytest.raises(SignatureNotAsked):
        await world.outside.sign(SignStepOf("q-3", "nobody", "signed", signs=True))
    assert await state_of(world, case, "signed") == "done"


async def test_an_applicant_takes_a_case_back_and_what_was_done_is_undone(world: World, case: CaseView) -> None:
    with acting_as(CLINIC):
        await world.outside.signal(SignalCase("q-1", case.id, "inspected", {"grade": "A"}))
    with acting_as(NEIGHBOR), pytest.raises(CaseNotFound):
        await world.life.own.withdraw(OnCase(case.id, "q-2"))
    with acting_as(RESIDENT):
        for _ in range(2):
            view = await world.life.own.withdraw(OnCase(case.id, "q-3"), "changed my mind")
        assert view.status is CaseStatus.UNDOING
        with pytest.raises(CaseNotUnderWay):
            await world.life.own.withdraw(OnCase(case.id, "q-4"))
    assert await state_of(world, case, "kept") == "canceled"
    assert await state_of(world, case, "seen") == "done"


async def parked(world: World, case: CaseView) -> None:
    told = ToldAnswer("exchange", case.id, "fact", 1, Outcome.UNAVAILABLE, "SOURCE_DOWN")
    await world.steps.answered(told, delivery_id="d-1")


async def test_an_operator_finds_what_is_parked_and_acts_once(world: World, case: CaseView) -> None:
    await parked(world, case)
    with acting_as(OPERATOR):
        page = await world.operators.parked(0, "")
        (standing,) = page.rows
        assert (standing.case_id, standing.status, page.next_token) == (case.id, CaseStatus.PARKED, "")
        assert [(one.step_id, one.reason) for one in standing.parked] == [("fact", "SOURCE_DOWN")]
        with pytest.raises(PageTokenInvalid):
            await world.operators.parked(1, "x")
        first = await world.operators.resume(OnStep("q-1", case.id, "fact", "it is back"))
        assert await world.operators.resume(OnStep("q-1", case.id, "fact", "it is back")) == first
        with pytest.raises(CaseNotParked):
            await world.operators.skip(OnStep("q-2", case.id, "fact", "why not"))
    with acting_as(CLINIC), pytest.raises(RightMissing):
        await world.operators.terminate("q-3", case.id, "why not")


async def test_parked_cases_come_page_by_page(world: World) -> None:
    for _ in range(3):
        with acting_as(RESIDENT):
            draft = await world.service.create_case(CreateCase("sample", {"name": "小明"}))
            one = await world.service.submit_case(SubmitCase(draft.id))
        told = ToldAnswer("exchange", one.id, "fact", 1, Outcome.UNAVAILABLE, "SOURCE_DOWN")
        await world.steps.answered(told, delivery_id=one.id)
    with acting_as(OPERATOR):
        first = await world.operators.parked(2, "")
        rest = await world.operators.parked(2, first.next_token)
    assert len({one.case_id for one in (*first.rows, *rest.rows)}) == 3
    assert rest.next_token == ""


async def test_what_was_done_by_hand_is_confirmed_by_another_operator(world: World, case: CaseView) -> None:
    await parked(world, case)
    with acting_as(OPERATOR):
        await world.operators.propose(OnStep("q-1", case.id, "fact", "by phone"), {"status": "valid", "more": "x"})
    with acting_as(OTHER_OPERATOR):
        await world.operators.confirm(OnStep("q-2", case.id, "fact", "heard it too"))
    file = await world.store.case_file(case.id)
    assert file is not None
    assert dict(file.state.step("fact").output) == {"status": "valid"}


async def test_a_step_is_handed_over_only_to_a_role_that_somebody_has(world: World, case: CaseView) -> None:
    await parked(world, case)
    with acting_as(OPERATOR):
        with pytest.raises(RoleUnknown):
            await world.operators.hand_over(OnStep("q-1", case.id, "fact", "theirs"), "nobody")
        await world.operators.hand_over(OnStep("q-2", case.id, "fact", "theirs"), "police")
    asked = await world.steps.input(case.id, "fact", 2, owner="exchange")
    assert asked.agency == POLICE


async def test_an_operator_ends_a_case_or_gives_up_at_a_step(world: World, case: CaseView) -> None:
    await parked(world, case)
    with acting_as(OPERATOR):
        ended = await world.operators.compensate(OnStep("q-1", case.id, "fact", "it never will"))
        assert ended.status is CaseStatus.REFUSED
    with acting_as(RESIDENT):
        draft = await world.service.create_case(CreateCase("sample", {"name": "小明"}))
        again = await world.service.submit_case(SubmitCase(draft.id))
    with acting_as(OPERATOR):
        assert (await world.operators.terminate("q-2", again.id, "a duplicate")).status is CaseStatus.TERMINATED
        with pytest.raises(RequestIdReused):
            await world.operators.terminate("q-2", case.id, "a duplicate")
