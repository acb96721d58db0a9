# SPDX-License-Identifier: Apache-2.0
"""One brokered query with every control on, against a bare echo of the same answer, in alternation on the same core.

What is measured: mutual TLS, access token (cached), rights, grant, field mask, log line, 1 % sampling, and a leaf in the
ledger, durable in PostgreSQL before the answer.
The baseline answers the same bytes over the same framework, without TLS or any control. Server on one core; loader, database, broker and identity on the other.
"""

import json
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from tongban.exchange.v1 import exchange_service_pb2 as pb

from bench.processes import Worker, cores, worker
from bench.result import Result, percentile, spread
from bench.world import PURPOSE, RESOURCE, World, world
from services.kit.certificates import Identity
from services.kit.certificates.spiffe import host_of

METHOD = "/tongban.exchange.v1.ExchangeService/Query"
IN_FLIGHT = 64
ROUNDS = 7
ROUND_SECONDS = 4
WARM_SECONDS = 2


async def run() -> Result:
    """Measures and gives the figures."""
    first, second = cores()[0], cores()[-1]
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder), server_core=first, other_core=second))
            request = pb.QueryRequest(
                resource=RESOURCE,
                subject=pb.Subject(subject_id=place.subject_id),
                purpose=PURPOSE,
                on_behalf_of=place.hospital,
                case_id="bench",
            )
            answer = await _once(place, request)
            echo = await stack.enter_async_context(
                worker("bench.echo", "--answer", answer.SerializeToString().hex(), core=first)
            )
            bare = {
                "target": f"127.0.0.1:{(await echo.line())['port']}",
                "method": METHOD,
                "request": request.SerializeToString().hex(),
                "in_flight": IN_FLIGHT,
            }
            whole = bare | _papers(place)
            loaders = [
                await stack.enter_async_context(worker("bench.loader", "--plan", json.dumps(plan), core=second))
                for plan in (bare, whole)
            ]
            for loader in loaders:
                await loader.line()
            return await _alternate(loaders[0], echo, loaders[1], place.exchange)


async def _alternate(bare: Worker, echo: Worker, whole: Worker, exchange: Worker) -> Result:
    for loader in (bare, whole):
        await loader.ask(str(WARM_SECONDS))
    base: list[float] = []
    full: list[float] = []
    cpu: list[float] = []
    latencies: list[float] = []
    for _ in range(ROUNDS):
        base_rate, base_cpu, _ = await _round(bare, echo)
        rate, used, took = await _round(whole, exchange)
        base.append(base_rate)
        full.append(rate)
        cpu.append(base_cpu / used)
        latencies += took
    ratios = [one / other for one, other in zip(full, base, strict=True)]
    return Result(
        name="exchange_query",
        value=round(statistics.median(full), 1),
        unit="calls/s",
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        ratio=round(statistics.median(ratios), 3),
        baseline="bare grpc.aio echo of the same answer, same core",
        repeats=ROUNDS,
        spread=round(spread(full), 3),
        details={
            "baseline_calls_per_second": round(statistics.median(base), 1),
            "ratio_min": round(min(ratios), 3),
            "ratio_max": round(max(ratios), 3),
            "ratio_by_server_cpu": round(statistics.median(cpu), 3),
            "in_flight": IN_FLIGHT,
            "round_seconds": ROUND_SECONDS,
        },
    )


async def _round(loader: Worker, server: Worker) -> tuple[float, float, list[float]]:
    """Calls a second, server CPU seconds a call, latencies in milliseconds."""
    before = server.cpu_seconds()
    told = await loader.ask(str(ROUND_SECONDS))
    if told["failed"]:
        raise RuntimeError(f"Calls failed: {told['failed']}")
    return told["calls"] / told["seconds"], (server.cpu_seconds() - before) / told["calls"], told["latencies_ms"]


def _papers(place: World) -> dict[str, Any]:
    folder = place.pki / "services" / "gateway"
    return {
        "target": place.exchange_address,
        "host": host_of("service", "exchange"),
        "ca": str(place.pki / "ca.crt"),
        "certificate": str(folder / "tls.crt"),
        "key": str(folder / "tls.key"),
        "metadata": {"authorization": f"Bearer {place.token}"},
    }


async def _once(place: World, request: pb.QueryRequest) -> pb.QueryResponse:
    """One real answer, for the baseline to echo; and the mask is seen to hold."""
    credentials = Identity.open(place.pki, "spiffe://tongban/service/gateway").channel_credentials()
    options = [("grpc.ssl_target_name_override", host_of("service", "exchange"))]
    async with grpc.aio.secure_channel(place.exchange_address, credentials, options) as channel:
        query = channel.unary_unary(
            METHOD,
            request_serializer=pb.QueryRequest.SerializeToString,
            response_deserializer=pb.QueryResponse.FromString,
        )
        answer: pb.QueryResponse = await query(
            request, timeout=10, metadata=[("authorization", f"Bearer {place.token}")]
        )
    if set(answer.values) != {"household_number", "relation"}:
        raise RuntimeError(f"The mask did not hold: {sorted(answer.values)}")
    return answer
