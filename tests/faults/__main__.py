# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.faults`: a system under births, one fault after the other, the invariants checked after each; a report at the end."""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.births import Births
from tests.faults.faults import PROCESSES, Plan, plans
from tests.support.invariants import Finding, inspect, settled
from tests.support.system import System

SETTLE_SECONDS = 120.0
SETTINGS = {
    # A department that died with a task in hand is waited for so long, instead of half a minute.
    "TONGBAN_GATEWAY_LEASE_SECONDS": "5",
    # What a fault cuts off between the two calls of a birth stays a draft.
    "TONGBAN_GATEWAY_DRAFTS_MAX": "1000",
    # These mothers have hundreds of births a day, and while something is gone many of them are under way.
    "TONGBAN_GATEWAY_OPEN_CASES_MAX": "10000",
    "TONGBAN_GATEWAY_SUBMISSIONS_PER_DAY": "100000",
    # These mothers have more children in an hour than anybody fills in forms in a day.
    "TONGBAN_EXCHANGE_OWN_QUERIES_PER_DAY": "1000000",
}


@dataclass(slots=True)
class Outcome:
    """One fault, all its repeats."""

    profile: str
    fault: str
    times: int = 0
    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    seconds_max: float = 0.0
    """Longest time from the end of the fault until every case of that round had ended."""


async def round_of(system: System, plan: Plan, outcome: Outcome, *, residents: int) -> None:
    """One repeat: births, the fault, a little more life, quiet, the check."""
    async with Births.going_on(system, residents=residents) as births:
        await asyncio.sleep(1.0)
        await plan.fault(system)
        began = time.monotonic()
        before = len(births.submitted)
        while len(births.submitted) < before + residents:
            await asyncio.sleep(0.1)
    outcome.findings += await settled(system, seconds=SETTLE_SECONDS)
    outcome.seconds_max = max(outcome.seconds_max, round(time.monotonic() - began, 1))
    outcome.times += 1
    outcome.cases += len(births.submitted)
    outcome.findings += await inspect(system, submitted=births.submitted)


async def run_profile(profile: str, options: argparse.Namespace) -> list[Outcome]:
    """Everything a profile goes through; each fault meets a system of its own, all its repeats the same one."""
    outcomes: list[Outcome] = []
    for plan in plans(profile, kills=options.kills, gone_seconds=options.gone_seconds):
        if options.only and options.only not in plan.name:
            continue
        outcome = Outcome(profile, plan.name)
        outcomes.append(outcome)
        with tempfile.TemporaryDirectory(prefix="tongban-faults-") as folder:
            async with System.running(profile, Path(folder), SETTINGS) as system:
                assert set(system.processes()) == set(PROCESSES[profile]), "A process that no fault is made for."
                for _ in range(plan.times):
                    await round_of(system, plan, outcome, residents=options.residents)
                    if outcome.findings:
                        break
        print(said(outcome), flush=True)
    return outcomes


def said(outcome: Outcome) -> str:
    """One line."""
    broken = "; ".join(f"{each.invariant}: {each.what}" for each in outcome.findings[:5]) or "all invariants hold"
    return (
        f"{outcome.profile:9} {outcome.fault:34} {outcome.times:3} times, {outcome.cases:4} cases, "
        f"settled in {outcome.seconds_max} s: {broken}"
    )


def table(outcomes: list[Outcome]) -> str:
    """A Markdown table."""
    rows = [
        "| profile | fault | times | cases submitted meanwhile | settled within | invariants broken |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {each.profile} | {each.fault} | {each.times} | {each.cases} | {each.seconds_max} s | {len(each.findings)} |"
        for each in outcomes
    ]
    return "\n".join(rows)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--profile", choices=["embedded", "full", "all"], default="all")
    parser.add_argument("--kills", type=int, default=20, help="kills per process")
    parser.add_argument("--residents", type=int, default=3, help="residents at the same time")
    parser.add_argument("--gone-seconds", type=float, default=30.0, help="how long a broker or database stays away")
    parser.add_argument("--only", default="", help="only faults whose name has this in it")
    parser.add_argument("--report", type=Path, default=Path("var/faults.json"))
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    for profile in ["embedded", "full"] if options.profile == "all" else [options.profile]:
        outcomes += asyncio.run(run_profile(profile, options))
    print(f"\n{table(outcomes)}")
    options.report.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "outcomes": [asdict(each) for each in outcomes],
    }
    options.report.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any(each.findings for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
