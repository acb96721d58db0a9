# SPDX-License-Identifier: Apache-2.0
"""The inbox at its REST door, over either database: lists, claims, answers, who is told what."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.service import CaseStatus
from services.kit.caller import acting_as
from services.kit.paging import encode_token
from tests.support.gateway_inbox import ALICE, BOB, CAROL, HEAD, HOSPITAL, Desk, bearer, desk
from tests.support.gateway_matters import POLICE
from tests.support.gateway_world import CLINIC, RESIDENT

SUPERVISE = "gateway.supervise"
MISSING = "6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"


@pytest.fixture
async def office(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(database, tmp_path) as opened:
        yield opened


async def test_a_clerk_claims_and_answers_and_the_case_goes_on(office: Desk) -> None:
    case = await office.case()
    [task] = await office.tasks()
    assert (task["state"], task["receipt"], task["due"]) == ("open", case.receipt, "2026-11-28T02:00:00.000Z")
    claimed = await office.act(task["id"], "claim", by=bearer(ALICE))
    assert (claimed.status_code, claimed.json()["clerk"], claimed.headers["etag"]) == (200, ALICE, '"2"')
    read = (await office.client.get(f"/api/v1/tasks/{task['id']}", headers=bearer(ALICE))).json()
    assert read["input"] == {"about": "路灯不亮"}
    assert [(one["name"], one["required"]) for one in read["outputs"]] == [("number", True), ("days", False)]
    assert [one["kind"] for one in read["log"]] == ["claimed"]
    office.clock.forward(hours=2)
    done = await office.act(task["id"], "answer", {"output": {"number": "T1"}}, by=bearer(ALICE))
    assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
    assert (await office.seen(case)).status is CaseStatus.COMPLETED
    [queue] = (await office.client.get("/api/v1/queues", headers=bearer(BOB))).json()["queues"]
    assert (queue["open"], queue["handled"], queue["median_seconds"]) == (0, 1, 7200)
    after = (await office.client.get(f"/api/v1/tasks/{task['id']}", headers=bearer(ALICE))).json()
    assert after["input"] == {}


async def test_who_comes_second_is_told_who_was_first(office: Desk) -> None:
    task = await office.task()
    await office.act(task, "claim", by=bearer(ALICE))
    for action, body in (
        ("claim", None),
        ("release", {}),
        ("answer", {"output": {"number": "T1"}}),
        ("notes", {"words": "x"}),
    ):
        late = await office.act(task, action, body, by=bearer(BOB))
        assert (late.status_code, late.json()["reason"]) == (409, "TASK_HELD"), action
        assert f"{ALICE} holds the task since 2026-11-23T02:00:00" in late.json()["detail"]
    await office.act(task, "answer", {"output": {"number": "T1"}}, by=bearer(ALICE))
    late = await office.act(task, "claim", by=bearer(BOB))
    assert (late.json()["reason"], ALICE in late.json()["detail"]) == ("TASK_NOT_OPEN", True)


async def test_a_refusal_is_read_by_the_resident_as_it_was_previewed(office: Desk) -> None:
    case = await office.case()
    [task] = await office.tasks()
    refusal = {"refused": {"reason": "NOT_HERE", "message": {"zh": "不在本市", "en": "Not in this city"}}}
    shown = await office.act(task["id"], "preview", refusal, by=bearer(ALICE))
    assert shown.status_code == 200, shown.text
    assert shown.json()["status"] == "refused"
    assert (await office.tasks())[0]["version"] == 1
    await office.act(task["id"], "claim", by=bearer(ALICE))
    assert (await office.act(task["id"], "answer", refusal, by=bearer(ALICE))).status_code == 200
    with acting_as(RESIDENT):
        timeline = await office.world.service.timeline(case.id)
    previewed = [(one["kind"], one["text"]["zh"], one["reason"]) for one in shown.json()["timeline"]]
    assert previewed == [(one.kind, one.text.zh, one.reason) for one in timeline[-len(previewed) :]]
    seen = await office.seen(case)
    assert (seen.status, seen.message.en if seen.message else "") == (CaseStatus.REFUSED, "Not in this city")


async def test_an_output_that_does_not_fit_is_refused_by_name_and_the_task_stays(office: Desk) -> None:
    task = await office.task()
    await office.act(task, "claim", by=bearer(ALICE))
    for action in ("preview", "answer"):
        wrong = await office.act(task, action, {"output": {"days": "many"}}, by=bearer(ALICE))
        assert (wrong.status_code, wrong.json()["reason"]) == (400, "TASK_OUTPUT_INVALID")
        assert [one["field"] for one in wrong.json()["violations"]] == ["output.number", "output.days"]
    both = await office.act(task, "answer", {"output": {}, "refused": None}, by=bearer(ALICE))
    assert both.json()["reason"] == "TASK_OUTPUT_INVALID"
    assert (await office.act(task, "answer", {}, by=bearer(ALICE))).json()["reason"] == "REQUEST_INVALID"


async def test_a_supervisor_distributes_and_hands_over(office: Desk) -> None:
    task = await office.task()
    head = bearer(HEAD, SUPERVISE)
    given = await office.act(task, "assign", {"clerk": ALICE}, by=head)
    assert given.json()["clerk"] == ALICE
    over = await office.act(task, "assign", {"clerk": BOB, "words": "请接手"}, by=bearer(HEAD, SUPERVISE))
    assert over.json()["clerk"] == BOB
    lost = await office.act(task, "answer", {"output": {"number": "T1"}}, by=bearer(ALICE))
    assert (lost.json()["reason"], BOB in lost.json()["detail"]) == ("TASK_HELD", True)
    log = (await office.client.get(f"/api/v1/tasks/{task}", headers=bearer(BOB))).json()["log"]
    assert [(one["kind"], one["clerk_id"], one["other"], one["words"]) for one in log] == [
        ("assigned", HEAD, ALICE, ""),
        ("handed_over", HEAD, BOB, "请接手"),
    ]
    for body, reason in (({"clerk": CAROL}, "CLERK_NOT_COMPETENT"), ({"clerk": "clerk-nobody"}, "CLERK_UNKNOWN")):
        refused = await office.act(task, "assign", body, by=bearer(HEAD, SUPERVISE))
        assert refused.json()["reason"] == reason
    assert (await office.act(task, "assign", {"clerk": ALICE}, by=bearer(BOB))).json()["reason"] == "RIGHT_MISSING"


async def test_the_same_key_again_is_the_same_act_and_another_act_under_it_is_refused(office: Desk) -> None:
    task = await office.task()
    key = bearer(ALICE)
    first = await office.act(task, "claim", by=key)
    again = await office.act(task, "claim", by=key)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await office.act(task, "release", {}, by=key)
    assert (other.status_code, other.json()["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    answer = bearer(ALICE)
    for _ in range(2):
        done = await office.act(task, "answer", {"output": {"number": "T1"}}, by=answer)
        assert (done.status_code, done.json()["state"]) == (200, "done")


async def test_a_task_that_has_changed_since_it_was_read_is_412(office: Desk) -> None:
    task = await office.task()
    await office.act(task, "claim", by=bearer(ALICE), if_match='"1"')
    stale = await office.act(task, "release", {}, by=bearer(ALICE), if_match='"1"')
    assert (stale.status_code, stale.json()["reason"]) == (412, "VERSION_CONFLICT")
    fresh = await office.act(task, "release", {}, by=bearer(ALICE), if_match='"2"')
    assert fresh.headers["etag"] == '"3"'


async def test_tasks_outside_skill_jurisdiction_or_department_are_not_there(office: Desk) -> None:
    task, far = await office.task(), await office.task(place="990102003")
    assert {one["id"] for one in await office.tasks(ALICE)} == {task, far}
    assert {one["id"] for one in await office.tasks(CAROL)} == {far}
    elsewhere = bearer(ALICE, SUPERVISE, agency=HOSPITAL)
    for by, asked in ((bearer(CAROL), task), (elsewhere, task), (bearer(ALICE), MISSING)):
        read = await office.client.get(f"/api/v1/tasks/{asked}", headers=by)
        assert (read.status_code, read.json()["reason"]) == (404, "TASK_NOT_FOUND")
        claimed = await office.act(asked, "claim", by=by)
        assert (claimed.status_code, claimed.json()["reason"]) == (404, "TASK_NOT_FOUND")
    assert (await office.client.get("/api/v1/tasks", headers=elsewhere)).json()["tasks"] == []


async def test_only_clerks_with_the_right_who_are_on_the_roster_come_in(office: Desk) -> None:
    for headers, status, reason in (
        ({}, 401, "TOKEN_MISSING"),
        ({"authorization": "Bearer citizen:mother"}, 403, "CLERK_ONLY"),
        ({"authorization": "Bearer operator:op:gateway.tasks"}, 403, "CLERK_ONLY"),
        ({"authorization": f"Bearer clerk:{ALICE}"}, 403, "RIGHT_MISSING"),
        (bearer("clerk-stranger"), 403, "CLERK_NOT_LISTED"),
    ):
        for path in ("/api/v1/tasks", "/api/v1/queues"):
            refused = await office.client.get(path, headers=headers)
            assert (refused.status_code, refused.json()["reason"]) == (status, reason)


async def test_the_departments_system_gets_no_task_of_a_queue(office: Desk) -> None:
    await office.case()
    police = CLINIC
    assert not await office.store.has_tasks(police.agency, [], office.clock())
    [task] = await office.tasks()
    assert not await office.store.has_tasks((await office.store.task_of(task["id"])).agency, [], office.clock())  # type: ignore[union-attr]


async def test_lists_go_by_due_date_page_by_page_and_narrow(office: Desk) -> None:
    made = []
    for _ in range(5):
        made.append(await office.task())
        office.clock.forward(hours=1)
    seen: list[str] = []
    token = ""
    while True:
        page = await office.client.get(
            "/api/v1/tasks", headers=bearer(ALICE), params={"page_size": 2, "page_token": token}
        )
        seen += [one["id"] for one in page.json()["tasks"]]
        token = page.json()["next_page_token"]
        assert ("link" in page.headers) is bool(token)
        if not token:
            break
    assert seen == made
    await office.act(made[3], "claim", by=bearer(ALICE))
    assert [one["id"] for one in await office.tasks(whose="mine")] == [made[3]]
    assert made[3] not in [one["id"] for one in await office.tasks(BOB, whose="unclaimed")]
    office.clock.forward(days=5)
    office.clock.forward(hours=-3)
    assert [one["id"] for one in await office.tasks(overdue=True)] == made[:2]
    assert [one["id"] for one in await office.tasks(due_before="2026-11-28T03:00:00Z")] == made[:1]
    assert await office.tasks(matter="another") == []
    assert await office.tasks(queue="another") == []
    assert [one["id"] for one in await office.tasks(state="claimed")] == [made[3]]
    early = "0001-01-01T00:00:00+14:00"
    for made_up in ("eyJhIjoxfQ", encode_token(due=early, task="x"), encode_token(due="x", task="x")):
        bad = await office.client.get("/api/v1/tasks", headers=bearer(ALICE), params={"page_token": made_up})
        assert (bad.status_code, bad.json()["reason"]) == (400, "PAGE_TOKEN_INVALID")
    bad = await office.client.get("/api/v1/tasks", headers=bearer(ALICE), params={"due_before": early})
    assert (bad.status_code, bad.json()["reason"]) == (400, "REQUEST_INVALID")


async def test_a_substitute_does_the_tasks_of_who_is_away_and_the_log_says_so(office: Desk) -> None:
    task = await office.task()
    await office.act(task, "claim", by=bearer(ALICE))
    days = {"first": "2026-11-23", "last": "2026-11-25", "substitute": BOB}
    away = await office.client.put(f"/api/v1/clerks/{ALICE}/absence", json=days, headers=bearer(ALICE))
    assert away.json()["absence"] == days
    refused = await office.client.put(f"/api/v1/clerks/{ALICE}/absence", json=days, headers=bearer(CAROL))
    assert refused.json()["reason"] == "RIGHT_MISSING"
    assert [one["id"] for one in await office.tasks(BOB, whose="mine")] == [task]
    given = await office.act(await office.task(), "assign", {"clerk": ALICE}, by=bearer(HEAD, SUPERVISE))
    assert (given.json()["reason"], BOB in given.json()["detail"]) == ("CLERK_ABSENT", True)
    done = await office.act(task, "answer", {"output": {"number": "T1"}}, by=bearer(BOB))
    assert (done.json()["state"], done.json()["clerk"]) == ("done", BOB)
    log = (await office.client.get(f"/api/v1/tasks/{task}", headers=bearer(BOB))).json()["log"]
    assert [(one["kind"], one["clerk_id"]) for one in log] == [("claimed", ALICE), ("handed_over", BOB), ("done", BOB)]
    back = await office.client.delete(f"/api/v1/clerks/{ALICE}/absence", headers=bearer(HEAD, SUPERVISE))
    assert back.status_code == 204
    assert (await office.client.get(f"/api/v1/clerks/{ALICE}", headers=bearer(BOB))).json()["absence"] is None


async def test_a_supervisor_keeps_the_roster(office: Desk) -> None:
    entry = {"name_zh": "丁", "name_en": "Dan", "region": "9901", "skills": ["complaints"], "active": True}
    put = await office.client.put("/api/v1/clerks/clerk-dan", json=entry, headers=bearer(HEAD, SUPERVISE))
    assert put.status_code == 200, put.text
    task = await office.task()
    assert (await office.act(task, "claim", by=bearer("clerk-dan"))).status_code == 200
    gone = {**entry, "active": False}
    await office.client.put("/api/v1/clerks/clerk-dan", json=gone, headers=bearer(HEAD, SUPERVISE))
    assert (await office.act(task, "release", {}, by=bearer("clerk-dan"))).json()["reason"] == "CLERK_NOT_LISTED"
    mine = await office.client.put("/api/v1/clerks/clerk-dan", json=entry, headers=bearer(ALICE))
    assert mine.json()["reason"] == "RIGHT_MISSING"
    first = (await office.client.get("/api/v1/clerks", headers=bearer(ALICE), params={"page_size": 3})).json()
    assert [one["id"] for one in first["clerks"]] == [ALICE, BOB, CAROL]
    second = await office.client.get(
        "/api/v1/clerks", headers=bearer(ALICE), params={"page_token": first["next_page_token"]}
    )
    assert [one["id"] for one in second.json()["clerks"]] == ["clerk-dan"]


async def test_many_tasks_at_once_have_each_its_own_outcome(office: Desk) -> None:
    first, second = await office.task(), await office.task()
    await office.act(second, "claim", by=bearer(BOB))
    bulk = {"action": "claim", "tasks": [{"id": first}, {"id": second}, {"id": MISSING}]}
    answer = await office.client.post("/api/v1/tasks/bulk", json=bulk, headers=bearer(ALICE))
    assert answer.status_code == 200, answer.text
    outcomes = [(one["task_id"], one["ok"], one["reason"]) for one in answer.json()["outcomes"]]
    assert outcomes == [(first, True, ""), (second, False, "TASK_HELD"), (MISSING, False, "TASK_NOT_FOUND")]
    too_many = {"action": "claim", "tasks": [{"id": first}] * 51}
    refused = await office.client.post("/api/v1/tasks/bulk", json=too_many, headers=bearer(ALICE))
    assert refused.json()["reason"] == "REQUEST_INVALID"
    answers = {"action": "answer", "tasks": [{"id": first}, {"id": second}], "answer": {"output": {"number": "T1"}}}
    done = await office.client.post("/api/v1/tasks/bulk", json=answers, headers=bearer(ALICE))
    assert [one["reason"] for one in done.json()["outcomes"]] == ["", "TASK_HELD"]


async def test_a_task_that_its_case_no_longer_asks_for_is_closed_under_the_clerks_hands(office: Desk) -> None:
    task = await office.task()
    await office.act(task, "claim", by=bearer(ALICE))
    office.clock.forward(days=6)
    while await office.world.timers.fire():
        pass
    late = await office.act(task, "answer", {"output": {"number": "T1"}}, by=bearer(ALICE))
    assert (late.status_code, late.json()["reason"]) == (409, "TASK_NOT_OPEN")
    [closed] = await office.tasks(state="closed")
    assert (closed["id"], closed["overdue"]) == (task, False)


async def test_whoever_reads_what_a_task_needs_leaves_a_leaf_and_lists_leave_none(office: Desk) -> None:
    case = await office.case()
    [task] = await office.tasks()
    ledger = office.store.ledger
    assert (await ledger.leaves())[0] == ()
    await office.client.get(f"/api/v1/tasks/{task['id']}", headers=bearer(ALICE))
    [leaf] = (await ledger.leaves())[0]
    body = json.loads(leaf.body)
    assert (body["operation"], body["caller"], body["case"]) == ("gateway.ReadTask", f"clerk:{ALICE}", case.id)
    assert (body["fields"], body["purpose"], body["on_behalf_of"]) == (["about"], "sample", POLICE)
    assert [one.leaf.index for one in (await ledger.own.page(RESIDENT.id)).rows] == [0]
    hidden = await office.client.get(f"/api/v1/tasks/{task['id']}", headers=bearer(CAROL))
    assert hidden.status_code == 404
    await office.act(task["id"], "claim", by=bearer(ALICE))
    await office.act(task["id"], "answer", {"output": {"number": "T1"}}, by=bearer(ALICE))
    await office.client.get(f"/api/v1/tasks/{task['id']}", headers=bearer(ALICE))
    assert len((await ledger.leaves())[0]) == 1


async def test_notes_are_for_colleagues_and_sealed(office: Desk) -> None:
    task = await office.task()
    await office.act(task, "claim", by=bearer(ALICE))
    noted = await office.act(task, "notes", {"words": "电话已核实"}, by=bearer(ALICE))
    assert (noted.status_code, noted.json()["version"]) == (200, 2)
    log = (await office.client.get(f"/api/v1/tasks/{task}", headers=bearer(BOB))).json()["log"]
    assert log[-1]["words"] == "电话已核实"
    assert "电话" not in str(await office.tasks())
