# SPDX-License-Identifier: Apache-2.0
"""Births end to end on the full profile: REST, engine, Kafka, PostgreSQL, departments, licenses signed, leaves durable.

Everything, the loader included, runs on one machine.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.result import Result, percentile, spread
from tests.support.system import System

PERSONAS = [f"mother-{number}" for number in range(1, 7)]
AT_ONCE = 12
ROUNDS = 3
CASES_PER_ROUND = 60


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with System.running("full", Path(folder), {"TONGBAN_SAMPLE_RATIO": "0.01"}) as system:
            idle = memory(system)
            samples = await _samples(system)
            await _round(system, samples, AT_ONCE)
            rates: list[float] = []
            took: list[float] = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                took += await _round(system, samples, CASES_PER_ROUND)
                rates.append(CASES_PER_ROUND / (time.perf_counter() - began))
            alone = [await _birth(system, samples, PERSONAS[0]) for _ in range(5)]
            return Result(
                name="birth_case",
                value=round(statistics.median(rates), 2),
                unit="cases/s",
                p50_ms=percentile(took, 0.5),
                p95_ms=percentile(took, 0.95),
                p99_ms=percentile(took, 0.99),
                ratio=None,
                baseline="none: no peer runs this case",
                repeats=ROUNDS,
                spread=round(spread(rates), 3),
                details={
                    "at_once": AT_ONCE,
                    "alone_p50_ms": percentile(alone, 0.5),
                    "memory_mb_idle": idle,
                    "memory_mb_after": memory(system),
                    "memory_mb_embedded": await _embedded(),
                },
            )


async def _embedded() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with System.running("embedded", Path(folder)) as system:
            await _birth(system, await _samples(system), PERSONAS[0])
            return memory(system)


async def _samples(system: System) -> dict[str, Any]:
    async with system.http() as http:
        listing = (await http.get("/api/v1/sandbox/personas")).raise_for_status().json()
    return {each["key"]: each["samples"]["birth"] for each in listing["personas"] if each["key"] in PERSONAS}


async def _round(system: System, samples: dict[str, Any], cases: int) -> list[float]:
    waiting = list(range(cases))
    took: list[float] = []

    async def residents(persona: str) -> None:
        while waiting:
            waiting.pop()
            took.append(await _birth(system, samples, persona))

    await asyncio.gather(*(residents(PERSONAS[index % len(PERSONAS)]) for index in range(AT_ONCE)))
    return took


async def _birth(system: System, samples: dict[str, Any], persona: str) -> float:
    """One birth, from the first call to the last event; milliseconds."""
    async with system.resident(persona) as mother:
        began = time.perf_counter()
        case = await mother.create("birth", samples[persona])
        await mother.submit(case["id"])
        async for _ in mother.events(case["id"]):
            pass
        elapsed = (time.perf_counter() - began) * 1000
        ended = await mother.case(case["id"])
        if ended["status"] != "completed":
            raise RuntimeError(
                f"A birth ended as {ended['status']}: {json.dumps(ended['steps'], ensure_ascii=False)[:2000]}"
            )
        return elapsed


def memory(system: System) -> dict[str, float]:
    """Proportional set size of each process in MB, where the kernel tells it; else resident."""
    return {name: round(_memory(pid) / 1024, 1) for name, pid in sorted(system.processes().items())}


def _memory(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    for path, word in ((rollup, "Pss:"), (Path(f"/proc/{pid}/status"), "VmRSS:")):
        if path.exists() and os.access(path, os.R_OK):
            for line in path.read_text().splitlines():
                if line.startswith(word):
                    return float(line.split()[1])
    return 0.0
