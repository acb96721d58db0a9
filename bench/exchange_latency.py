# SPDX-License-Identifier: Apache-2.0
"""What the broker adds to a department's call at half of its load: the register asked directly, and through the exchange, at the same rate.

Calls begin on schedule and are timed from when they were due, so that a queue shows. The register speaks HTTP in a process of its own.
"""

import json
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.brokered import WARM_SECONDS, loading, plan, query
from bench.processes import Worker, cores, worker
from bench.result import Result, percentile, spread
from bench.world import free_port, world

ROUNDS = 7
ROUND_SECONDS = 4


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder)))
            other = cores()[-1]
            register = await stack.enter_async_context(worker("bench.register", core=other))
            url = f"http://127.0.0.1:{(await register.line())['port']}/record/"
            port = free_port()
            await stack.enter_async_context(
                place.another(core=cores()[0], port=port, BENCH_PROVIDER=url + "{subject_key}")
            )
            whole = plan(place, query(place), target=f"127.0.0.1:{port}")
            most = await stack.enter_async_context(loading(whole, core=other))
            await most.ask(str(WARM_SECONDS))
            told = await most.ask(str(ROUND_SECONDS))
            rate = told["calls"] / told["seconds"] / 2
            pacers = []
            for each in ({"url": f"{url}{place.number}"}, whole):
                pacer = await stack.enter_async_context(worker("bench.pacer", "--plan", json.dumps(each), core=other))
                await pacer.line()
                pacers.append(pacer)
            direct, brokered = await _alternate(pacers[0], pacers[1], rate)
    added = [percentile(one, 0.99) - percentile(other, 0.99) for one, other in zip(brokered, direct, strict=True)]
    latencies = [value for each in brokered for value in each]
    return Result(
        name="exchange_latency",
        value=round(statistics.median(added), 2),
        unit="ms added at p99",
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        ratio=None,
        baseline="the register asked directly at the same rate",
        repeats=ROUNDS,
        spread=round(spread(added), 3),
        details={
            "calls_per_second": round(rate, 1),
            "direct_p50_ms": percentile([value for each in direct for value in each], 0.5),
            "direct_p99_ms": percentile([value for each in direct for value in each], 0.99),
        },
    )


async def _alternate(direct: Worker, brokered: Worker, rate: float) -> tuple[list[list[float]], list[list[float]]]:
    rounds: tuple[list[list[float]], list[list[float]]] = ([], [])
    for number in range(ROUNDS + 1):
        for done, pacer in zip(rounds, (direct, brokered), strict=True):
            told = await pacer.ask(f"{rate} {ROUND_SECONDS}")
            if told["failed"]:
                raise RuntimeError(f"Calls failed: {told['failed']}")
            if number:  # the first round warms up
                done.append(told["latencies_ms"])
    return rounds
