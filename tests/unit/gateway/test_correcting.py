# SPDX-License-Identifier: Apache-2.0
"""Corrections: asked once and completely, made once and completely, or the case counts as withdrawn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.case import CaseStatus
from services.gateway.domain.correcting import correct, react_to_correction_limit
from services.gateway.domain.dealings import ask_correction
from services.gateway.domain.history import CorrectionItem
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import (
    AnswersInvalid,
    AnswersMissing,
    CorrectionInvalid,
    CorrectionNotAsked,
    CorrectionRepeated,
)
from services.gateway.events import to_wire
from services.gateway.service import CreateCase, SubmitCase
from services.gateway.service.engine import Turn
from services.gateway.service.life import OnCase
from services.gateway.service.ports import GatewayStore, TaskRow
from services.gateway.service.tasks import deal
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_matters import CASE, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_run import Run
from tests.support.gateway_world import CLINIC, RESIDENT, MovingClock, World
from tests.support.probe import resources

IDENTITY = {"source": "identity", "field": "name", "basis": "law"}
FORM = (
    field("name", required=True),
    field("day", "date"),
    field("own", read_only=True, prefill=IDENTITY),
    field("more"),
)
LOOK = step("look", input={"name": "answers.name"}, time_limit="P1D")
PLAN = plan_of(LOOK, step("other"), form=FORM, correction_limit="P10D")
PAST = plan_of(LOOK, step("other", pivot=True), form=FORM, correction_limit="P10D")
DAYS = timedelta(days=10)


def items(*names: str) -> list[CorrectionItem]:
    return [CorrectionItem(name, Text("有误", "Is wrong")) for name in names]


class Corrected(Run):
    """A case whose departments ask."""

    def ask(self, *names: str, by: str = "look") -> None:
        event = ask_correction(self.plan, self.state.dealings, by, items(*names), "agency:x", now=self.now)
        self.take((event,))

    def correct(self, **answers: str) -> list[str]:
        return self.take(correct(self.plan, CASE, self.state, answers, self.now))

    def limit(self) -> list[str]:
        return self.take(react_to_correction_limit(self.plan, CASE, self.state, "look", 1, now=self.now))


def run(plan: Plan = PLAN) -> Corrected:
    return Corrected(plan, {"name": "小明"})


def test_what_was_asked_for_is_corrected_at_once_and_the_task_needs_the_new_answer() -> None:
    case = run()
    case.ask("name", "day")
    assert case.status() is CaseStatus.CORRECTION_REQUIRED
    assert case.correct(name="小红", day="2026-11-01") == ["CorrectionMade"]
    assert case.status() is CaseStatus.SUBMITTED
    assert case.state.answers["name"] == "小红"
    (task,) = case.effects.renewed
    assert (task.step_id, task.attempt, task.input) == ("look", 1, {"name": "小红"})


def test_nothing_less_and_nothing_else_is_corrected() -> None:
    case = run()
    case.ask("name", "day")
    with pytest.raises(AnswersMissing) as missing:
        case.correct(name="小红")
    assert [one.field for one in missing.value.violations] == ["answers.day"]
    with pytest.raises(AnswersInvalid) as other:
        case.correct(name="小红", day="2026-11-01", more="x")
    assert [one.field for one in other.value.violations] == ["answers.more"]
    with pytest.raises(AnswersInvalid):
        case.correct(name="小红", day="yesterday")


def test_an_agency_asks_again_only_for_what_was_corrected_and_not_for_ever() -> None:
    case = run()
    case.ask("name")
    with pytest.raises(CorrectionRepeated):  # It is being corrected.
        case.ask("name")
    case.correct(name="小红")
    with pytest.raises(CorrectionRepeated):
        case.ask("day")
    with pytest.raises(CorrectionRepeated):
        case.ask("name", "day")
    for name in ("小刚", "小李"):
        case.ask("name")
        case.correct(name=name)
    with pytest.raises(CorrectionRepeated):
        case.ask("name")


def test_what_only_a_source_fills_is_not_asked_of_the_applicant() -> None:
    with pytest.raises(CorrectionInvalid):
        run().ask("own")


def test_a_case_whose_corrections_are_not_made_in_time_counts_as_withdrawn_and_says_so() -> None:
    case = run()
    case.ask("name")
    assert case.limit() == []
    case.now += DAYS
    assert case.limit() == ["CaseGivenUp", "CaseEnded"]
    assert (case.status(), case.state.reason) == (CaseStatus.WITHDRAWN, "CORRECTION_NOT_MADE")
    with pytest.raises(CorrectionNotAsked, match="the time for corrections was over"):
        case.correct(name="小红")


def test_past_the_pivot_the_agency_decides_on_what_it_has() -> None:
    case = run(PAST)
    case.answer("other")
    case.ask("name")
    case.now += DAYS
    assert case.limit() == []
    assert case.status() is CaseStatus.CORRECTION_REQUIRED
    case.answer("look")
    assert case.status() is CaseStatus.COMPLETED


def test_an_agency_that_answers_all_the_same_waits_for_no_correction() -> None:
    case = run()
    case.ask("name")
    case.answer("look")
    assert case.state.open_corrections == {}
    with pytest.raises(CorrectionNotAsked):
        case.correct(name="小红")


ACTS: dict[str, Callable[[Corrected], object]] = {
    "ask": lambda case: case.ask("name") if case.state.running else None,
    "correct": lambda case: case.correct(name="小红"),
    "limit": Corrected.limit,
    "later": lambda case: setattr(case, "now", case.now + DAYS),
    "answer": lambda case: case.answer("look"),
    "cancel": lambda case: case.cancel() if case.state.running else None,
}


@given(st.lists(st.sampled_from(sorted(ACTS)), max_size=12))
def test_whatever_comes_in_whatever_order_a_correction_is_open_or_made_or_void(acts: list[str]) -> None:
    case = run()
    for act in acts:
        before = case.state
        try:
            ACTS[act](case)
        except (CorrectionRepeated, CorrectionNotAsked):
            assert case.state == before
        asked, made = case.state.dealings.asked.get("look", ()), case.state.dealings.corrected.get("look", frozenset())
        assert len(asked) <= 3
        assert made <= {"name"}
        assert case.state.running or not case.state.open_corrections


# ---- with a store ----


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayStore]:
    if request.param == "memory":
        yield MemoryGatewayStore()
        return
    async with SqlGatewayStore.open(resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path), encode=to_wire) as sql:
        yield sql


@pytest.fixture
def world(store: GatewayStore) -> World:
    plan = plan_of(
        step("look", input={"name": "answers.name"}, time_limit="P1D"),
        form=(field("name", required=True),),
        correction_limit="P10D",
    )
    return World(store, workflows_of(plan), MovingClock())


@pytest.fixture(autouse=True)
def signed_in() -> Iterator[None]:
    with acting_as(RESIDENT):
        yield


async def asked(world: World) -> tuple[str, TaskRow]:
    """A case whose department asks for a name."""
    draft = await world.service.create_case(CreateCase("sample", {"name": "小明"}))
    await world.service.submit_case(SubmitCase(draft.id))
    with acting_as(CLINIC):
        tasks = world.tasks.take([], 1)
        task = await anext(tasks)
        await tasks.aclose()  # type: ignore[attr-defined] # it is a generator

        async def work(turn: Turn) -> None:
            await deal(
                turn,
                task,
                lambda plan, state, step_id: ask_correction(
                    plan, state.dealings, step_id, items("name"), "agency:x", now=world.clock()
                ),
            )

        await world.engine.transact(work)
    return draft.id, task


def on(case_id: str) -> OnCase:
    return OnCase(case_id, new_id())


async def test_the_task_stays_with_whoever_asked_and_needs_what_was_corrected(world: World) -> None:
    case_id, before = await asked(world)
    shown = await world.service.case(case_id)
    assert [(one.name, one.words.zh, one.until) for one in shown.to_correct] == [("name", "有误", world.clock() + DAYS)]
    case = await world.life.own.correct(on(case_id), {"name": "小红"})
    assert (case.status, case.answers, case.to_correct) == (CaseStatus.SUBMITTED, {"name": "小红"}, ())
    async with world.store.transaction() as tx:
        after = await tx.task(before.task_id)
    assert after is not None
    assert (after.lease_token, after.state, after.input) == (before.lease_token, before.state, {"name": "小红"})
    assert "correction_made" in [entry.kind for entry in await world.service.timeline(case_id)]


async def test_the_departments_own_limit_does_not_run_while_the_applicant_corrects(world: World) -> None:
    case_id, _ = await asked(world)
    world.clock.forward(days=2)  # type: ignore[attr-defined] # it is a clock that moves
    while await world.timers.fire():
        pass
    assert (await world.service.case(case_id)).status is CaseStatus.CORRECTION_REQUIRED
    await world.life.own.correct(on(case_id), {"name": "小红"})
    world.clock.forward(days=2)  # type: ignore[attr-defined] # the same
    while await world.timers.fire():
        pass
    assert (await world.service.case(case_id)).status is CaseStatus.PARKED


@pytest.mark.parametrize("first", ["correction", "limit"])
async def test_of_a_correction_and_its_limit_at_once_one_wins_and_the_other_is_told_why(
    world: World, first: str
) -> None:
    case_id, _ = await asked(world)
    world.clock.forward(days=10)  # type: ignore[attr-defined] # it is a clock that moves

    async def fire() -> None:
        while await world.timers.fire():
            pass

    both = [world.life.own.correct(on(case_id), {"name": "小红"}), fire()]
    told = await asyncio.gather(*(both if first == "correction" else both[::-1]), return_exceptions=True)
    refused = [one for one in told if isinstance(one, Exception)]
    case = await world.service.case(case_id)
    assert all(isinstance(one, CorrectionNotAsked) and "time for corrections" in one.message for one in refused)
    assert (case.status is CaseStatus.WITHDRAWN) == bool(refused)
