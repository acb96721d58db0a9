# SPDX-License-Identifier: Apache-2.0
"""Starts a benchmark's processes on chosen cores and reads one JSON line from each."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

READY_SECONDS_MAX = 60.0


class Worker:
    """One process of a benchmark: speaks JSON lines on standard output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self, timeout_seconds: float = READY_SECONDS_MAX) -> dict[str, Any]:
        """The next JSON line; lines that are not JSON are passed to standard error."""
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_seconds):
            while raw := await self._process.stdout.readline():
                if raw.startswith(b"{"):
                    record: dict[str, Any] = json.loads(raw)
                    if "bench" in record:
                        return record
                sys.stderr.buffer.write(raw)
        message = f"A benchmark process ended early, exit code {await self._process.wait()}."
        raise RuntimeError(message)

    def tell(self, line: str) -> None:
        """Sends one line; `line` gives what comes back."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def memory_mebibytes(self) -> int:
        """Memory in use now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // (1 << 20)

    async def ask(self, line: str, timeout_seconds: float = READY_SECONDS_MAX) -> dict[str, Any]:
        """Sends one line and gives the JSON line that answers it."""
        self.tell(line)
        return await self.line(timeout_seconds)

    def cpu_seconds(self) -> float:
        """CPU time used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def stop(self) -> None:
        """Asks it to end, then ends it."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


@asynccontextmanager
async def worker(
    module: str, *arguments: str, core: int | None, environment: dict[str, str] | None = None
) -> AsyncIterator[Worker]:
    """Runs `python -m <module> <arguments>`, pinned to `core` where one is given."""
    async with program(sys.executable, "-m", module, *arguments, core=core, environment=environment) as started:
        yield started


@asynccontextmanager
async def program(*command: str, core: int | None, environment: dict[str, str] | None = None) -> AsyncIterator[Worker]:
    """Runs a command, pinned to `core` where one is given."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | (environment or {}),
        limit=16 * 1024 * 1024,
    )
    if core is not None:
        # From here, before it has a second thread: Python that runs between fork and exec may wait for ever for a lock
        # that a thread of ours held.
        os.sched_setaffinity(process.pid, {core})
    started = Worker(process)
    try:
        yield started
    finally:
        await started.stop()


def say(**record: Any) -> None:
    """Tells the starter one JSON line."""
    sys.stdout.write(json.dumps({"bench": True} | record) + "\n")
    sys.stdout.flush()


def cores() -> Sequence[int]:
    """The cores this run may use."""
    return sorted(os.sched_getaffinity(0))
