# SPDX-License-Identifier: Apache-2.0
"""DBOS: a workflow of five durable steps, run by threads in a closed loop. Started by `dbos_same_steps` with DBOS's own interpreter.

A line on standard input is a round's seconds; each is answered with one JSON line.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig

config: DBOSConfig = {
    "name": "bench",
    "system_database_url": sys.argv[1],
    "log_level": "ERROR",
    "sys_db_pool_size": 40,
}
DBOS(config=config)


@DBOS.step()
def fact(number: int) -> dict[str, str]:
    """What a department would have told."""
    return {"status": f"ok-{number}"}


@DBOS.workflow()
def five_steps() -> str:
    """Five steps, one after another."""
    told = {}
    for number in range(5):
        told = fact(number)
    return told["status"]


def looped(until: float) -> list[float]:
    """Run workflows until the time is over; milliseconds each."""
    took = []
    while (began := time.perf_counter()) < until:
        five_steps()
        took.append((time.perf_counter() - began) * 1000)
    return took


def say(**record: object) -> None:
    """Tell the starter one JSON line."""
    sys.stdout.write(json.dumps({"bench": True} | record) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answer rounds."""
    DBOS.launch()
    threads = int(sys.argv[2])
    with ThreadPoolExecutor(threads) as pool:
        say(ready=True)
        for line in sys.stdin:
            began = time.perf_counter()
            done = list(pool.map(looped, [began + float(line)] * threads))
            took = [each for one in done for each in one]
            seconds = time.perf_counter() - began
            say(cases=len(took), seconds=seconds, latencies_ms=took)
    DBOS.destroy()


main()
