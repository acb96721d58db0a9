# SPDX-License-Identifier: Apache-2.0
"""What ill providers do to the others: the p99 of a healthy one while six more answer, and while the same six fall ill.

Both at the same rates, in turns: the healthy one is asked at half of what this machine carries, the six together a tenth as often. Ill means hung,
endless, a gigabyte, hanging up, drop by drop, and broken, one each. The goal is a p99 that moves by less than a fifth.
"""

import json
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.brokered import WARM_SECONDS, loading, plan, query
from bench.processes import Worker, cores, worker
from bench.result import Result, percentile, spread
from bench.sick_register import MANNERS
from bench.world import World, free_port, share, world

ROUNDS = 7
ROUND_SECONDS = 4
OTHERS_SHARE = 0.1
REST_SECONDS = 1.0
"""Of the breaker: well within a round, so that ill providers are tried again and again."""


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder)))
            settings = place.settings.model_copy(update={"provider_rest_seconds": REST_SECONDS})
            place = replace(place, settings=settings)
            other = cores()[-1]
            register = await stack.enter_async_context(worker("bench.register", core=other))
            sick = await stack.enter_async_context(worker("bench.sick_register", core=other))
            healthy = f"http://127.0.0.1:{(await register.line())['port']}/{{subject_key}}"
            base = f"http://127.0.0.1:{(await sick.line())['port']}"
            codes = {f"307008/{number:06d}": manner for number, manner in enumerate(MANNERS, 1)}
            for number, code in enumerate(codes, 1):
                await share(place.operator, code=code, provider=f"1199010000{number:07d}X", grantee=place.hospital)
            urls = {code: f"{base}/{manner}/{{subject_key}}" for code, manner in codes.items()}
            port = free_port()
            told = {"BENCH_PROVIDER": healthy, "BENCH_PROVIDERS": json.dumps(urls)}
            exchange = await stack.enter_async_context(place.another(core=cores()[0], port=port, **told))
            whole = plan(place, query(place), target=f"127.0.0.1:{port}")
            most = await stack.enter_async_context(loading(whole, core=other))
            await most.ask(str(WARM_SECONDS))
            measured = await most.ask(str(ROUND_SECONDS))
            rate = measured["calls"] / measured["seconds"] / 2
            pacers = []
            for each in (whole, {**whole, "requests": _requests(place, codes)}):
                pacer = await stack.enter_async_context(worker("bench.pacer", "--plan", json.dumps(each), core=other))
                await pacer.line()
                pacers.append(pacer)
            well, ill, memory = await _alternate(pacers[0], pacers[1], sick, exchange, rate)
    return _result(rate, well, ill, memory)


def _requests(place: World, codes: dict[str, str]) -> list[str]:
    call = query(place)
    found = []
    for code in codes:
        request: Any = type(call.request)()
        request.CopyFrom(call.request)
        request.resource = code
        found.append(request.SerializeToString().hex())
    return found


async def _alternate(
    healthy: Worker, others: Worker, sick: Worker, exchange: Worker, rate: float
) -> tuple[list[list[float]], list[list[float]], list[int]]:
    """Latencies of the healthy provider's rounds beside well and ill ones, and the exchange's memory after each, MiB."""
    well: list[list[float]] = []
    ill: list[list[float]] = []
    memory = []
    for number in range(ROUNDS + 1):
        for done, word in ((well, "well"), (ill, "ill")):
            await sick.ask(word)
            others.tell(f"{rate * OTHERS_SHARE} {ROUND_SECONDS}")
            told = await healthy.ask(f"{rate} {ROUND_SECONDS}")
            await others.line()
            if told["failed"]:
                raise RuntimeError(f"Calls to the healthy provider failed: {told['failed']}")
            if number:  # the first round warms up
                done.append(told["latencies_ms"])
                memory.append(exchange.memory_mebibytes())
    return well, ill, memory


def _result(rate: float, well: list[list[float]], ill: list[list[float]], memory: list[int]) -> Result:
    p99 = [percentile(each, 0.99) for each in ill]
    ratios = [one / percentile(other, 0.99) for one, other in zip(p99, well, strict=True)]
    latencies = [value for each in ill for value in each]
    return Result(
        name="provider_faults",
        value=round(statistics.median(p99), 2),
        unit="ms at p99 of a healthy provider",
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        ratio=round(statistics.median(ratios), 3),
        baseline="the same while the other six answer",
        repeats=ROUNDS,
        spread=round(spread(p99), 3),
        details={
            "calls_per_second": round(rate, 1),
            "others_per_second": round(rate * OTHERS_SHARE, 1),
            "well_p99_ms": round(statistics.median(percentile(each, 0.99) for each in well), 2),
            "ratio_of_all_rounds": round(
                percentile(latencies, 0.99) / percentile([value for each in well for value in each], 0.99), 3
            ),
            "memory_mebibytes_max": max(memory),
        },
    )
