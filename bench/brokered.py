# SPDX-License-Identifier: Apache-2.0
"""One brokered call with every control on, beside a bare echo of the same answer: what the benchmarks of calls share."""

import json
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from tongban.exchange.v1 import exchange_service_pb2 as pb

from bench.processes import Worker, cores, worker
from bench.result import Result, percentile, spread
from bench.world import PURPOSE, RESOURCE, World
from services.kit.certificates import Identity
from services.kit.certificates.spiffe import SpiffeId, host_of

SERVICE = "/tongban.exchange.v1.ExchangeService/"
IN_FLIGHT = 64
ROUNDS = 7
ROUND_SECONDS = 4
WARM_SECONDS = 2
NATIONAL_CALLS_PER_SECOND = 1080
"""The national platform's average, from the figures that it published (54 billion calls in all)."""


@dataclass(frozen=True)
class Call:
    """One call of the exchange: who makes it, and what it asks."""

    method: str
    request: Message
    answer: type[Message]
    caller: SpiffeId
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One of those compared: its loader, and the processes whose time counts."""

    loader: Worker
    servers: Sequence[Worker]
    target: str = ""


@dataclass(frozen=True)
class Round:
    """Calls a second, server CPU seconds a call, latencies in milliseconds."""

    rate: float
    cpu: float
    latencies: list[float]


def query(place: World) -> Call:
    """A resident's question through the gateway: mutual TLS, access token, rights, grant, field mask."""
    request = pb.QueryRequest(
        resource=RESOURCE,
        subject=pb.Subject(subject_id=place.subject_id),
        purpose=PURPOSE,
        on_behalf_of=place.hospital,
        case_id="bench",
    )
    metadata = {"authorization": f"Bearer {place.token}"}
    return Call("Query", request, pb.QueryResponse, SpiffeId("service", "gateway"), metadata)


def verify(place: World) -> Call:
    """A department's comparison: mutual TLS, rights, grant."""
    request = pb.VerifyRequest(
        resource=RESOURCE,
        subject=pb.Subject(number=place.number),
        values={"head_name": "HEAD"},
        purpose=PURPOSE,
        case_id="bench",
    )
    return Call("Verify", request, pb.VerifyResponse, SpiffeId("agency", place.hospital))


def plan(place: World, call: Call, *, target: str = "", **more: Any) -> dict[str, Any]:
    """A loader's plan for the call with its papers, at the exchange or another `target`."""
    folder = call.caller.folder(place.pki)
    return {
        **bare_plan(call, target or place.exchange_address),
        "host": host_of("service", "exchange"),
        "ca": str(place.pki / "ca.crt"),
        "certificate": str(folder / "tls.crt"),
        "key": str(folder / "tls.key"),
        "metadata": dict(call.metadata),
        **more,
    }


def bare_plan(call: Call, target: str) -> dict[str, Any]:
    """A loader's plan for the same bytes without papers."""
    request = call.request.SerializeToString().hex()
    return {"target": target, "method": SERVICE + call.method, "request": request, "in_flight": IN_FLIGHT}


async def once(place: World, call: Call) -> Any:
    """One real answer, for the baseline to echo."""
    credentials = Identity.open(place.pki, str(call.caller)).channel_credentials()
    options = [("grpc.ssl_target_name_override", host_of("service", "exchange"))]
    async with grpc.aio.secure_channel(place.exchange_address, credentials, options) as channel:
        stub = channel.unary_unary(
            SERVICE + call.method,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        return await stub(call.request, timeout=10, metadata=list(call.metadata.items()))


@asynccontextmanager
async def loading(plan: Mapping[str, Any], *, core: int | None) -> AsyncIterator[Worker]:
    """A loader that is ready."""
    async with worker("bench.loader", "--plan", json.dumps(plan), core=core) as loader:
        await loader.line()
        yield loader


@asynccontextmanager
async def echoing(call: Call, answer: Message) -> AsyncIterator[Side]:
    """The baseline: the same bytes from a bare server on the first core, its loader on the last."""
    async with AsyncExitStack() as stack:
        told = ("--method", SERVICE + call.method, "--answer", answer.SerializeToString().hex())
        echo = await stack.enter_async_context(worker("bench.echo", *told, core=cores()[0]))
        target = f"127.0.0.1:{(await echo.line())['port']}"
        loader = await stack.enter_async_context(loading(bare_plan(call, target), core=cores()[-1]))
        yield Side(loader, (echo,), target)


async def alternate(*sides: Side) -> list[list[Round]]:
    """Rounds of every side in turns, after one to warm up."""
    for side in sides:
        await side.loader.ask(str(WARM_SECONDS))
    rounds: list[list[Round]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        for done, side in zip(rounds, sides, strict=True):
            done.append(await round_of(side))
    return rounds


async def round_of(side: Side) -> Round:
    """One round of calls. Raises where one failed."""
    before = sum(each.cpu_seconds() for each in side.servers)
    told = await side.loader.ask(str(ROUND_SECONDS))
    if told["failed"]:
        raise RuntimeError(f"Calls failed: {told['failed']}")
    used = sum(each.cpu_seconds() for each in side.servers) - before
    return Round(told["calls"] / told["seconds"], used / told["calls"], told["latencies_ms"])


def result(
    name: str, whole: Sequence[Round], base: Sequence[Round], baseline: str, *, unit: str = "calls/s", **details: Any
) -> Result:
    """The figures of one side beside those of the other."""
    rates = [each.rate for each in whole]
    ratios = [one.rate / other.rate for one, other in zip(whole, base, strict=True)]
    latencies = [value for each in whole for value in each.latencies]
    return Result(
        name=name,
        value=round(statistics.median(rates), 1),
        unit=unit,
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        ratio=round(statistics.median(ratios), 3),
        baseline=baseline,
        repeats=ROUNDS,
        spread=round(spread(rates), 3),
        details={
            "baseline_calls_per_second": round(statistics.median(each.rate for each in base), 1),
            "ratio_min": round(min(ratios), 3),
            "ratio_max": round(max(ratios), 3),
            "ratio_by_server_cpu": round(statistics.median(b.cpu / w.cpu for w, b in zip(whole, base, strict=True)), 3),
            "share_of_the_national_average": round(statistics.median(rates) / NATIONAL_CALLS_PER_SECOND, 2),
            "in_flight": IN_FLIGHT,
            "round_seconds": ROUND_SECONDS,
            **details,
        },
    )
