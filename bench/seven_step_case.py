# SPDX-License-Identifier: Apache-2.0
"""Cases of seven steps by three departments, from the draft at the public door to the last event that reaches the applicant.

Full profile, everything with the loader on one machine: REST, engine, Kafka, PostgreSQL, and the owners of the steps as in
production: identity verifies, licenses signs, the departments take their tasks from streams of `TaskService` and write them into
registers of their own. First a closed loop of as many cases at once as `AT_ONCE`, then an open one at the goal's rate.
"""

import tempfile
from pathlib import Path

from bench.lives import counted, cpu_of_a_life, latencies, of_calls, rates, round_of
from bench.result import Result
from bench.town import town

MATTERS = Path(__file__).parent / "matters"
GOAL_PER_SECOND = 15
ANSWERS = {"firm_name": "通办基准{new}有限公司", "scope": "软件开发", "address": "通办市云桥路1号"}


async def run(
    *,
    citizens: int = 200,
    at_once: int = 48,
    warm_seconds: float = 5,
    rounds: int = 5,
    seconds: float = 10,
    paced_seconds: float = 40,
    rate: float = GOAL_PER_SECOND,
) -> Result:
    """Measures and gives the figures; about two and a half minutes."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with (
            town(Path(folder), citizens=citizens, TONGBAN_GATEWAY_MATTERS=str(MATTERS)) as place,
            place.people(life="case", matter="seven_steps", answers=ANSWERS) as loader,
        ):
            await round_of(place, loader, at_once=at_once, seconds=warm_seconds)
            closed = [await round_of(place, loader, at_once=at_once, seconds=seconds) for _ in range(rounds)]
            paced = await round_of(place, loader, curve=[(rate, paced_seconds)])
    measured = rates(closed)
    return Result(
        name="seven_step_case",
        value=measured["median"],
        unit="cases/s",
        **latencies(paced.round["lives"]),
        ratio=round(measured["median"] / GOAL_PER_SECOND, 2),
        baseline=f"the goal of {GOAL_PER_SECOND} cases/s; no peer runs this case. Latencies: open loop, {rate:g}/s",
        repeats=rounds,
        spread=measured["spread"],
        details={
            "at_once": at_once,
            "closed": {"life": latencies([each for one in closed for each in one.round["lives"]]), **of_calls(closed)},
            "closed_cpu_ms_per_case": cpu_of_a_life(closed),
            "open": {"rate": rate, **counted(paced), **of_calls([paced])},
            "open_cpu_ms_per_case": cpu_of_a_life([paced]),
        },
    )
