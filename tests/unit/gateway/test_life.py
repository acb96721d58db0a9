# SPDX-License-Identifier: Apache-2.0
"""The life of a case: one draft, eligibility before it, withdrawal, and what a refusal tells."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.eligibility import Eligible, assess
from services.gateway.domain.problems import DefinitionInvalid, ProblemCode
from services.gateway.domain.redress import months_after
from services.gateway.domain.refusals import (
    AnswersInvalid,
    CaseNotFound,
    CaseNotUnderWay,
    CasePastPivot,
    IdempotencyKeyReused,
)
from services.gateway.events import to_wire
from services.gateway.service import CaseStatus, ChangeAnswers, CreateCase, DeleteDraft, SubmitCase
from services.gateway.service.life import OnCase
from services.gateway.service.ports import GatewayStore, TaskRow
from services.gateway.service.tasks import CompleteTask, RefuseTask
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from services.kit.errors import Unavailable, VersionConflict
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_inbox import inbox_app
from tests.support.gateway_matters import field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import CLINIC, NEIGHBOR, RESIDENT, MovingClock, World
from tests.support.probe import resources

WORDS = {"zh": "话", "en": "Words"}
BORN = {"source": "identity", "field": "birth_date", "basis": "law"}
RULES = [
    {
        "title": WORDS,
        "test": "full_years(answers.born, today) >= 60",
        "reason": "TOO_YOUNG",
        "message": WORDS,
        "basis": "law, art. 1",
    },
    {
        "title": WORDS,
        "test": "answers.lives == 'here' || answers.works == 'here'",
        "reason": "NOT_HERE",
        "message": WORDS,
    },
]
PLAN = plan_of(
    step("a"),
    step("b", needs=["a"], pivot=True),
    step("c", needs=["b"]),
    form=(field("name"),),
    precheck=[field("born", "date", prefill=BORN), field("lives"), field("works")],
    eligibility=RULES,
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayStore]:
    if request.param == "memory":
        yield MemoryGatewayStore()
        return
    given_ = resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path)
    async with SqlGatewayStore.open(given_, encode=to_wire) as sql:
        yield sql


@pytest.fixture
def world(store: GatewayStore) -> World:
    return World(store, workflows_of(PLAN), MovingClock())


@pytest.fixture(autouse=True)
def signed_in() -> Iterator[None]:
    with acting_as(RESIDENT):
        yield


async def submitted(world: World) -> str:
    case = await world.service.create_case(CreateCase("sample"))
    await world.service.submit_case(SubmitCase(case.id))
    return case.id


async def leased(world: World) -> TaskRow:
    with acting_as(CLINIC):
        tasks = world.tasks.take([], 1)
        task = await anext(tasks)
        await tasks.aclose()  # type: ignore[attr-defined] # it is a generator
    return task


async def complete(world: World) -> None:
    task = await leased(world)
    with acting_as(CLINIC):
        await world.tasks.complete(CompleteTask(new_id(), task.task_id, task.lease_token, {}))


def on(case_id: str, key: str = "", version: int | None = None) -> OnCase:
    return OnCase(case_id, key or new_id(), version)


# ---- one draft of a matter ----


async def test_a_second_draft_of_a_matter_is_the_first_one_with_what_was_filled_in(world: World) -> None:
    first = await world.service.create_case(CreateCase("sample", {"name": "小明"}, idempotency_key="a"))
    changed = await world.service.change_answers(ChangeAnswers(first.id, {"name": "小红"}))
    second = await world.service.create_case(CreateCase("sample", {"name": "小刚"}, idempotency_key="b"))
    assert not first.found
    assert second.found
    assert (second.id, second.version, second.answers) == (first.id, changed.version, {"name": "小红"})


async def test_each_key_gives_its_own_answer_again(world: World) -> None:
    first = await world.service.create_case(CreateCase("sample", idempotency_key="a"))
    await world.service.create_case(CreateCase("sample", idempotency_key="b"))
    again = [await world.service.create_case(CreateCase("sample", idempotency_key=key)) for key in "ab"]
    assert [(one.id, one.found) for one in again] == [(first.id, False), (first.id, True)]
    with pytest.raises(IdempotencyKeyReused):
        await world.service.create_case(CreateCase("sample", {"name": "x"}, idempotency_key="b"))


async def test_drafts_that_are_opened_at_once_are_one(world: World) -> None:
    made = await asyncio.gather(*(world.service.create_case(CreateCase("sample")) for _ in range(5)))
    assert len({one.id for one in made}) == 1
    assert sorted(one.found for one in made) == [False, True, True, True, True]


async def test_a_new_draft_is_opened_once_the_old_one_is_submitted_or_deleted(world: World) -> None:
    first = await submitted(world)
    second = await world.service.create_case(CreateCase("sample"))
    await world.service.delete_case(DeleteDraft(second.id))
    third = await world.service.create_case(CreateCase("sample"))
    assert len({first, second.id, third.id}) == 3
    assert not third.found


async def test_another_persons_draft_is_their_own(world: World) -> None:
    first = await world.service.create_case(CreateCase("sample"))
    with acting_as(NEIGHBOR):
        assert (await world.service.create_case(CreateCase("sample"))).id != first.id


# ---- eligibility ----


async def outcomes(world: World, **answers: str) -> list[str]:
    view = await world.life.eligibility.check("sample", answers)
    return [view.outcome.value, *(one.outcome.value for one in view.rules)]


async def test_each_rule_says_yes_no_or_unknown_with_its_words(world: World) -> None:
    world.identity.values = {"birth_date": "1960-01-01"}
    assert await outcomes(world, lives="here") == ["yes", "yes", "yes"]
    assert await outcomes(world) == ["unknown", "yes", "unknown"]
    world.identity.values = {"birth_date": "1990-01-01"}
    view = await world.life.eligibility.check("sample", {"works": "there", "lives": "there"})
    young, far = view.rules
    assert (view.outcome, young.reason, young.basis) == (Eligible.NO, "TOO_YOUNG", "law, art. 1")
    assert (far.reason, far.message, far.basis) == ("NOT_HERE", Text("话", "Words"), "PIPL art. 13(1)(3)")


async def test_a_rule_that_nobody_can_tell_says_what_is_missing(world: World) -> None:
    world.identity.trouble = Unavailable("away")
    view = await world.life.eligibility.check("sample", {"lives": "there"})
    assert [one.missing for one in view.rules] == [("born",), ("works",)]
    assert view.rules[0].message is None


async def test_a_source_is_asked_only_for_what_nobody_answered(world: World) -> None:
    assert (await outcomes(world, born="1950-01-01"))[1] == "yes"
    assert world.identity.asked == 0


async def test_a_check_keeps_nothing(world: World) -> None:
    await outcomes(world, born="1950-01-01", lives="here")
    assert (await world.service.cases()).rows == ()


async def test_answers_to_other_questions_are_refused(world: World) -> None:
    with pytest.raises(AnswersInvalid) as caught:
        await outcomes(world, name="小明", born="yesterday")
    assert [one.field for one in caught.value.violations] == ["answers.name", "answers.born"]


@given(st.dictionaries(st.sampled_from(["born", "lives", "works"]), st.sampled_from(["1950-01-01", "2020-01-01"])))
def test_more_answers_never_take_a_no_back(values: dict[str, str]) -> None:
    """What is known decides alone: an answer more may settle a rule that was open, and no other."""

    whole = assess(PLAN.eligibility, values, "2026-11-23")
    for name in values:
        less = assess(PLAN.eligibility, {**values, name: ""}, "2026-11-23")
        for before, after in zip(less, whole, strict=True):
            assert before.outcome in {Eligible.UNKNOWN, after.outcome}


@pytest.mark.parametrize(
    ("test", "code"),
    [
        ("answers.nobody == ''", ProblemCode.FIELD_UNKNOWN),
        ("applicant.id != ''", ProblemCode.FIELD_UNKNOWN),
        ("answers.(", ProblemCode.EXPRESSION_MALFORMED),
    ],
)
def test_a_rule_that_reads_what_is_not_there_stops_the_start(test: str, code: ProblemCode) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        plan_of(step("a"), precheck=[field("lives")], eligibility=[{**RULES[0], "test": test}])
    assert [one.code for one in caught.value.problems] == [code]


# ---- withdrawal ----


async def test_an_applicant_takes_a_case_back_once(world: World) -> None:
    case_id = await submitted(world)
    command = on(case_id, "w")
    case = await world.life.own.withdraw(command, "我改主意了")
    assert (case.status, case.reason) == (CaseStatus.WITHDRAWN, "WITHDRAWN_BY_APPLICANT")
    assert (await world.life.own.withdraw(command, "我改主意了")).version == case.version
    with pytest.raises(CaseNotUnderWay, match="it is withdrawn"):
        await world.life.own.withdraw(on(case_id))
    with acting_as(CLINIC):
        assert not await world.store.has_tasks(CLINIC.agency, [], world.clock())


async def test_a_draft_is_deleted_rather_than_withdrawn_and_anothers_case_is_not_found(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample"))
    with pytest.raises(CaseNotUnderWay, match="draft"):
        await world.life.own.withdraw(on(case.id))
    with acting_as(NEIGHBOR), pytest.raises(CaseNotFound):
        await world.life.own.withdraw(on(case.id))


async def test_past_the_pivot_a_case_can_only_go_forward(world: World) -> None:
    case_id = await submitted(world)
    await complete(world)
    with pytest.raises(CasePastPivot):  # b is asked already: it may be done.
        await world.life.own.withdraw(on(case_id))


async def test_whoever_read_an_older_version_is_told(world: World) -> None:
    with pytest.raises(VersionConflict):
        await world.life.own.withdraw(on(await submitted(world), version=1))


async def test_of_a_submission_and_a_withdrawal_at_once_one_comes_first_and_the_other_is_told_what_is_so(
    world: World,
) -> None:
    for first in ("submit", "withdraw"):
        case = await world.service.create_case(CreateCase("sample"))
        both = {
            "submit": world.service.submit_case(SubmitCase(case.id)),
            "withdraw": world.life.own.withdraw(on(case.id)),
        }
        order = reversed(both.values()) if first == "withdraw" else both.values()
        told = await asyncio.gather(*order, return_exceptions=True)
        now = await world.service.case(case.id)
        refused = [one for one in told if isinstance(one, Exception)]
        assert now.status is (CaseStatus.SUBMITTED if refused else CaseStatus.WITHDRAWN)
        assert all(isinstance(one, CaseNotUnderWay) and "draft" in one.message for one in refused)


async def test_of_a_withdrawal_and_an_answer_at_once_the_case_knows_one_end(world: World) -> None:
    for _ in range(5):
        case_id = await submitted(world)
        task = await leased(world)
        refusal = RefuseTask(new_id(), task.task_id, task.lease_token, "NO", Text("不", "No"))

        async def refuse(refusal: RefuseTask = refusal) -> None:
            with acting_as(CLINIC):
                await world.tasks.refuse(refusal)

        told = await asyncio.gather(refuse(), world.life.own.withdraw(on(case_id)), return_exceptions=True)
        failed = [one for one in told if isinstance(one, Exception)]
        assert len(failed) == 1
        now = await world.service.case(case_id)
        assert now.status is (CaseStatus.REFUSED if isinstance(told[1], Exception) else CaseStatus.WITHDRAWN)


# ---- what a refusal tells ----


async def test_a_refusal_says_why_and_where_to_turn_to(world: World) -> None:
    case_id = await submitted(world)
    assert (await world.service.case(case_id)).redress == ()
    task = await leased(world)
    with acting_as(CLINIC):
        refusal = RefuseTask(new_id(), task.task_id, task.lease_token, "NOT_ENTITLED", Text("不符合", "Not entitled"))
        await world.tasks.refuse(refusal)
    case = await world.service.case(case_id)
    assert (case.status, case.reason, case.message) == (CaseStatus.REFUSED, "NOT_ENTITLED", refusal.message)
    assert [(one.kind, one.until) for one in case.redress] == [
        ("reconsideration", date(2027, 1, 22)),
        ("litigation", date(2027, 5, 23)),
    ]


@pytest.mark.parametrize(
    ("day", "later"),
    [
        (date(2026, 8, 31), date(2027, 2, 28)),
        (date(2027, 8, 31), date(2028, 2, 29)),
        (date(2026, 12, 31), date(2027, 6, 30)),
        (date(2026, 6, 15), date(2026, 12, 15)),
    ],
)
def test_months_end_on_the_same_day_or_the_months_last(day: date, later: date) -> None:
    assert months_after(day, 6) == later


# ---- the door ----


async def test_the_door_says_found_by_its_status_and_withdraws(world: World) -> None:

    app = inbox_app(world, None)  # type: ignore[arg-type] # nobody knocks at the inbox
    who = {"authorization": f"Bearer citizen:{RESIDENT.id}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test") as client:

        async def post(path: str, body: Any, key: str) -> httpx.Response:
            return await client.post(f"/api/v1{path}", json=body, headers={**who, "idempotency-key": key})

        opened = [await post("/cases", {"matter": "sample"}, key) for key in "aba"]
        assert [one.status_code for one in opened] == [201, 200, 201]
        assert len({one.headers["location"] for one in opened}) == 1
        case_id = opened[0].json()["id"]
        early = await post(f"/cases/{case_id}/withdraw", {}, "w0")
        assert (early.status_code, early.json()["reason"]) == (409, "CASE_NOT_UNDER_WAY")
        await post(f"/cases/{case_id}/submit", None, "s")
        gone = await post(f"/cases/{case_id}/withdraw", {"why": "不办了"}, "w1")
        assert (gone.status_code, gone.json()["status"], gone.json()["redress"]) == (200, "withdrawn", [])
        told = await post("/matters/sample/eligibility", {"answers": {"lives": "here"}}, "")
        assert [one["outcome"] for one in told.json()["rules"]] == ["unknown", "yes"]
        assert told.json()["rules"][0]["missing"] == ["born"]
        assert (await client.get("/api/v1/matters/sample")).json()["precheck"][0]["name"] == "born"
