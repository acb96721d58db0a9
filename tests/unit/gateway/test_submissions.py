# SPDX-License-Identifier: Apache-2.0
"""A resident has so many cases under way and submits so many a day; one more is refused and its draft stays as it was."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.gateway.domain.history import Outcome
from services.gateway.domain.refusals import TooManyCases, TooManySubmissions
from services.gateway.service import CaseStatus, CaseView, CreateCase, SubmitCase
from services.gateway.service.steps import ToldAnswer
from services.kit.caller import acting_as
from services.kit.errors import Unavailable
from tests.support.gateway_matters import NOW, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import BOUNDS, NEIGHBOR, RESIDENT, MovingClock, World

PREFILL = {"source": "exchange", "resource": "307001/000001", "field": "name", "agency": "hospital", "basis": "law"}
PLAN = plan_of(step("a", "verify"), form=(field("spouse", prefill=PREFILL),))
OTHER = plan_of(step("a", "verify"), code="other")


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture(autouse=True)
def signed_in() -> Iterator[None]:
    with acting_as(RESIDENT):
        yield


def world_of(clock: MovingClock, *, open_cases: int = 20, submissions_per_day: int = 20) -> World:
    bounds = replace(BOUNDS, open_cases=open_cases, submissions_per_day=submissions_per_day)
    return World(MemoryGatewayStore(clock), workflows_of(PLAN, OTHER), clock, bounds=bounds)


async def draft(world: World, matter: str = "sample") -> CaseView:
    return await world.service.create_case(CreateCase(matter))


async def submit(world: World, case: CaseView) -> CaseView:
    return await world.service.submit_case(SubmitCase(case.id, idempotency_key=f"s-{case.id}"))


async def end(world: World, case: CaseView) -> None:
    told = ToldAnswer("identity", case.id, "a", 1, Outcome.DONE, output={"result": "match"})
    await world.steps.answered(told, delivery_id=case.id)


async def test_one_more_case_is_refused_until_one_of_the_matter_ends(clock: MovingClock) -> None:
    world = world_of(clock, open_cases=2)
    first, second = [await submit(world, await draft(world)) for _ in range(2)]
    third = await draft(world)
    with pytest.raises(TooManyCases, match="2 cases") as full:
        await submit(world, third)
    assert full.value.remedy.endswith("the draft is kept.")
    assert full.value.retry_after_seconds == 3600
    assert await world.service.case(third.id) == third
    assert await submit(world, first) == await world.service.case(first.id)
    await submit(world, await draft(world, "other"))
    await end(world, second)
    assert (await submit(world, third)).status is CaseStatus.SUBMITTED
    with acting_as(NEIGHBOR):
        await submit(world, await draft(world))


async def test_a_refused_submission_asks_nobody_for_anything(clock: MovingClock) -> None:
    world = world_of(clock, open_cases=1)
    await submit(world, await draft(world))
    world.exchange.trouble = Unavailable("away")
    waiting = await draft(world)
    asked = len(world.exchange.questions)
    store = world.store
    assert isinstance(store, MemoryGatewayStore)
    before = store.kept.snapshot()
    with pytest.raises(TooManyCases):
        await submit(world, waiting)
    assert len(world.exchange.questions) == asked
    assert store.kept == before


async def test_so_many_are_submitted_a_day_and_the_next_ones_after_midnight_in_china(clock: MovingClock) -> None:
    world = world_of(clock, submissions_per_day=3)
    for matter in ("sample", "other", "sample"):
        await end(world, await submit(world, await draft(world, matter)))
    more = await draft(world)
    clock.now = NOW.replace(hour=15, minute=59)
    with pytest.raises(TooManySubmissions, match="3 cases a day") as full:
        await submit(world, more)
    assert full.value.remedy == "Submit it tomorrow; the draft is kept."
    assert full.value.retry_after_seconds == 60
    assert (await world.service.case(more.id)).status is CaseStatus.DRAFT
    clock.forward(minutes=1)
    assert (await submit(world, more)).status is CaseStatus.SUBMITTED
