# SPDX-License-Identifier: Apache-2.0
"""`python -m bench [name ...]`: runs benchmarks, writes `var/bench/<name>.json` each, prints the table."""

import asyncio
import sys
from importlib import import_module

from bench.result import table

NAMES = (
    "exchange_query",
    "exchange_verify",
    "exchange_workers",
    "exchange_batch",
    "exchange_hop",
    "exchange_latency",
    "provider_faults",
    "ledger_append",
    "event_relay",
    "grant_decision",
    "dbos_same_steps",
    "birth_case",
    "seven_step_case",
    "complaint_life",
    "burst",
)


def main() -> int:
    """Runs the command line."""
    chosen = sys.argv[1:] or NAMES
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        sys.stderr.write(f"No benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}.\n")
        return 2
    results = []
    for name in chosen:
        result = asyncio.run(import_module(f"bench.{name}").run())
        sys.stdout.write(f"{name}: {result.write()}\n")
        results.append(result)
    sys.stdout.write(f"\n{table(results)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
