# SPDX-License-Identifier: Apache-2.0
"""Long histories: ten thousand events, and nobody reads them from the beginning."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from services.gateway.domain.advance import Answer, react_to_answer, react_to_retry, submit
from services.gateway.domain.case import CaseState, StepState, fold
from services.gateway.domain.history import Event, Outcome
from services.gateway.domain.parking import Parked, resume
from services.gateway.events import to_wire
from services.gateway.service.ports import CaseFile
from services.gateway.service.steps import ToldAnswer
from services.gateway.store import SqlGatewayStore
from services.gateway.store.snapshots import EVERY
from services.kit.caller import Caller, CallerKind, acting_as
from tests.support.gateway_matters import CASE, NOW, field, opened, plan_of, step, workflows_of
from tests.support.gateway_world import MovingClock, World
from tests.support.probe import resources

LONG = 10_000
BATCH = 500
PLAN = plan_of(
    step("a", "fetch", retry={"max": 50}),
    step("b", needs=["a"], input={"n": "answers.name"}),
    form=(field("name"),),
    retries_max=10_000,
)


def long_history() -> list[Event]:
    """A source that was away for a very long time, and operators who never gave up."""
    history: list[Event] = [opened(PLAN, {"name": "王小五"})]
    state = fold(history)

    def take(events: tuple[Event, ...]) -> None:
        nonlocal state
        history.extend(events)
        state = fold(events, state)

    take(submit(PLAN, CASE, state, NOW))
    while len(history) < LONG:
        attempt = state.step("a").attempt
        away = Answer("a", attempt, Outcome.UNAVAILABLE, "SOURCE_DOWN")
        take(react_to_answer(PLAN, CASE, state, away, NOW))
        if state.parked_step:
            take(resume(Parked(PLAN, CASE, state, "a", "operator:op", "again", NOW)))
        else:
            take(react_to_retry(PLAN, CASE, state, "a", attempt + 1, now=NOW))
    return history


@pytest.fixture
async def stores(database: str, tmp_path: Path) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        stack.enter_context(acting_as(Caller(CallerKind.SERVICE, "gateway")))
        yield stack


async def test_ten_thousand_events_are_read_from_the_last_snapshot(
    stores: AsyncExitStack, database: str, tmp_path: Path
) -> None:
    async def cold() -> SqlGatewayStore:
        """A process that has read nothing yet."""
        opening = SqlGatewayStore.open(resources(database, tmp_path, clock=MovingClock()), encode=to_wire)
        return await stores.enter_async_context(opening)

    writer = await cold()
    history = long_history()
    first = history[0]
    async with writer.transaction() as tx:
        await tx.open_case(CASE, PLAN, first)
    before = CaseFile(CASE, "", fold([first]))
    for start in range(1, len(history), BATCH):
        part = history[start : start + BATCH]
        after = replace(before, state=fold(part, before.state))
        async with writer.transaction() as tx:
            await tx.append(before, after, part)
        before = after
    whole: CaseState = fold(history)
    assert whole.version >= LONG

    reader = await cold()
    found = await reader.case_file(CASE)
    assert found is not None
    assert found.state == whole

    # What is not there can't have been read.
    old = await cold()
    events = old.metadata.tables["case_event"]
    async with old.transaction() as tx:
        await tx.connection.execute(delete(events).where(events.c.seq <= whole.version - EVERY - BATCH))
        left = (await tx.connection.execute(select(func.count()).select_from(events))).scalar_one()
    assert left <= EVERY + BATCH
    assert (await old.case_file(CASE)) == found

    world = World(await cold(), workflows_of(PLAN), MovingClock())
    told = ToldAnswer("exchange", CASE, "a", whole.step("a").attempt, Outcome.DONE, output={"status": "valid"})
    await world.steps.answered(told, delivery_id="d-1")
    file = await (await cold()).case_file(CASE)
    assert file is not None
    assert file.state.step("b").state is StepState.RUNNING


async def test_a_snapshot_of_another_release_is_passed_over(
    stores: AsyncExitStack, database: str, tmp_path: Path
) -> None:
    opening = SqlGatewayStore.open(resources(database, tmp_path, clock=MovingClock()), encode=to_wire)
    store = await stores.enter_async_context(opening)
    history = long_history()[: EVERY + 20]
    first = history[0]
    async with store.transaction() as tx:
        await tx.open_case(CASE, PLAN, first)
        before = CaseFile(CASE, "", fold([first]))
        await tx.append(before, replace(before, state=fold(history)), history[1:])
        snapshots = store.metadata.tables["case_snapshot"]
        assert (await tx.connection.execute(select(func.count()).select_from(snapshots))).scalar_one() == 1
        await tx.connection.execute(update(snapshots).values(shape="of another release", body=b"no longer readable"))
    found = await store.case_file(CASE)
    assert found is not None
    assert found.state == fold(history)
