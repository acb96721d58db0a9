# SPDX-License-Identifier: Apache-2.0
"""Watching a case: server-sent events that can be taken up again."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx

from services.gateway.rest.limits import Limits
from services.kit.errors import Unavailable
from tests.support.gateway_door import MOTHER, OTHER, Doorway, doorway, draft


def events(text: str) -> Iterator[dict[str, Any]]:
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "id" in fields:
            yield {**fields, "data": json.loads(fields["data"])}


async def watch(door: Doorway, case: dict[str, object], last: str = "") -> httpx.Response:
    headers = {**MOTHER, **({"last-event-id": last} if last else {})}
    return await door.client.get(f"/api/v1/cases/{case['id']}/events", headers=headers)


async def test_a_stream_tells_everything_and_ends_with_the_case() -> None:
    async with doorway() as door:
        case = await draft(door)
        watching = asyncio.create_task(watch(door, case))
        for kind in ("submitted", "step_started", "step_done", "ended"):
            await asyncio.sleep(0)
            await door.gateway.happened(str(case["id"]), kind)
        response = await watching
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        told = list(events(response.text))
        assert [event["id"] for event in told] == ["1", "2", "3", "4", "5"]
        assert [event["event"] for event in told] == ["opened", "submitted", "step_started", "step_done", "ended"]
        assert told[0]["data"]["text"] == {"zh": "发生了", "en": "It happened"}


async def test_a_stream_goes_on_after_the_last_event_that_was_seen() -> None:
    async with doorway() as door:
        case = await draft(door)
        for kind in ("submitted", "step_done", "ended"):
            await door.gateway.happened(str(case["id"]), kind)
        assert [event["id"] for event in events((await watch(door, case, last="2")).text)] == ["3", "4"]
        nothing_left = await watch(door, case, last="4")
        assert (nothing_left.status_code, nothing_left.content) == (204, b"")


async def test_a_silent_stream_says_that_it_lives() -> None:
    async with doorway(limits=Limits(heartbeat_seconds=0.02)) as door:
        case = await draft(door)
        watching = asyncio.create_task(watch(door, case))
        await asyncio.sleep(0.1)
        await door.gateway.happened(str(case["id"]), "ended")
        assert ": heartbeat\n\n" in (await watching).text


async def test_a_number_that_is_none_is_refused() -> None:
    async with doorway() as door:
        case = await draft(door)
        for odd in ("-1", "x", "1.5", "１"):
            headers = [(b"authorization", b"Bearer citizen:mother"), (b"last-event-id", odd.encode())]
            response = await door.client.get(f"/api/v1/cases/{case['id']}/events", headers=headers)
            assert response.status_code == 400
            assert response.json()["violations"][0]["field"] == "Last-Event-ID"


async def test_streams_are_bounded_in_all_and_for_each_caller() -> None:
    limits = Limits(streams_max=2, streams_per_caller_max=1)
    async with doorway(limits=limits) as door:
        case = await draft(door)
        watching = asyncio.create_task(watch(door, case))
        await asyncio.sleep(0.01)
        refused = await watch(door, case)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_REQUESTS")
        assert int(refused.headers["retry-after"]) >= 1
        other = await door.client.get(f"/api/v1/cases/{case['id']}/events", headers=OTHER)
        assert other.status_code == 404
        await door.gateway.happened(str(case["id"]), "ended")
        assert (await watching).status_code == 200
        assert (await watch(door, case)).status_code == 200


async def test_a_stream_is_no_work_in_flight() -> None:
    async with doorway(limits=Limits(in_flight_max=1)) as door:
        case = await draft(door)
        watching = asyncio.create_task(watch(door, case))
        await asyncio.sleep(0.01)
        assert (await door.client.get(f"/api/v1/cases/{case['id']}", headers=MOTHER)).status_code == 200
        await door.gateway.happened(str(case["id"]), "ended")
        await watching
        assert (await door.client.get("/api/v1/cases", headers=MOTHER)).status_code == 200


async def test_a_stream_that_loses_its_source_ends_so_that_the_reader_comes_back() -> None:
    async with doorway(limits=Limits(heartbeat_seconds=0.02)) as door:
        case = await draft(door)
        watching = asyncio.create_task(watch(door, case))
        await asyncio.sleep(0.01)
        door.gateway.broken = Unavailable("The database is away.")
        await door.gateway.happened(str(case["id"]), "submitted")
        assert [event["id"] for event in events((await watching).text)] == ["1"]
