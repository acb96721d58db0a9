# SPDX-License-Identifier: Apache-2.0
"""A closed loop of unary calls over gRPC: so many in flight, for so long; then one JSON line with the latencies."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import uvloop

from bench.processes import say


def channel(plan: dict[str, Any]) -> grpc.aio.Channel:
    """A channel to the server under test; with the caller's certificate where the plan names one."""
    options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
    if not plan.get("certificate"):
        return grpc.aio.insecure_channel(plan["target"], options)
    credentials = grpc.ssl_channel_credentials(
        Path(plan["ca"]).read_bytes(), Path(plan["key"]).read_bytes(), Path(plan["certificate"]).read_bytes()
    )
    return grpc.aio.secure_channel(
        plan["target"], credentials, [*options, ("grpc.ssl_target_name_override", plan["host"])]
    )


async def load(plan: dict[str, Any]) -> None:
    """Runs rounds as standard input asks for them: one line is one round's seconds."""
    request = bytes.fromhex(plan["request"])
    metadata = [(key, value) for key, value in plan.get("metadata", {}).items()]
    channels = [channel(plan) for _ in range(plan.get("channels", 2))]
    calls = [
        one.unary_unary(
            plan["method"], request_serializer=lambda payload: payload, response_deserializer=lambda payload: payload
        )
        for one in channels
    ]

    async def caller(call: Any, until: float, took: list[float], failed: dict[str, int]) -> None:
        while (began := time.perf_counter()) < until:
            try:
                await call(request, timeout=plan.get("timeout_seconds", 10.0), metadata=metadata)
                took.append(time.perf_counter() - began)
            except grpc.aio.AioRpcError as error:
                reason = f"{error.code().name}: {error.details()}"
                failed[reason] = failed.get(reason, 0) + 1

    async def round_of(seconds: float) -> None:
        took: list[float] = []
        failed: dict[str, int] = {}
        began = time.perf_counter()
        await asyncio.gather(
            *(caller(calls[index % len(calls)], began + seconds, took, failed) for index in range(plan["in_flight"]))
        )
        elapsed = time.perf_counter() - began
        say(calls=len(took), failed=failed, seconds=elapsed, latencies_ms=[round(value * 1000, 3) for value in took])

    say(ready=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await round_of(float(line))
    for one in channels:
        await one.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--plan",
        required=True,
        help="JSON: target, method, request (hex), in_flight, certificate, key, ca, host, metadata",
    )
    uvloop.run(load(json.loads(parser.parse_args().plan)))
