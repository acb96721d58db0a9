# SPDX-License-Identifier: Apache-2.0
"""Whoever has written reads what they wrote, at once and every time, while the city is busy with births."""

import asyncio
import uuid

import httpx

from services.cli.demo.resident import Document, Resident
from tests.support.system import System

MOTHERS = [f"mother-{number}" for number in range(1, 7)]
LIVES = 2
"""Complaints of each; a birth of each runs beside them."""
EDITS = 5
COMPLAINT = {"complaint": "小区旁的路灯坏了。", "call_back": "yes", "topic": "home"}


async def send(resident: Resident, method: str, path: str, body: Document) -> httpx.Response:
    return await resident.send(method, path, body, headers={"idempotency-key": str(uuid.uuid4())})


async def live(resident: Resident) -> int:
    """One complaint from draft to its end; each write is followed by a read that must show it. Gives the reads."""
    case_id = (await resident.create("complaint", COMPLAINT))["id"]
    path = f"/api/v1/cases/{case_id}"
    assert (await resident.case(case_id))["status"] == "draft"
    for number in range(EDITS):
        words = f"{COMPLAINT['complaint']} {number}"
        changed = (await send(resident, "PATCH", path, {"answers": {"complaint": words}})).json()
        seen = await resident.case(case_id)
        assert (seen["version"], seen["answers"]["complaint"]) == (changed["version"], words)
    await resident.submit(case_id)
    assert (await resident.case(case_id))["status"] != "draft"
    [row] = [row for row in (await resident.get("/api/v1/cases"))["cases"] if row["id"] == case_id]
    assert row["status"] != "draft"
    assert "submitted" in [entry["kind"] for entry in (await resident.get(f"{path}/timeline"))["entries"]]
    answer = await send(resident, "POST", f"{path}/withdraw", {"why": "It is settled."})
    seen = await resident.case(case_id)
    if answer.is_success:
        assert seen["status"] == "withdrawn"
    else:  # The department was quicker.
        assert (answer.status_code, answer.json()["reason"], seen["status"]) == (409, "CASE_NOT_UNDER_WAY", "completed")
    return EDITS + 5


async def birth(resident: Resident, answers: Document) -> None:
    """The load; what its events tell is there when it is looked for."""
    case_id = (await resident.create("birth", answers))["id"]
    await resident.submit(case_id)
    async for event in resident.events(case_id):
        if event["kind"] == "step_done":
            case = await resident.case(case_id)
            assert next(step["state"] for step in case["steps"] if step["id"] == event["step_id"]) == "done"
    assert (await resident.case(case_id))["status"] == "completed"


async def test_every_write_is_read_at_once_under_load(system: System) -> None:
    async def resident(persona: str) -> int:
        async with system.resident(persona) as mother:
            samples = await mother.samples(persona)
            bearing = asyncio.create_task(birth(mother, samples["birth"]))
            reads = sum([await live(mother) for _ in range(LIVES)])
            await bearing
            return reads

    async with asyncio.TaskGroup() as together:
        living = [together.create_task(resident(persona)) for persona in MOTHERS]
    assert [one.result() for one in living] == [LIVES * (EDITS + 5)] * len(MOTHERS)
