# SPDX-License-Identifier: Apache-2.0
"""An open loop: calls begin on schedule whether or not earlier ones have ended, and each is timed from when it was due."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

import httpx
import uvloop

from bench.loader import channel
from bench.processes import say

LATE_MAX = 2000
"""Calls open at once; beyond it the server can't keep up with the rate, and that is the result."""


def over_grpc(plan: dict[str, Any]) -> Callable[[], Awaitable[None]]:
    """The brokered call; of several requests one after the other."""
    requests = cycle([bytes.fromhex(each) for each in plan.get("requests", [plan["request"]])])
    metadata = list(plan["metadata"].items())
    call = channel(plan).unary_unary(
        plan["method"], request_serializer=lambda payload: payload, response_deserializer=lambda payload: payload
    )

    async def one() -> None:
        await call(next(requests), timeout=10.0, metadata=metadata)

    return one


def over_http(plan: dict[str, Any]) -> Callable[[], Awaitable[None]]:
    """The direct call, by the same client library that the broker's adapter uses."""
    client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=64, max_keepalive_connections=64))

    async def one() -> None:
        (await client.get(plan["url"])).raise_for_status()

    return one


async def paced(one: Callable[[], Awaitable[None]], rate: float, seconds: float) -> None:
    """One round."""
    took: list[float] = []
    failed: list[str] = []
    running: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def timed(due: float) -> None:
        try:
            await one()
            took.append(round((time.perf_counter() - due) * 1000, 3))
        except Exception as error:  # noqa: BLE001 - whatever it is, the round says so
            failed.append(type(error).__name__)

    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if len(running) >= LATE_MAX:
            failed.append("TOO_LATE")
            continue
        task = asyncio.create_task(timed(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    say(calls=len(took), failed=failed[:10], latencies_ms=took)


async def main(plan: dict[str, Any]) -> None:
    """Runs rounds as standard input asks for them: one line is rate and seconds."""
    one = over_http(plan) if "url" in plan else over_grpc(plan)
    say(ready=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        rate, seconds = map(float, line.split())
        await paced(one, rate, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--plan", required=True, help="JSON: as the loader's, or url for a direct call")
    uvloop.run(main(json.loads(parser.parse_args().plan)))
