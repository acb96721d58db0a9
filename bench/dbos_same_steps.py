# SPDX-License-Identifier: Apache-2.0
"""Cases of five durable steps by the case engine and by DBOS, in turns, on the same PostgreSQL server and the same two cores.

DBOS is installed into `var/bench/dbos` by pip on first use. Ours: seven commits a case, with sealed history, guard rows and facts in the outbox;
theirs: a workflow of five steps, run by as many threads as it was quickest with.
"""

import asyncio
import statistics
import subprocess
import tempfile
import venv
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench.processes import Worker, program, worker
from bench.result import Result, percentile, spread
from services.cli.postgres import Postgres

DBOS = "dbos==3.4.0"
FOLDER = Path("var/bench/dbos")
AT_ONCE = 16
ROUNDS = 7
ROUND_SECONDS = 4
WARM_SECONDS = 2


def installed() -> Path:
    """The interpreter that has DBOS."""
    python = FOLDER / "bin" / "python"
    if not python.exists():
        venv.create(FOLDER, with_pip=True)
        command = (str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", DBOS)
        subprocess.run(command, check=True)  # noqa: S603 - our own words
    return python.absolute()


async def run() -> Result:
    """Measures and gives the figures."""
    python = await asyncio.to_thread(installed)
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            postgres = await asyncio.to_thread(Postgres.start, folder / "postgres")
            stack.callback(postgres.stop)
            ours = await postgres.create_database("bench_engine")
            theirs = await postgres.create_database("bench_dbos")
            engine = await stack.enter_async_context(
                worker("bench.engine_steps", ours, str(folder / "keys"), str(AT_ONCE), core=None)
            )
            script = str(Path(__file__).parent / "opponents" / "dbos_steps.py")
            dbos = await stack.enter_async_context(program(str(python), script, theirs, str(AT_ONCE), core=None))
            sides: dict[str, tuple[Worker, list[dict[str, Any]]]] = {"engine": (engine, []), "dbos": (dbos, [])}
            for side, _ in sides.values():
                await side.line()
                await side.ask(str(WARM_SECONDS))
            for _ in range(ROUNDS):
                for side, rounds in sides.values():
                    before = side.cpu_seconds()
                    told = await side.ask(str(ROUND_SECONDS))
                    rounds.append({**told, "cpu": (side.cpu_seconds() - before) / told["cases"]})
    whole, base = sides["engine"][1], sides["dbos"][1]
    rates = [each["cases"] / each["seconds"] for each in whole]
    others = [each["cases"] / each["seconds"] for each in base]
    ratios = [one / other for one, other in zip(rates, others, strict=True)]
    latencies = [value for each in whole for value in each["latencies_ms"]]
    return Result(
        name="dbos_same_steps",
        value=round(statistics.median(rates), 1),
        unit="cases/s",
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        ratio=round(statistics.median(ratios), 2),
        baseline=f"{DBOS}, a workflow of five steps",
        repeats=ROUNDS,
        spread=round(spread(rates), 3),
        details={
            "dbos_cases_per_second": round(statistics.median(others), 1),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
            "cpu_ms_per_case": round(1000 * statistics.median(each["cpu"] for each in whole), 2),
            "dbos_cpu_ms_per_case": round(1000 * statistics.median(each["cpu"] for each in base), 2),
            "at_once": AT_ONCE,
        },
    )
