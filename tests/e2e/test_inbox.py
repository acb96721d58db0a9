# SPDX-License-Identifier: Apache-2.0
"""A complaint reaches a department without a system: two clerks want it, one has it, and the resident sees who read it."""

import asyncio
from typing import Any

from services.cli.demo.proofs import check_access
from services.cli.demo.resident import Resident
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.system import System

CLERKS = ("clerk-hotline-1", "clerk-hotline-2")
SECRET = "楼道灯不亮已一周"


async def sent(who: Resident, path: str, body: dict[str, Any] | None = None) -> Any:
    return await who.send("POST", path, body, headers={"idempotency-key": new_id()})


async def read(who: Resident, path: str) -> Any:
    answer = await who.send("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_two_clerks_want_a_complaint_and_the_resident_sees_who_read_it(system: System) -> None:
    async with (
        system.resident("mother-5") as resident,
        system.resident(CLERKS[0]) as first,
        system.resident(CLERKS[1]) as second,
    ):
        answers = {"topic": "other", "complaint": SECRET, "call_back": "no"}
        draft = await sent(resident, "/api/v1/cases", {"matter": "complaint", "answers": answers})
        case_id = draft.json()["id"]
        await resident.submit(case_id)

        async def listed() -> str:
            tasks = (await read(first, "/api/v1/tasks?matter=complaint&whose=unclaimed&page_size=200"))["tasks"]
            return next((str(one["id"]) for one in tasks if one["case_id"] == case_id), "")

        async def there() -> bool:
            return await listed() != ""

        await eventually(there, seconds=30)
        task = await listed()
        ended = await asyncio.gather(*(sent(who, f"/api/v1/tasks/{task}/claim") for who in (first, second)))
        assert sorted(one.status_code for one in ended) == [200, 409]
        winner, name = (first, CLERKS[0]) if ended[0].status_code == 200 else (second, CLERKS[1])
        late = next(one.json() for one in ended if one.status_code == 409)
        assert (late["reason"], name in late["detail"]) == ("TASK_HELD", True)
        assert (await resident.send("GET", f"/api/v1/tasks/{task}")).json()["reason"] == "CLERK_ONLY"

        assert (await read(winner, f"/api/v1/tasks/{task}"))["input"]["complaint"] == SECRET
        refused = {"reason": "BEFORE_A_COURT", "message": {"zh": "请通过司法途径解决", "en": "A court decides this"}}
        preview = (await sent(winner, f"/api/v1/tasks/{task}/preview", {"refused": refused})).json()
        assert (await sent(winner, f"/api/v1/tasks/{task}/answer", {"refused": refused})).status_code == 200
        assert (await resident.case(case_id))["status"] == preview["status"] == "refused"

        uses = (await read(resident, "/api/v1/accesses?purpose=complaint"))["accesses"]
        [use] = [one for one in uses if one["log"] == "gateway" and one["case_id"] == case_id]
        assert (use["asked_by"]["kind"], use["caller"]) == ("clerk", f"clerk:{name}")
        assert use["on_behalf_of"]["name"]["zh"] == "通办市政务服务便民热线"
        assert "complaint" in use["fields"]
        check_access(use, await read(resident, "/.well-known/ledger-keys.json"))
