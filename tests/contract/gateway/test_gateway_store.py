# SPDX-License-Identifier: Apache-2.0
"""What the use cases expect of a store: memory, SQLite and PostgreSQL pass the same suite."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.gateway.domain.advance import submit
from services.gateway.domain.bounds import Standing
from services.gateway.domain.case import CaseStatus, fold
from services.gateway.domain.effects import WHOLE_CASE, Effects, NewTask, Notice, Timer, TimerKind, effects_of
from services.gateway.domain.history import AnswersChanged, CaseEnded, CaseOutcome
from services.gateway.domain.inbox import Place
from services.gateway.domain.plan import Plan
from services.gateway.events import to_wire
from services.gateway.service.ports import CaseFile, CaseMoved, GatewayStore, Remembered, TaskRow, TaskState
from services.gateway.store import SqlGatewayStore
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.text import Text
from tests.support.gateway_matters import CASE, HOSPITAL, MOTHER, NOW, field, opened, plan_of, step
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.postgres import fresh_database
from tests.support.probe import resources

PLAN = plan_of(step("a", time_limit="PT1H"), step("b", "verify"), form=(field("name"),))
SOON = NOW + timedelta(seconds=30)
HERE = Place(HOSPITAL)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayStore]:
    with acting_as(Caller(CallerKind.SERVICE, "gateway")):
        if request.param == "memory":
            yield MemoryGatewayStore(lambda: NOW)
        elif request.param == "sqlite":
            given = resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path)
            async with SqlGatewayStore.open(given, encode=to_wire) as sql:
                yield sql
        else:
            async with (
                fresh_database(request.getfixturevalue("postgres")) as url,
                SqlGatewayStore.open(resources(url, tmp_path), encode=to_wire) as sql,
            ):
                yield sql


async def open_case(store: GatewayStore, case_id: str = CASE, *, minutes: int = 0, receipt: str = "r-1") -> CaseFile:
    event = replace(opened(PLAN, {"name": "王小五"}), receipt=receipt, at=NOW + timedelta(minutes=minutes))
    async with store.transaction() as tx:
        await tx.open_case(case_id, PLAN, event)
    file = await store.case_file(case_id)
    assert file is not None
    return file


async def submitted(store: GatewayStore, plan: Plan = PLAN) -> CaseFile:
    before = await open_case(store)
    events = submit(plan, CASE, before.state, NOW)
    after = CaseFile(CASE, "00-" + "a" * 32 + "-" + "b" * 16 + "-01", fold(events, before.state))
    async with store.transaction() as tx:
        await tx.append(before, after, events)
        effects = effects_of(plan, CASE, before.state, after.state, events)
        await tx.carry_out(effects, [HERE] * len(effects.tasks))
    return after


async def leased(store: GatewayStore, holder: str = "h", *, limit: int = 10, minutes: int = 0) -> list[TaskRow]:
    now = NOW + timedelta(minutes=minutes)
    async with store.transaction() as tx:
        found = await tx.lease_tasks(HOSPITAL, [], holder, now=now, until=now + timedelta(seconds=30), most=limit)
    return list(found)


async def test_a_case_comes_back_as_the_fold_of_its_history(store: GatewayStore) -> None:
    assert await store.case_file(CASE) is None
    after = await submitted(store)
    assert await store.case_file(CASE) == after
    events = await store.events_after(CASE, 0)
    assert [seq for seq, _ in events] == [1, 2, 3, 4]
    assert fold(event for _, event in events) == after.state
    assert [seq for seq, _ in await store.events_after(CASE, 3)] == [4]
    assert await store.definition_of(PLAN.digest) == PLAN.matter.canonical()


async def test_drafts_are_counted_until_they_are_submitted_or_deleted(store: GatewayStore) -> None:
    assert await store.drafts_of(MOTHER) == 0
    draft = await open_case(store, CASE.replace("1", "2"), receipt="r-2")
    await submitted(store)
    assert await store.drafts_of(MOTHER) == 1
    event = replace(opened(PLAN), receipt="r-3")
    async with store.transaction() as tx:
        assert await tx.open_case(CASE.replace("1", "3"), PLAN, event) == 2
        await tx.delete_draft(draft)
    assert await store.drafts_of(MOTHER) == 1


async def test_cases_are_open_until_they_end_and_submissions_are_of_their_day(store: GatewayStore) -> None:
    assert await store.standing(MOTHER, "sample", NOW) == Standing(0, 0)
    await open_case(store, CASE.replace("1", "2"), receipt="r-2")
    open_ = await submitted(store)
    assert await store.standing(MOTHER, "sample", NOW) == Standing(1, 1)
    assert await store.standing(MOTHER, "another", NOW) == Standing(0, 1)
    assert await store.standing("another", "sample", NOW) == Standing(0, 0)
    end = [CaseEnded(NOW, CaseOutcome.COMPLETED)]
    async with store.transaction() as tx:
        await tx.append(open_, replace(open_, state=fold(end, open_.state)), end)
        assert await tx.standing(MOTHER, "sample", NOW) == Standing(0, 1)
        assert await tx.standing(MOTHER, "sample", SOON) == Standing(0, 0)


async def test_of_a_deleted_draft_nothing_is_left(store: GatewayStore) -> None:
    draft = await open_case(store)
    async with store.transaction() as tx:
        await tx.put_timer(Timer(CASE, WHOLE_CASE, TimerKind.DRAFT, 0, SOON))
        await tx.delete_draft(draft)
    store.forget(CASE)
    assert await store.case_file(CASE) is None
    assert await store.find("r-1") is None
    assert await store.events_after(CASE, 0) == []
    assert await store.next_due() is None


async def test_of_two_who_write_the_next_event_one_is_refused(store: GatewayStore) -> None:
    before = await open_case(store)
    change = [AnswersChanged(NOW, {"name": "x"})]
    after = CaseFile(CASE, "", fold(change, before.state))
    async with store.transaction() as tx:
        await tx.append(before, after, change)

    async def again() -> None:
        async with store.transaction() as tx:
            await tx.append(before, after, change)

    with pytest.raises(CaseMoved):
        await again()
    assert len(await store.events_after(CASE, 0)) == 2


async def test_what_is_undone_leaves_nothing(store: GatewayStore) -> None:
    async def undone() -> None:
        async with store.transaction() as tx:
            await tx.open_case(CASE, PLAN, opened(PLAN))
            await tx.remember("citizen:x", "key", Remembered("f", CASE))
            assert await tx.first_sight("d-1")
            await tx.next_serial("20261123")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    assert await store.case_file(CASE) is None
    assert await store.remembered("citizen:x", "key") is None
    async with store.transaction() as tx:
        assert await tx.first_sight("d-1")
        assert not await tx.first_sight("d-1")
        assert await tx.next_serial("20261123") == 1
        assert await tx.next_serial("20261123") == 2
        assert await tx.next_serial("20261124") == 1


async def test_a_case_is_found_by_id_and_by_receipt(store: GatewayStore) -> None:
    await open_case(store)
    for name in (CASE, "r-1"):
        row = await store.find(name)
        assert row is not None
        assert (row.case_id, row.receipt, row.applicant_id, row.status) == (CASE, "r-1", MOTHER, CaseStatus.DRAFT)
    assert await store.find("nobody") is None


async def test_cases_are_listed_newest_first_and_page_by_page(store: GatewayStore) -> None:
    ids = [f"7c9d4c1a-0000-4000-8000-{number:012d}" for number in range(5)]
    for number, case_id in enumerate(ids):
        await open_case(store, case_id, minutes=number // 2, receipt=f"r-{number}")
    first = await store.cases_of(MOTHER, 3, None)
    assert [row.case_id for row in first] == [ids[4], ids[3], ids[2]]
    rest = await store.cases_of(MOTHER, 3, (first[-1].created, first[-1].case_id))
    assert [row.case_id for row in rest] == [ids[1], ids[0]]
    assert await store.cases_of("somebody-else", 3, None) == []


async def test_a_key_stands_for_the_first_request(store: GatewayStore) -> None:
    async with store.transaction() as tx:
        assert await tx.remember("citizen:x", "key", Remembered("f", CASE)) is None
        assert await tx.remember("citizen:x", "key", Remembered("g", "other")) == Remembered("f", CASE)
        assert await tx.remember("citizen:y", "key", Remembered("g", "other")) is None
    assert await store.remembered("citizen:x", "key") == Remembered("f", CASE)


async def test_a_task_is_held_by_one_until_its_lease_runs_out(store: GatewayStore) -> None:
    await submitted(store)
    assert await store.has_tasks(HOSPITAL, [], NOW)
    assert not await store.has_tasks(HOSPITAL, ["other"], NOW)
    assert not await store.has_tasks("other", [], NOW)
    (mine,) = await leased(store, "me")
    assert (mine.state, mine.step_id, mine.lease_until) == (TaskState.LEASED, "a", SOON)
    assert await leased(store, "you") == []
    (yours,) = await leased(store, "you", minutes=1)
    assert yours.task_id == mine.task_id
    assert yours.lease_token != mine.lease_token


async def test_a_holder_gets_no_more_than_it_can_hold(store: GatewayStore) -> None:
    await open_case(store)
    tasks = tuple(NewTask(CASE, f"s{n}", 1, "hospital", "do", "sample", Text("题", "T"), {"n": n}) for n in range(5))
    async with store.transaction() as tx:
        await tx.carry_out(Effects(tasks=tasks), [HERE] * len(tasks))
    assert len(await leased(store, "me", limit=2)) == 2
    assert await leased(store, "me", limit=2) == []
    assert len(await leased(store, "me", limit=3)) == 1
    assert len(await leased(store, "me", limit=2, minutes=1)) == 2


async def test_a_longer_lease_holds_longer(store: GatewayStore) -> None:
    await submitted(store)
    (mine,) = await leased(store, "me")
    async with store.transaction() as tx:
        await tx.renew_lease(mine.task_id, NOW + timedelta(minutes=5))
    assert await leased(store, "you", minutes=1) == []


async def test_no_task_goes_to_two_who_take_at_once(store: GatewayStore) -> None:
    await open_case(store)
    tasks = tuple(NewTask(CASE, f"s{n}", 1, "hospital", "do", "sample", Text("题", "T"), {"n": n}) for n in range(6))
    async with store.transaction() as tx:
        await tx.carry_out(Effects(tasks=tasks), [HERE] * len(tasks))
    found = await asyncio.gather(*(leased(store, f"h{n}", limit=3) for n in range(4)))
    ids = [task.task_id for each in found for task in each]
    assert len(ids) == len(set(ids))
    ids += [task.task_id for task in await leased(store, "rest")]
    assert len(set(ids)) == 6


async def test_an_answered_task_keeps_no_input(store: GatewayStore) -> None:
    await submitted(store, PLAN)
    (task,) = await leased(store)
    async with store.transaction() as tx:
        assert not await tx.finish_task(replace(task, lease_token="x"), TaskState.DONE, "q", "d")
        assert await tx.finish_task(task, TaskState.DONE, "q", "d")
        assert not await tx.finish_task(task, TaskState.DONE, "q", "d")
        after = await tx.task(task.task_id)
    assert after is not None
    assert (after.state, after.request_id, after.answer_digest, after.input) == (TaskState.DONE, "q", "d", {})
    assert not await store.has_tasks(HOSPITAL, [], NOW + timedelta(days=1))


async def test_closing_a_step_takes_its_task_and_timers_along(store: GatewayStore) -> None:
    await submitted(store)
    assert await store.next_due() == NOW + timedelta(hours=1)
    async with store.transaction() as tx:
        await tx.carry_out(Effects(closed_tasks=((CASE, "b"),), closed_timers=((CASE, "b"),)), [])
    assert await store.has_tasks(HOSPITAL, [], NOW)
    async with store.transaction() as tx:
        await tx.carry_out(Effects(closed_tasks=((CASE, "a"),), closed_timers=((CASE, "a"),)), [])
    assert not await store.has_tasks(HOSPITAL, [], NOW)
    assert await store.next_due() is None


async def test_ending_a_case_takes_everything_along(store: GatewayStore) -> None:
    await submitted(store)
    notice = Notice(CASE, "n", MOTHER, Text("完", "Done"))
    async with store.transaction() as tx:
        await tx.carry_out(Effects(ended=CASE, notices=(notice,)), [])
    assert not await store.has_tasks(HOSPITAL, [], NOW)
    assert await store.next_due() is None


async def test_timers_come_when_they_are_due_and_once(store: GatewayStore) -> None:
    late = Timer(CASE, "a", TimerKind.RETRY, 2, NOW + timedelta(minutes=2))
    early = Timer(CASE, "b", TimerKind.LIMIT, 1, NOW + timedelta(minutes=1))
    await open_case(store)
    async with store.transaction() as tx:
        await tx.put_timer(replace(late, attempt=9))
        await tx.put_timer(late)
        await tx.put_timer(early)
    assert await store.next_due() == early.due
    async with store.transaction() as tx:
        assert await tx.take_due_timer(NOW) is None
        assert await tx.take_due_timer(late.due) == early
        assert await tx.take_due_timer(late.due) == late
        assert await tx.take_due_timer(late.due) is None


async def test_a_key_of_any_length_that_the_door_takes_is_remembered(store: GatewayStore) -> None:
    long, what = "k" * 200, Remembered("f", CASE)
    async with store.transaction() as tx:
        assert await tx.remember("citizen:a", long, what) is None
        assert await tx.remember("citizen:a", long, replace(what)) == what
        assert await tx.remembered("citizen:a", long[:-1]) is None
    assert await store.remembered("citizen:a", long) == what


def test_digests_compare_and_tell_nothing_else() -> None:
    store = MemoryGatewayStore()
    assert store.digest("a") == store.digest("a") != store.digest("b")
