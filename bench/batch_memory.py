# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.batch_memory`: how much memory one exchange process takes while it streams large batches.

Full profile, certificates, leaves and sealed parts in PostgreSQL; rows of 10 kB from a register in memory; every row is
received, digested and held. Ends with 1 where the ceiling was passed or a row was lost.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench.batches import allow, receive, receiving
from bench.processes import Worker
from bench.world import free_port, world

PADDING = 10_000
WATCH_SECONDS = 0.1


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10, help="streams at once")
    parser.add_argument("--megabytes", type=int, default=100, help="of each stream")
    parser.add_argument("--ceiling", type=int, default=512, help="mebibytes that the process may take")
    asked = parser.parse_args()
    return asyncio.run(run(asked.streams, asked.megabytes, asked.ceiling))


async def run(streams: int, megabytes: int, ceiling: int) -> int:
    """Streams, watches, and says what it took."""
    rows = megabytes * 1_000_000 // PADDING
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder), pinned=False))
            await allow(place)
            port = free_port()
            process = await stack.enter_async_context(place.another(core=None, port=port, BENCH_PADDING=str(PADDING)))
            peer = await stack.enter_async_context(receiving(place, f"127.0.0.1:{port}"))
            idle = process.memory_mebibytes()
            watching = asyncio.create_task(_most(process))
            begun = time.monotonic()
            received = await asyncio.gather(*(receive(peer, place, rows) for _ in range(streams)))
            seconds = time.monotonic() - begun
            watching.cancel()
            most = max(_seen)
    whole = sum(received) // 1_000_000
    sys.stdout.write(
        f"{streams} streams of {rows} rows: {whole} MB in {seconds:.1f} s, {streams * rows / seconds:.0f} rows/s; "
        f"memory {idle} MiB idle, {most} MiB at most, ceiling {ceiling} MiB\n"
    )
    return int(most > ceiling or whole < streams * megabytes)


_seen: list[int] = [0]


async def _most(process: Worker) -> None:
    while True:
        _seen.append(process.memory_mebibytes())
        await asyncio.sleep(WATCH_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
