# SPDX-License-Identifier: Apache-2.0
"""Residents and clerks at the public REST door, as a process of its own.

The first line on standard input is the plan (JSON): `url`, `citizens` and `clerks` (access tokens), `life` (one of `LIVES`) and
what that life needs. Each later line is a round, answered with one JSON line: `at_once` lives in a closed loop for `seconds`, or
the steps of `curve` (lives a second, seconds) in an open one: lives begin on schedule whether or not earlier ones have ended, and
the first call of each, as well as the whole life, is timed from when it was due. Later calls follow their predecessor at once.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import cycle
from typing import Any

import aiohttp
import uvloop

from bench.processes import say
from services.kit.ids import derived_id, new_id

OPEN_MAX = 2000
"""Lives under way at once in an open loop; whoever comes beyond is not served."""
ANSWERS = {"topic": "other", "complaint": "小区旁的路灯坏了。", "call_back": "no"}
ASSIGNED = {"ticket_number": "T1", "department": "hotline"}
RESOLVED = {"answer_number": "A1", "answer": "路灯已修复。"}
_SECONDS = 30.0
_WATCHED_SECONDS = 60.0


class Refused(Exception):  # noqa: N818 - it states what is so
    """The door asks to come again later (429)."""


class Failed(Exception):  # noqa: N818 - it states what is so
    """Any other answer than the one that was wanted; says which."""


@dataclass
class Round:
    """What became of a round; latencies in milliseconds."""

    calls: dict[str, list[float]] = field(default_factory=dict)
    lives: list[float] = field(default_factory=list)
    marks: list[tuple[float, float]] = field(default_factory=list)
    """Of each life that went through: when it was due in seconds from the beginning, and its longest call."""
    begun: int = 0
    refused: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        """Count it."""
        self.failed[reason] = self.failed.get(reason, 0) + 1


class Door:
    """The public door, and the papers of those who come to it."""

    def __init__(self, session: aiohttp.ClientSession, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        self._session = session
        self._citizens = cycle(plan["citizens"])
        self._clerks = cycle(plan["clerks"] or [""])

    def citizen(self) -> str:
        """The next one."""
        return str(next(self._citizens))

    def clerk(self) -> str:
        """The next one."""
        return str(next(self._clerks))

    async def ask(self, method: str, path: str, token: str, body: Any = None) -> dict[str, Any]:
        """One request. Raises Refused, Failed."""
        headers = {"authorization": f"Bearer {token}", "idempotency-key": new_id()}
        async with self._session.request(method, path, json=body, headers=headers) as response:
            told = await response.read()
            _judge(response.status, told)
            return dict(json.loads(told)) if told else {}

    async def until_ended(self, case_id: str, token: str) -> None:
        """Follow the case's event stream to its last event. Raises Refused, Failed."""
        headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        timeout = aiohttp.ClientTimeout(total=_WATCHED_SECONDS)
        async with self._session.get(f"/api/v1/cases/{case_id}/events", headers=headers, timeout=timeout) as response:
            if response.status != HTTPStatus.OK:
                _judge(response.status, await response.read())
            async for line in response.content:
                if line == b"event: ended\n":
                    return
        raise Failed("STREAM_CUT")


def _judge(status: int, told: bytes) -> None:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Refused
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        try:
            reason = str(json.loads(told).get("reason", ""))
        except ValueError:
            reason = ""
        raise Failed(f"{status} {reason}".strip())


class Clocked:
    """Times the calls of one life; what is called twice in a life is added up."""

    def __init__(self, due: float) -> None:
        self.took: dict[str, float] = {}
        self._since = due

    def done(self, call: str) -> None:
        """The call is over, and the next one begins."""
        now = time.perf_counter()
        self.took[call] = self.took.get(call, 0.0) + (now - self._since) * 1000
        self._since = now


async def complaint(door: Door, clocked: Clocked) -> None:
    """Create, assign, resolve, search: seven requests of a resident and two clerks."""
    citizen, first, second = door.citizen(), door.clerk(), door.clerk()
    case = await door.ask("POST", "/api/v1/cases", citizen, {"matter": "complaint", "answers": ANSWERS})
    await door.ask("POST", f"/api/v1/cases/{case['id']}/submit", citizen)
    clocked.done("create")
    await _dealt(door, first, case["id"], "assign", ASSIGNED)
    clocked.done("assign")
    await _dealt(door, second, case["id"], "resolve_other", RESOLVED)
    clocked.done("resolve")
    found = await door.ask("GET", f"/api/v1/cases?receipt={case['receipt']}", citizen)
    clocked.done("search")
    if [each["status"] for each in found["cases"]] != ["completed"]:
        raise Failed("NOT_READ_AS_WRITTEN")


async def _dealt(door: Door, clerk: str, case_id: str, step: str, output: Mapping[str, str]) -> None:
    """A clerk claims the task and answers it. Its address is made as the gateway makes it: who has the case need not look for it."""
    task = derived_id("task", case_id, step, "1")
    await door.ask("POST", f"/api/v1/tasks/{task}/claim", clerk)
    await door.ask("POST", f"/api/v1/tasks/{task}/answer", clerk, {"output": output})


async def case(door: Door, clocked: Clocked) -> None:
    """A case from its draft to the last event that reaches its applicant."""
    citizen = door.citizen()
    answers = {name: value.replace("{new}", new_id()) for name, value in door.plan["answers"].items()}
    opened = await door.ask("POST", "/api/v1/cases", citizen, {"matter": door.plan["matter"], "answers": answers})
    clocked.done("create")
    await door.ask("POST", f"/api/v1/cases/{opened['id']}/submit", citizen)
    clocked.done("submit")
    await door.until_ended(opened["id"], citizen)
    clocked.done("owners")
    read = await door.ask("GET", f"/api/v1/cases/{opened['id']}", citizen)
    clocked.done("read")
    if read["status"] != "completed":
        raise Failed(f"ENDED_AS_{read['status'].upper()}")


Life = Callable[[Door, Clocked], Awaitable[None]]
LIVES: dict[str, Life] = {"complaint": complaint, "case": case}


async def lived(life: Life, door: Door, told: Round, due: float, began: float) -> None:
    """One life, counted."""
    told.begun += 1
    clocked = Clocked(due)
    try:
        await life(door, clocked)
    except Refused:
        told.refused += 1
    except Failed as failed:
        told.fail(str(failed))
    except (aiohttp.ClientError, TimeoutError) as error:
        told.fail(type(error).__name__)
    else:
        took = (time.perf_counter() - due) * 1000
        told.lives.append(round(took, 3))
        told.marks.append((round(due - began, 3), round(max(clocked.took.values()), 1)))
        for call, milliseconds in clocked.took.items():
            told.calls.setdefault(call, []).append(round(milliseconds, 3))


async def closed(life: Life, door: Door, at_once: int, seconds: float) -> Round:
    """As many lives at once, each followed by the next."""
    told, began = Round(), time.perf_counter()

    async def loop() -> None:
        while (now := time.perf_counter()) < began + seconds:
            await lived(life, door, told, now, began)

    await asyncio.gather(*(loop() for _ in range(at_once)))
    return told


async def paced(life: Life, door: Door, curve: list[tuple[float, float]]) -> Round:
    """Lives begin on schedule."""
    told, began = Round(), time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    starts = began
    for rate, seconds in curve:
        for number in range(round(rate * seconds)):
            due = starts + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if len(running) >= OPEN_MAX:
                told.begun += 1
                told.fail("TOO_LATE")
                continue
            task = asyncio.create_task(lived(life, door, told, due, began))
            running.add(task)
            task.add_done_callback(running.discard)
        starts += seconds
        await asyncio.sleep(max(0.0, starts - time.perf_counter()))
    await asyncio.gather(*running)
    return told


async def main() -> None:
    """Answer rounds."""
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plan = json.loads(await reader.readline())
    life = LIVES[plan["life"]]
    connector = aiohttp.TCPConnector(limit=1000)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(plan["url"], connector=connector, timeout=timeout) as session:
        door = Door(session, plan)
        say(ready=True)
        while line := await reader.readline():
            asked = json.loads(line)
            began = time.perf_counter()
            if "curve" in asked:
                told = await paced(life, door, [tuple(step) for step in asked["curve"]])
            else:
                told = await closed(life, door, asked["at_once"], asked["seconds"])
            say(**vars(told), seconds=time.perf_counter() - began)


if __name__ == "__main__":
    uvloop.run(main())
