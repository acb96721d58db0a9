# SPDX-License-Identifier: Apache-2.0
"""Drafts: opened once, filled from sources, changed by their owner, submitted whole."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.gateway.domain.effects import WHOLE_CASE, Timer, TimerKind
from services.gateway.domain.refusals import (
    AnswersInvalid,
    AnswersMissing,
    CaseNotDraft,
    CaseNotFound,
    CitizenOnly,
    IdempotencyKeyReused,
    MatterNotFound,
    TooManyDrafts,
)
from services.gateway.service import (
    CaseStatus,
    CaseView,
    ChangeAnswers,
    CreateCase,
    DeleteDraft,
    PrefillState,
    SubmitCase,
)
from services.kit.caller import acting_as
from services.kit.errors import NotFound, RightMissing, TooManyRequests, Unavailable, VersionConflict
from services.kit.telemetry import SpanKind
from tests.support.gateway_matters import HOSPITAL, NOW, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import BOUNDS, CLINIC, NEIGHBOR, OPERATOR, RESIDENT, MovingClock, World

IDENTITY = {"source": "identity", "field": "name", "basis": "law"}
MARRIAGE = {
    "source": "exchange",
    "resource": "307001/000001",
    "field": "spouse_name",
    "agency": "hospital",
    "basis": "law",
}
PLAN = plan_of(
    step("a"),
    step("b", optional=True),
    form=(
        field("own", required=True, read_only=True, sensitive=True, prefill=IDENTITY),
        field("spouse", required=True, sensitive=True, prefill=MARRIAGE),
        field("child", required=True),
        field("more"),
    ),
    several_drafts=True,
)
FORM = {"child": "小明", "spouse": "李四"}


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
def world(clock: MovingClock) -> World:
    made = World(MemoryGatewayStore(), workflows_of(PLAN), clock, bounds=replace(BOUNDS, drafts=5))
    made.exchange.values = {"spouse_name": "李大山"}
    return made


@pytest.fixture(autouse=True)
def signed_in() -> Iterator[None]:
    with acting_as(RESIDENT):
        yield


async def test_a_draft_is_filled_from_its_sources_and_shows_them_masked(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", {"child": "小明"}))
    assert case.status is CaseStatus.DRAFT
    assert case.receipt == "11990100000001011X399200000900020261123000001"
    shown = {one.name: one for one in case.prefilled}
    assert (shown["own"].value, shown["own"].source, shown["own"].state) == ("王*花", "identity", PrefillState.FILLED)
    assert (shown["spouse"].value, shown["spouse"].source) == ("李*山", "307001/000001")
    assert (shown["spouse"].basis, shown["spouse"].provider) == ("law", "11990100000001054B")
    assert case.answers == {"child": "小明"}
    (question,) = world.exchange.questions
    assert (question.on_behalf_of, question.purpose, question.case_id) == (HOSPITAL, "sample", case.id)


@pytest.mark.parametrize("trouble", [Unavailable("away"), TooManyRequests("The day's questions are used up.")])
async def test_a_source_that_is_away_for_now_leaves_its_field_empty_and_says_so(
    world: World, trouble: Exception
) -> None:
    world.exchange.trouble = trouble
    case = await world.service.create_case(CreateCase("sample", {"child": "小明"}))
    spouse = next(one for one in case.prefilled if one.name == "spouse")
    reason = getattr(trouble, "reason", "UNAVAILABLE")
    assert (spouse.state, spouse.value, spouse.reason) == (PrefillState.UNAVAILABLE, "", reason)
    with pytest.raises(AnswersMissing) as caught:
        await world.service.submit_case(SubmitCase(case.id))
    assert [one.field for one in caught.value.violations] == ["answers.spouse"]
    world.exchange.trouble = None
    assert (await world.service.submit_case(SubmitCase(case.id))).status is CaseStatus.SUBMITTED


async def test_what_only_a_source_can_fill_waits_for_the_source(world: World) -> None:
    world.identity.trouble = Unavailable("away")
    case = await world.service.create_case(CreateCase("sample", FORM))
    with pytest.raises(Unavailable):
        await world.service.submit_case(SubmitCase(case.id))
    world.identity.trouble = None
    assert (await world.service.submit_case(SubmitCase(case.id))).submitted is not None


async def test_what_a_source_refuses_or_does_not_have_is_told_apart(world: World) -> None:
    world.identity.trouble = RightMissing("no")
    world.exchange.trouble = NotFound("none")
    case = await world.service.create_case(CreateCase("sample", FORM))
    assert {one.name: (one.state, one.reason) for one in case.prefilled} == {
        "own": (PrefillState.REFUSED, "RIGHT_MISSING"),
        "spouse": (PrefillState.EMPTY, "NOT_FOUND"),
    }


async def test_a_value_that_does_not_fit_its_field_is_not_taken(world: World) -> None:
    world.exchange.values = {"spouse_name": " \n"}
    case = await world.service.create_case(CreateCase("sample", FORM))
    assert next(one for one in case.prefilled if one.name == "spouse").reason == "VALUE_NOT_FIT"


async def test_a_disputed_value_says_so_and_the_residents_own_answer_serves_meanwhile(world: World) -> None:
    world.exchange.disputed = frozenset({"spouse_name"})
    case = await world.service.create_case(CreateCase("sample", {"child": "小明"}))
    assert {one.name: one.disputed for one in case.prefilled} == {"own": False, "spouse": True}
    await world.service.change_answers(ChangeAnswers(case.id, {"spouse": "李四"}))
    file = await world.store.case_file(case.id)
    assert file is not None
    assert file.state.effective_answers()["spouse"] == "李四"
    assert (await world.service.submit_case(SubmitCase(case.id))).status is CaseStatus.SUBMITTED


async def test_the_same_key_gives_the_same_case_and_another_body_is_refused(world: World) -> None:
    first = await world.service.create_case(CreateCase("sample", FORM, idempotency_key="k"))
    asked = world.identity.asked
    again = await world.service.create_case(CreateCase("sample", dict(reversed(FORM.items())), idempotency_key="k"))
    assert again == first
    assert world.identity.asked == asked
    await world.service.change_answers(ChangeAnswers(first.id, dict.fromkeys(FORM, "")))
    later = await world.service.create_case(CreateCase("sample", FORM, idempotency_key="k"))
    assert later == first
    with pytest.raises(IdempotencyKeyReused):
        await world.service.create_case(CreateCase("sample", {**FORM, "more": "x"}, idempotency_key="k"))
    with pytest.raises(IdempotencyKeyReused):
        await world.service.submit_case(SubmitCase(first.id, idempotency_key="k"))
    with acting_as(NEIGHBOR):
        other = await world.service.create_case(CreateCase("sample", FORM, idempotency_key="k"))
    assert other.id != first.id


async def test_many_at_once_under_one_key_open_one_case(world: World) -> None:
    command = CreateCase("sample", FORM, idempotency_key="k")
    found = await asyncio.gather(*(world.service.create_case(command) for _ in range(8)))
    assert len({case.id for case in found}) == 1
    assert len((await world.service.cases()).rows) == 1


async def test_bad_answers_and_unknown_matters_open_nothing(world: World) -> None:
    with pytest.raises(AnswersInvalid):
        await world.service.create_case(CreateCase("sample", {"own": "me"}))
    with pytest.raises(AnswersInvalid):
        await world.service.create_case(CreateCase("sample", FORM, without=("a",)))
    with pytest.raises(MatterNotFound):
        await world.service.create_case(CreateCase("nothing"))
    assert (await world.service.cases()).rows == ()


async def test_answers_change_one_by_one_and_are_taken_back_by_empty_ones(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", FORM))
    changed = await world.service.change_answers(
        ChangeAnswers(case.id, {"more": "x", "spouse": ""}, version=case.version)
    )
    assert changed.answers == {"child": "小明", "more": "x"}
    assert changed.version == case.version + 1
    same = await world.service.change_answers(ChangeAnswers(case.id, {"more": "x"}))
    assert same.version == changed.version
    without = await world.service.change_answers(ChangeAnswers(case.id, without=("b",)))
    assert without.without == ("b",)
    with pytest.raises(VersionConflict):
        await world.service.change_answers(ChangeAnswers(case.id, {"more": "y"}, version=case.version))


async def test_a_change_under_a_key_is_done_once(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", FORM))
    command = ChangeAnswers(case.id, {"more": "x"}, version=case.version, idempotency_key="c")
    first = await world.service.change_answers(command)
    assert await world.service.change_answers(command) == first


async def test_a_submitted_case_runs_and_can_not_be_changed(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", FORM, without=("b",)))
    submitted = await world.service.submit_case(SubmitCase(case.id, version=case.version))
    assert {one.id: one.state for one in submitted.steps} == {"a": "running", "b": "skipped"}
    assert await world.service.submit_case(SubmitCase(case.id, version=case.version)) == submitted
    with pytest.raises(CaseNotDraft):
        await world.service.change_answers(ChangeAnswers(case.id, {"more": "x"}))


async def test_the_trace_of_a_case_is_that_of_its_submission(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", FORM))
    assert case.trace_id == ""
    with world.telemetry.span("POST", kind=SpanKind.SERVER) as span:
        submitted = await world.service.submit_case(SubmitCase(case.id))
        assert submitted.trace_id == f"{span.get_span_context().trace_id:032x}"
    assert (await world.service.case(case.id)).trace_id == submitted.trace_id
    with acting_as(OPERATOR):
        assert (await world.service.trace_of(case.receipt)).trace_id == submitted.trace_id


async def test_nobody_sees_or_moves_the_case_of_another(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", FORM))
    with acting_as(NEIGHBOR):
        for asking in (
            world.service.case(case.id),
            world.service.timeline(case.id),
            world.service.wait_for_events(case.id, 0, 0),
            world.service.change_answers(ChangeAnswers(case.id, {"more": "x"})),
            world.service.submit_case(SubmitCase(case.id)),
            world.service.trace_of(case.receipt),
        ):
            with pytest.raises(CaseNotFound):
                await asking
        assert (await world.service.cases()).rows == ()
    with acting_as(CLINIC):
        with pytest.raises(CitizenOnly):
            await world.service.case(case.id)
        with pytest.raises(RightMissing):
            await world.service.trace_of(case.receipt)


async def open_drafts(world: World, count: int) -> list[CaseView]:
    return [
        await world.service.create_case(CreateCase("sample", FORM, idempotency_key=f"k-{number}"))
        for number in range(count)
    ]


async def test_a_resident_has_so_many_drafts_and_no_more_until_one_is_submitted_or_deleted(world: World) -> None:
    first, second, *_ = await open_drafts(world, 5)
    asked = world.identity.asked
    for make_room in (
        lambda: world.service.submit_case(SubmitCase(first.id)),
        lambda: world.service.delete_case(DeleteDraft(second.id)),
    ):
        with pytest.raises(TooManyDrafts, match="5 drafts") as full:
            await world.service.create_case(CreateCase("sample", FORM))
        assert full.value.remedy.startswith("Submit or delete a draft")
        assert world.identity.asked == asked
        assert (await world.service.create_case(CreateCase("sample", FORM, idempotency_key="k-0"))).id == first.id
        await make_room()
        await world.service.create_case(CreateCase("sample", FORM))
        asked = world.identity.asked
    with acting_as(NEIGHBOR):
        await world.service.create_case(CreateCase("sample", FORM))


async def test_nothing_is_left_of_a_draft_that_its_owner_deletes(world: World) -> None:
    (case,) = await open_drafts(world, 1)
    with acting_as(NEIGHBOR), pytest.raises(CaseNotFound):
        await world.service.delete_case(DeleteDraft(case.id))
    await world.service.delete_case(DeleteDraft(case.id, idempotency_key="d"))
    await world.service.delete_case(DeleteDraft(case.id, idempotency_key="d"))
    with pytest.raises(IdempotencyKeyReused):
        await world.service.delete_case(DeleteDraft("another", idempotency_key="d"))
    for asking in (
        world.service.case(case.id),
        world.service.timeline(case.id),
        world.service.submit_case(SubmitCase(case.id)),
        world.service.delete_case(DeleteDraft(case.id)),
        world.service.create_case(CreateCase("sample", FORM, idempotency_key="k-0")),
    ):
        with pytest.raises(CaseNotFound):
            await asking
    assert (await world.service.cases()).rows == ()
    assert await world.store.next_due() is None


async def test_a_submitted_case_is_not_deleted(world: World) -> None:
    (case,) = await open_drafts(world, 1)
    await world.service.submit_case(SubmitCase(case.id))
    with pytest.raises(CaseNotDraft):
        await world.service.delete_case(DeleteDraft(case.id))
    async with world.store.transaction() as tx:
        await tx.put_timer(Timer(case.id, WHOLE_CASE, TimerKind.DRAFT, 0, NOW))
    assert await world.timers.fire()
    assert (await world.service.case(case.id)).submitted


async def test_a_draft_goes_when_nobody_has_touched_it_for_its_days(world: World, clock: MovingClock) -> None:
    touched, submitted, left = await open_drafts(world, 3)
    clock.forward(days=29)
    await world.service.submit_case(SubmitCase(submitted.id))
    await world.service.change_answers(ChangeAnswers(touched.id, {"more": "x"}))
    clock.forward(hours=23)
    assert not await world.timers.fire()
    clock.forward(hours=1)
    assert await world.timers.fire()
    assert not await world.timers.fire()
    assert {row.id for row in (await world.service.cases()).rows} == {touched.id, submitted.id}
    with pytest.raises(CaseNotFound):
        await world.service.case(left.id)
    clock.forward(days=29)
    assert await world.timers.fire()
    assert {row.id for row in (await world.service.cases()).rows} == {submitted.id}


async def test_cases_are_paged_newest_first(world: World, clock: MovingClock) -> None:
    ids = []
    for _ in range(5):
        clock.forward(seconds=1)
        ids.append((await world.service.create_case(CreateCase("sample", FORM))).id)
    first = await world.service.cases(page_size=3)
    second = await world.service.cases(page_size=3, page_token=first.next_token)
    assert [row.id for row in (*first.rows, *second.rows)] == ids[::-1]
    assert second.next_token == ""


async def test_a_timeline_can_be_taken_up_where_it_was_left(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", FORM))
    whole = await world.service.timeline(case.id)
    assert [entry.kind for entry in whole] == ["opened"]
    waiting = asyncio.create_task(world.service.wait_for_events(case.id, 1, 5))
    await asyncio.sleep(0)
    await world.service.submit_case(SubmitCase(case.id))
    found = await waiting
    assert [entry.kind for entry in found] == ["submitted", "step_started", "step_started"]
    assert found[1].agency is not None
    assert found[1].agency.uscc == HOSPITAL
    assert await world.service.wait_for_events(case.id, found[-1].seq, 0.01) == ()
    assert "小明" not in repr(await world.service.timeline(case.id))


async def test_the_catalogue_shows_the_form_and_the_steps(world: World) -> None:
    (matter,) = world.service.list_matters()
    assert matter == world.service.matter("sample")
    assert [one.name for one in matter.fields] == ["own", "spouse", "child", "more"]
    assert matter.fields[1].prefill is not None
    assert matter.fields[1].prefill.resource == "307001/000001"
    assert [(one.id, one.optional) for one in matter.steps] == [("a", False), ("b", True)]
