# SPDX-License-Identifier: Apache-2.0
"""Figures of cases that have ended: counted once, found again by the door, and of few nothing but their number."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.history import Outcome
from services.gateway.domain.statistics import GROWTH, StatisticsSpanTooLong, _class_of, quantile
from services.gateway.events import to_wire
from services.gateway.service.commands import CreateCase, SubmitCase
from services.gateway.service.statistics import StatisticDesk
from services.gateway.service.steps import ToldAnswer
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from tests.support.gateway_door import doorway
from tests.support.gateway_matters import NOW, field, plan_of, step, workflows_of
from tests.support.gateway_world import RESIDENT, MovingClock, World
from tests.support.probe import resources

TODAY = date(2026, 11, 23)
PREFILL = {"source": "identity", "field": "name", "basis": "b"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    plan = plan_of(step("a", "verify"), form=(field("own"), field("name", prefill=PREFILL)))
    clock = MovingClock()
    given_ = resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path, clock)
    async with SqlGatewayStore.open(given_, encode=to_wire) as store:
        yield World(store, workflows_of(plan), clock)


async def ended(world: World, number: int, outcome: Outcome = Outcome.DONE, **answers: str) -> str:
    with acting_as(RESIDENT):
        command = CreateCase("sample", {"own": "x", **answers}, idempotency_key=f"c{number}")
        case = await world.service.create_case(command)
        await world.service.submit_case(SubmitCase(case.id, idempotency_key=f"s{number}"))
    world.clock.forward(minutes=10)  # type: ignore[attr-defined]
    told = ToldAnswer("identity", case.id, "a", 1, outcome, "NO" if outcome is Outcome.REFUSED else "")
    await world.steps.answered(told, delivery_id=f"d{number}")
    return case.id


def desk(world: World) -> StatisticDesk:
    return StatisticDesk(world.store, world.workflows)  # type: ignore[arg-type] # the real store


async def test_a_case_is_counted_once_however_often_it_is_told(world: World) -> None:
    statistics = desk(world)
    for number in range(6):
        outcome = Outcome.REFUSED if number == 5 else Outcome.DONE
        answers = {"name": "Other"} if number == 0 else {}
        case_id = await ended(world, number, outcome, **answers)
        for _ in range(2):
            await statistics.count(case_id)
    (matter,) = await statistics.between(TODAY, TODAY)
    assert (matter.cases.number, matter.outcomes) == (6, {"completed": 5, "refused": 1})
    assert (matter.fields, matter.filled, matter.not_asked) == (12, 5, round(5 / 12, 3))
    assert matter.cases.median_seconds == pytest.approx(600, rel=0.05)
    (department,) = matter.departments
    assert (department.role, department.steps.number, department.steps.on_time) == ("hospital", 6, 1.0)
    assert matter.visits_saved == 6


async def test_of_fewer_than_five_cases_only_the_number_is_told(world: World) -> None:
    statistics = desk(world)
    for number in range(4):
        await statistics.count(await ended(world, number))
    (matter,) = await statistics.between(TODAY, TODAY)
    assert (matter.cases.number, matter.cases.median_seconds, matter.cases.on_time) == (4, None, None)
    assert matter.not_asked is None


async def test_days_outside_are_not_in_it_and_a_year_is_the_most(world: World) -> None:
    statistics = desk(world)
    await statistics.count(await ended(world, 0))
    assert await statistics.between(TODAY - timedelta(days=9), TODAY - timedelta(days=1)) == ()
    with pytest.raises(StatisticsSpanTooLong):
        await statistics.between(TODAY - timedelta(days=367), TODAY)


async def test_an_open_case_is_not_counted(world: World) -> None:
    with acting_as(RESIDENT):
        case = await world.service.create_case(CreateCase("sample", idempotency_key="k"))
    await desk(world).count(case.id)
    assert await desk(world).between(TODAY, TODAY) == ()


async def test_the_door_needs_no_account(world: World) -> None:
    statistics = desk(world)
    for number in range(5):
        await statistics.count(await ended(world, number))
    async with doorway(statistics=statistics) as door:
        body = (await door.client.get("/api/v1/statistics")).json()
        assert (body["from"], body["to"]) == ("2026-08-26", "2026-11-23")
        assert body["matters"][0]["cases"]["number"] == 5
        assert body["matters"][0]["departments"][0]["department"]["role"] == "hospital"
        assert {each["name"]: each["reduction"] for each in body["comparators"]} == {"materials": 0.74, "time": 0.72}
        bad = await door.client.get("/api/v1/statistics", params={"from": "2026-02-30"})
        assert (bad.status_code, bad.json()["violations"][0]["field"]) == (400, "from")
        long = await door.client.get("/api/v1/statistics", params={"from": "2020-01-01"})
        assert (long.status_code, long.json()["reason"]) == (409, "STATISTICS_SPAN_TOO_LONG")


@given(st.lists(st.floats(1, 1e8), min_size=1, max_size=60), st.sampled_from([0.5, 0.9]))
def test_quantiles_from_classes_are_off_by_a_twentieth_at_most(seconds: list[float], share: float) -> None:
    sums: dict[str, int] = {}
    for each in seconds:
        name = _class_of(NOW, NOW + timedelta(seconds=each))
        sums[name] = sums.get(name, 0) + 1
    found = quantile(sums, share)
    ordered = sorted(seconds)
    exact = next(value for at, value in enumerate(ordered, 1) if at >= share * len(ordered) - 1e-9)
    assert found is not None
    assert exact / GROWTH**0.51 - 0.1 <= found <= exact * GROWTH**0.51 + 0.1
