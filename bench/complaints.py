# SPDX-License-Identifier: Apache-2.0
"""A gateway that has so many complaints already: two are lived through the public door, the rest are stored like them."""

import asyncio
import time
from typing import Any

from bench.people import ANSWERS, ASSIGNED, RESOLVED
from bench.stored import Stored, fill
from bench.town import Town
from services.cli.demo.resident import Resident
from services.cli.postgres import Postgres
from services.kit.ids import derived_id, new_id

_LOOKED_AT = 20


async def stored(place: Town, count: int) -> float:
    """Store `count` complaints, look at some of them through the door; the seconds it took.

    Raises:
        RuntimeError: the gateway does not read one as the original.
    """
    began = time.perf_counter()
    async with place.system.resident("bench-citizen-0") as citizen, place.system.resident("bench-clerk-0") as clerk:
        waiting = await _filed(citizen)
        closed = await _filed(citizen)
        await _answered(clerk, closed, "assign", ASSIGNED)
        await _answered(clerk, closed, "resolve_other", RESOLVED)
        lived = await _read(citizen, closed)
    root = place.system.folder.root
    postgres = await asyncio.to_thread(Postgres.start, root / "postgres")
    database, keys = postgres.url("tongban_gateway"), place.system.folder.keys("gateway")
    own = await fill(database, keys, (closed, waiting), place.subjects, count)
    for one in own[:_LOOKED_AT]:
        async with place.system.resident(f"bench-citizen-{one.owner}") as owner:
            if await _read(owner, one.case_id) != lived or not await _found(owner, one):
                raise RuntimeError(f"The gateway does not read the stored case {one.case_id} as it reads the original.")
    return round(time.perf_counter() - began, 1)


async def _filed(citizen: Resident) -> str:
    case = await citizen.create("complaint", ANSWERS)
    await citizen.submit(case["id"])
    return str(case["id"])


async def _answered(clerk: Resident, case_id: str, step: str, output: dict[str, str]) -> None:
    path = f"/api/v1/tasks/{derived_id('task', case_id, step, '1')}"
    for verb, body in (("claim", None), ("answer", {"output": output})):
        told = await clerk.send("POST", f"{path}/{verb}", body, headers={"idempotency-key": new_id()})
        told.raise_for_status()


async def _read(citizen: Resident, case_id: str) -> Any:
    """What is the same of every copy: what it asks, how it ended, each step, and what happened in which order."""
    case = await citizen.case(case_id)
    timeline = await citizen.get(f"/api/v1/cases/{case_id}/timeline")
    steps = [(each["id"], each["state"]) for each in case["steps"]]
    return case["status"], case["answers"], steps, [(each["kind"], each["step_id"]) for each in timeline["entries"]]


async def _found(citizen: Resident, one: Stored) -> bool:
    found = await citizen.send("GET", f"/api/v1/cases?receipt={one.receipt}")
    return [each["id"] for each in found.json()["cases"]] == [one.case_id]
