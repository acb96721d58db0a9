# SPDX-License-Identifier: Apache-2.0
"""Cases found again: by whom, by what, in pages, and by an index where there are very many."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.domain.case import CaseStatus
from services.gateway.service.inbox import CaseFilter
from services.gateway.service.inbox.ports import Scope
from services.gateway.store.tables import cases, tasks
from services.kit.ids import new_id
from tests.support.gateway_inbox import ALICE, BOB, CAROL, HEAD, PLAN, Desk, bearer, desk
from tests.support.gateway_matters import NOW, POLICE
from tests.support.plans import plans

MANY = 20_000
STEP = 5_000
WHOLE = re.compile(r"SCAN (case_file|task)$|.*Seq Scan on (case_file|task)\b")
"""Of a plan that reads a whole table."""
OPERATOR = {"authorization": "Bearer operator:op:gateway.cases"}
SCOPE = Scope(POLICE, {"complaints": frozenset({"9901"})}, frozenset({ALICE}))


async def found(office: Desk, by: dict[str, str], **query: str | int) -> list[dict[str, Any]]:
    """What the search shows."""
    answer = await office.client.get("/api/v1/search/cases", headers=by, params=query)
    assert answer.status_code == 200, answer.text
    cases: list[dict[str, Any]] = answer.json()["cases"]
    return cases


async def refused(office: Desk, by: dict[str, str], **query: str) -> tuple[int, str]:
    """What the search answers to whoever may not, or asks wrongly."""
    answer: httpx.Response = await office.client.get("/api/v1/search/cases", headers=by, params=query)
    return answer.status_code, answer.json()["reason"]


async def test_a_complaint_is_created_assigned_resolved_and_found_by_clerk_and_operator(
    database: str, tmp_path: Path
) -> None:
    async with desk(database, tmp_path) as office:
        case = await office.case()
        [task] = await office.tasks()
        assert (await office.act(task["id"], "claim", by=bearer(ALICE))).status_code == 200
        [open_one] = await found(office, bearer(ALICE), assigned=ALICE, status="submitted")
        assert (open_one["id"], open_one["tasks"][0]["clerk"]) == (case.id, ALICE)
        answer = {"output": {"number": "N1"}}
        assert (await office.act(task["id"], "answer", answer, by=bearer(ALICE))).status_code == 200
        for by in (bearer(BOB), bearer(HEAD, "gateway.supervise"), OPERATOR):
            [one] = await found(office, by, receipt=case.receipt)
            assert (one["id"], one["status"], one["tasks"][0]["state"]) == (case.id, "completed", "done")
            assert one["ended"] is not None
            assert "路灯不亮" not in str(one)
        assert await found(office, OPERATOR, status="submitted") == []
        assert await found(office, bearer(BOB), assigned=BOB) == []


async def test_a_clerk_finds_what_the_inbox_shows_and_nobody_else_finds_anything(database: str, tmp_path: Path) -> None:
    async with desk(database, tmp_path) as office:
        here, there = await office.case(place="990102001"), await office.case(place="990103001")
        assert [one["id"] for one in await found(office, bearer(CAROL))] == [here.id]
        assert {one["id"] for one in await found(office, bearer(ALICE))} == {here.id, there.id}
        assert await found(office, bearer(CAROL), receipt=there.receipt) == []
        assert await found(office, bearer(ALICE), agency="11990100000001054B") == []
        assert {one["id"] for one in await found(office, OPERATOR, agency=POLICE)} == {here.id, there.id}
        assert await refused(office, {"authorization": "Bearer citizen:mother"}) == (403, "RIGHT_MISSING")
        assert await refused(office, {"authorization": "Bearer operator:op"}) == (403, "RIGHT_MISSING")
        assert await refused(office, bearer("clerk-stranger")) == (403, "CLERK_NOT_LISTED")
        assert await refused(office, {}) == (401, "TOKEN_MISSING")
        assert await refused(office, OPERATOR, assigned=ALICE) == (400, "REQUEST_INVALID")
        assert await refused(office, OPERATOR, page_token="x") == (400, "PAGE_TOKEN_INVALID")
        assert await refused(office, OPERATOR, receipt="a\0") == (400, "REQUEST_INVALID")


@pytest.mark.parametrize("by", [OPERATOR, bearer(ALICE)], ids=["operator", "clerk"])
async def test_pages_hold_every_case_once_newest_first_and_no_draft(
    database: str, tmp_path: Path, by: dict[str, str]
) -> None:
    async with desk(database, tmp_path) as office:
        made = []
        for _ in range(5):
            made.append((await office.case()).id)
            office.clock.forward(seconds=1)
        seen, url = [], "/api/v1/search/cases?page_size=2"
        while url:
            answer = await office.client.get(url, headers=by)
            seen += [one["id"] for one in answer.json()["cases"]]
            url = answer.links["next"]["url"] if "next" in answer.links else ""
        assert seen == made[::-1]
        moment = (NOW + timedelta(seconds=2)).isoformat()
        assert [one["id"] for one in await found(office, by, **{"from": moment})] == made[:1:-1]
        assert [one["id"] for one in await found(office, by, to=moment)] == made[1::-1]


async def fill(office: Desk) -> None:
    """One that is open, and very many that are done, each with a task of the department."""
    case = await office.case()
    [open_one] = await office.tasks()
    async with office.store.transaction() as tx:
        task = (await tx.connection.execute(tasks.select().where(tasks.c.task_id == open_one["id"]))).one()._asdict()
        file = (await tx.connection.execute(cases.select().where(cases.c.case_id == case.id))).one()._asdict()
        for start in range(0, MANY, STEP):
            ids = [new_id() for _ in range(STEP)]
            moments = [NOW - timedelta(seconds=1 + start + at) for at in range(STEP)]
            ended = {"status": CaseStatus.COMPLETED.value, "definition": PLAN.digest}
            await tx.connection.execute(
                cases.insert(),
                [
                    {**file, **ended, "case_id": id, "receipt": id, "created": at, "submitted": at, "ended": at}
                    for id, at in zip(ids, moments, strict=True)
                ],
            )
            done = {"state": "done", "clerk": BOB, "input": b""}
            await tx.connection.execute(
                tasks.insert(),
                [
                    {**task, **done, "task_id": new_id(), "case_id": id, "created": at, "finished": at}
                    for id, at in zip(ids, moments, strict=True)
                ],
            )
        if office.store.dialect == "postgresql":
            for table in ("case_file", "task"):
                await tx.connection.exec_driver_sql(f"ANALYZE {table}")


async def test_very_many_cases_are_searched_by_an_index(database: str, tmp_path: Path) -> None:
    async with desk(database, tmp_path) as office:
        await fill(office)
        store, half = office.store, (NOW - timedelta(seconds=MANY // 2), "f")
        late = NOW - timedelta(seconds=100)
        receipt = (await found(office, OPERATOR, page_size=1))[0]["receipt"]
        for scope in (None, SCOPE):
            for narrow, before in (
                (CaseFilter(), None),
                (CaseFilter(), half),
                (CaseFilter(receipt=receipt), None),
                (CaseFilter(matter="sample", since=late), None),
                (CaseFilter(agency=POLICE, assigned=BOB), None),
            ):
                plan = await plans(store, lambda s=scope, n=narrow, b=before: store.find_cases(s, n, 50, b))  # type: ignore[misc]
                assert not [line for line in plan if WHOLE.match(line)], plan
        assert len(await found(office, bearer(ALICE), status="completed", page_size=100)) == 100
