# SPDX-License-Identifier: Apache-2.0
"""A second clerk's word, corrections, more time and experts, at the REST door over either database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.gateway.service import CaseStatus, CaseView
from services.kit.caller import acting_as
from tests.support.gateway_inbox import ALICE, BOB, CAROL, HEAD, PLAN, Desk, bearer, desk
from tests.support.gateway_matters import TITLE, field, plan_of, step
from tests.support.gateway_world import RESIDENT

SUPERVISE = "gateway.supervise"
GROUND = {"reason": "NOT_HERE", "message": {"zh": "不在本市", "en": "Not in this city"}}
LAW = "Administrative Licensing Law, art. 45"
STRICT = plan_of(
    step(
        "answer",
        agency="police",
        input={"about": "answers.about", "place": "answers.place"},
        output={"number": "serial"},
        limit={"promise": 5, "terms": "decision"},
        desk={"four_eyes": True, "refusals": [GROUND], "expert": LAW},
    ),
    form=(field("about", required=True), field("place")),
    limits={"decision": {"terms": "decision"}},
)
DONE = {"output": {"number": "T1"}}


@pytest.fixture
async def office(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(database, tmp_path, plan=STRICT) as opened:
        yield opened


@pytest.fixture
async def claimed(office: Desk) -> tuple[CaseView, str]:
    case = await office.case()
    [task] = await office.tasks()
    await office.act(task["id"], "claim", by=bearer(ALICE))
    return case, task["id"]


async def shown(office: Desk, task: str, name: str = ALICE, *rights: str) -> dict[str, Any]:
    read = await office.client.get(f"/api/v1/tasks/{task}", headers=bearer(name, *rights))
    assert read.status_code == 200, read.text
    found: dict[str, Any] = read.json()
    return found


async def kinds(office: Desk, case: CaseView) -> list[str]:
    with acting_as(RESIDENT):
        return [entry.kind for entry in await office.world.service.timeline(case.id)]


async def test_an_answer_counts_once_a_second_clerk_has_approved_what_they_read(
    office: Desk, claimed: tuple[CaseView, str]
) -> None:
    case, task = claimed
    proposed = await office.act(task, "answer", DONE, by=bearer(ALICE))
    assert (proposed.status_code, proposed.json()["state"], proposed.json()["proposer"]) == (200, "proposed", ALICE)
    assert (await office.seen(case)).status is not CaseStatus.COMPLETED
    read = await shown(office, task, BOB)
    assert read["proposal"]["output"] == {"number": "T1"}
    version = f'"{read["task"]["version"]}"'
    own = await office.act(task, "approve", by=bearer(ALICE), if_match=version)
    assert (own.status_code, own.json()["reason"]) == (403, "FOUR_EYES")
    unread = await office.act(task, "approve", by=bearer(BOB))
    assert (unread.status_code, unread.json()["reason"]) == (400, "REQUEST_INVALID")
    await office.act(task, "answer", {"output": {"number": "T2"}}, by=bearer(ALICE))
    stale = await office.act(task, "approve", by=bearer(BOB), if_match=version)
    assert (stale.status_code, stale.json()["reason"]) == (412, "VERSION_CONFLICT")
    assert [one["id"] for one in await office.tasks(BOB, state="proposed")] == [task]
    assert await office.tasks(BOB, state="claimed") == []
    fresh = (await shown(office, task, BOB))["task"]["version"]
    key = bearer(BOB)
    for _ in range(2):
        approved = await office.act(task, "approve", by=key, if_match=f'"{fresh}"')
        assert (approved.status_code, approved.json()["state"]) == (200, "done"), approved.text
    assert (await office.seen(case)).status is CaseStatus.COMPLETED
    log = [(one["kind"], one["clerk_id"], one["other"]) for one in (await shown(office, task))["log"]]
    assert log[-1] == ("done", BOB, ALICE)


async def test_an_answer_that_is_sent_back_is_the_first_clerks_again(
    office: Desk, claimed: tuple[CaseView, str]
) -> None:
    _, task = claimed
    none = await office.act(task, "approve", by=bearer(BOB), if_match='"2"')
    assert (none.status_code, none.json()["reason"]) == (409, "APPROVAL_NOT_ASKED")
    refusal = {"refused": {"reason": "NOT_HERE"}}
    await office.act(task, "answer", refusal, by=bearer(ALICE))
    assert (await shown(office, task, BOB))["proposal"]["message"] == GROUND["message"]
    version = (await shown(office, task, BOB))["task"]["version"]
    back = await office.act(task, "send-back", {"words": "请再核实"}, by=bearer(BOB), if_match=f'"{version}"')
    assert (back.json()["state"], back.json()["clerk"], back.json()["proposer"]) == ("claimed", ALICE, "")
    read = await shown(office, task)
    assert (read["proposal"], read["log"][-1]["words"]) == (None, "请再核实")


async def test_a_refusal_takes_the_matters_words_or_own_ones_and_no_other_reason(
    office: Desk, claimed: tuple[CaseView, str]
) -> None:
    _, task = claimed
    assert (await shown(office, task))["refusals"] == [GROUND]
    unknown = await office.act(task, "preview", {"refused": {"reason": "NO_IDEA"}}, by=bearer(ALICE))
    assert (unknown.status_code, unknown.json()["reason"]) == (400, "REASON_UNKNOWN")
    own = {"refused": {"reason": "NO_IDEA", "message": {"zh": "缘由", "en": "Why"}}}
    assert (await office.act(task, "preview", own, by=bearer(ALICE))).json()["status"] == "refused"


async def test_a_proposal_that_would_not_be_taken_is_refused_at_once(
    office: Desk, claimed: tuple[CaseView, str]
) -> None:
    _, task = claimed
    wrong = await office.act(task, "answer", {"output": {}}, by=bearer(ALICE))
    assert (wrong.status_code, wrong.json()["reason"]) == (400, "TASK_OUTPUT_INVALID")
    assert (await shown(office, task))["proposal"] is None


async def test_a_handed_over_task_takes_no_proposal_along(office: Desk, claimed: tuple[CaseView, str]) -> None:
    _, task = claimed
    await office.act(task, "answer", DONE, by=bearer(ALICE))
    over = await office.act(task, "assign", {"clerk": BOB}, by=bearer(HEAD, SUPERVISE))
    assert (over.json()["state"], over.json()["proposer"]) == ("claimed", "")


async def test_corrections_are_asked_for_once(office: Desk, claimed: tuple[CaseView, str]) -> None:
    case, task = claimed
    items = {"items": [{"name": "about", "words": {"zh": "请写明地点", "en": "Say where"}}]}
    other = await office.act(task, "corrections", items, by=bearer(BOB))
    assert (other.status_code, other.json()["reason"]) == (409, "TASK_HELD")
    key = bearer(ALICE)
    for _ in range(2):
        asked = await office.act(task, "corrections", items, by=key)
        assert asked.status_code == 200, asked.text
    again = await office.act(task, "corrections", items, by=bearer(ALICE))
    assert (again.status_code, again.json()["reason"]) == (409, "CORRECTION_REPEATED")
    wrong = {"items": [{"name": "shoes", "words": TITLE}]}
    assert (await office.act(task, "corrections", wrong, by=bearer(ALICE))).status_code == 409
    assert (await shown(office, task))["corrections"] == items["items"]
    assert (await kinds(office, case)).count("correction_requested") == 1


async def test_more_time_that_the_head_grants_moves_the_due_date(office: Desk, claimed: tuple[CaseView, str]) -> None:
    case, task = claimed
    due = (await shown(office, task))["task"]["due"]
    assert due == "2026-11-30T16:00:00.000Z"  # five working days after 23 November, at the end of 30 November in China
    more = {"working_days": 3, "reason": {"zh": "案情复杂", "en": "It is complicated"}}
    assert (await office.act(task, "extension", more, by=bearer(ALICE, SUPERVISE))).status_code == 200
    decision = {"granted": True}
    own = await office.act(task, "extension/decision", decision, by=bearer(ALICE, SUPERVISE))
    assert (own.status_code, own.json()["reason"]) == (403, "FOUR_EYES")
    clerk = await office.act(task, "extension/decision", decision, by=bearer(BOB))
    assert clerk.json()["reason"] == "RIGHT_MISSING"
    granted = await office.act(task, "extension/decision", decision, by=bearer(HEAD, SUPERVISE))
    assert granted.status_code == 200, granted.text
    read = await shown(office, task)
    assert read["task"]["due"] == "2026-12-03T16:00:00.000Z"
    extension = read["extension"]
    assert (extension["by"], extension["granted"]) == (f"clerk:{ALICE}", True)
    assert [kind for kind in await kinds(office, case) if kind.startswith("extension")] == [
        "extension_requested",
        "extension_granted",
    ]


async def test_an_expert_sees_the_task_until_the_opinion_is_given(office: Desk, claimed: tuple[CaseView, str]) -> None:
    case, task = claimed
    hidden = await office.client.get(f"/api/v1/tasks/{task}", headers=bearer(CAROL))
    assert hidden.status_code == 404
    asked = {"expert": CAROL, "question": "结构是否安全？"}
    assert (await office.act(task, "expert", asked, by=bearer(ALICE))).json()["expert"] == CAROL
    assert [one.paused for one in (await office.seen(case)).clocks if one.clock == "decision"] == [True]
    twice = await office.act(task, "expert", asked, by=bearer(ALICE))
    assert twice.json()["reason"] == "OPINION_ASKED"
    assert (await office.act(task, "expert", {**asked, "expert": "clerk-x"}, by=bearer(ALICE))).status_code == 404
    assert [one["id"] for one in await office.tasks(CAROL)] == [task]
    assert (await office.act(task, "claim", by=bearer(CAROL))).json()["reason"] == "CLERK_NOT_COMPETENT"
    wrong = await office.act(task, "opinion", {"opinion": "安全"}, by=bearer(BOB))
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "OPINION_NOT_ASKED")
    given = await office.act(task, "opinion", {"opinion": "安全"}, by=bearer(CAROL))
    assert (given.status_code, given.json()["expert"]) == (200, ""), given.text
    assert [one.paused for one in (await office.seen(case)).clocks if one.clock == "decision"] == [False]
    assert (await office.client.get(f"/api/v1/tasks/{task}", headers=bearer(CAROL))).status_code == 404
    log = (await shown(office, task))["log"]
    assert [(one["kind"], one["words"]) for one in log[-2:]] == [
        ("expert_asked", "结构是否安全？"),
        ("expert_answered", "安全"),
    ]
    assert [kind for kind in await kinds(office, case) if kind.startswith("expert")] == [
        "expert_asked",
        "expert_answered",
    ]


async def test_without_four_eyes_an_answer_counts_at_once(database: str, tmp_path: Path) -> None:
    async with desk(database, tmp_path, plan=PLAN) as opened:
        task = await opened.task()
        await opened.act(task, "claim", by=bearer(ALICE))
        assert (await opened.act(task, "answer", DONE, by=bearer(ALICE))).json()["state"] == "done"
        assert (await shown(opened, task))["four_eyes"] is False
