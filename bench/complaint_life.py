# SPDX-License-Identifier: Apache-2.0
"""The complaint's four calls (create, assign, resolve, search) at the public door of a gateway that has many cases already.

Full profile, everything with the loader on one machine. A resident files, two clerks claim and answer, the resident finds the
complaint by its number, completed, at once and without waiting: what was written is read. A call here is what DIGIT's load test
calls one, so create is two requests (draft, submission), assign and resolve are two each (claim, answer). First a closed loop of
as many lives at once as DIGIT's had, then an open one at its best rate.
"""

import tempfile
from pathlib import Path

from bench.complaints import stored
from bench.lives import counted, cpu_of_a_life, latencies, of_calls, rates, round_of
from bench.result import Result
from bench.town import town

PEER_PER_SECOND = 37
PEER_P95_MS = 558
"""DIGIT's best: 37 lives a second, p95 of a call 558 ms, at 100,000 complaints, some 30 containers on 16 vCPU (its own report)."""


async def run(
    *,
    cases: int = 100_000,
    citizens: int = 200,
    clerks: int = 20,
    at_once: int = 50,
    warm_seconds: float = 5,
    rounds: int = 5,
    seconds: float = 10,
    paced_seconds: float = 40,
    rate: float = PEER_PER_SECOND,
) -> Result:
    """Measures and gives the figures; about four minutes, one of them to store the cases."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with town(Path(folder), citizens=citizens, clerks=clerks) as place:
            filled_seconds = await stored(place, cases)
            async with place.people(life="complaint") as loader:
                await round_of(place, loader, at_once=at_once, seconds=warm_seconds)
                closed = [await round_of(place, loader, at_once=at_once, seconds=seconds) for _ in range(rounds)]
                paced = await round_of(place, loader, curve=[(rate, paced_seconds)])
    measured = rates(closed)
    calls = of_calls(closed)
    return Result(
        name="complaint_life",
        value=measured["median"],
        unit="lives/s",
        **latencies([value for one in closed for each in one.round["calls"].values() for value in each]),
        ratio=round(measured["median"] / PEER_PER_SECOND, 2),
        baseline=f"DIGIT's own report: {PEER_PER_SECOND} lives/s, p95 {PEER_P95_MS} ms, on 16 vCPU; not run here",
        repeats=rounds,
        spread=measured["spread"],
        details={
            "stored_cases": cases,
            "filled_seconds": filled_seconds,
            "at_once": at_once,
            "closed": calls,
            "worst_p95_ms_closed": max(each["p95_ms"] for each in calls.values()),
            "closed_cpu_ms_per_life": cpu_of_a_life(closed),
            "open": {"rate": rate, **counted(paced), **of_calls([paced])},
            "open_cpu_ms_per_life": cpu_of_a_life([paced]),
        },
    )
