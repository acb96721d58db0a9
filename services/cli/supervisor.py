# SPDX-License-Identifier: Apache-2.0
"""Keeps processes running: starts them, starts again what died, stops them all in order."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.cli import leash
from services.cli.names import SERVICES
from services.kit.errors import StartupError

_WAIT_FIRST_SECONDS, _WAIT_MOST_SECONDS = 0.2, 5.0
_STEADY_SECONDS = 10.0
_TERM_SECONDS = 4.0
_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    log: Path = Path(os.devnull)
    """Its standard error, appended; log lines of its own go where its settings say."""
    on_pipe: bool = False
    """True where it ends with its standard input; otherwise it is tied to us by a leash."""


class Supervisor:
    """A set of programs. `told` hears the table of process ids whenever it changes."""

    def __init__(self, told: Callable[[Mapping[str, int]], None], *, term_seconds: float = _TERM_SECONDS) -> None:
        self._told = told
        self._term_seconds = term_seconds
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    def keep(self, program: Program) -> None:
        """Start a program and keep it running."""
        self._keeping[program.name] = asyncio.create_task(self._keep(program))

    @property
    def processes(self) -> dict[str, int]:
        """Process ids of what runs now."""
        return {name: process.pid for name, process in self._processes.items()}

    async def stop(self, *names: str) -> None:
        """Stop some programs, or all, side by side: a signal, a bounded wait, a kill."""
        chosen = [name for name in (names or tuple(self._keeping)) if name in self._keeping]
        await asyncio.gather(*(self._stop(name) for name in chosen))

    async def _stop(self, name: str) -> None:
        keeping = self._keeping.pop(name)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    async def _keep(self, program: Program) -> None:
        wait = _WAIT_FIRST_SECONDS
        while True:
            begun = time.monotonic()
            await self._run(program)
            wait = _WAIT_FIRST_SECONDS if time.monotonic() - begun > _STEADY_SECONDS else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, _WAIT_MOST_SECONDS)

    async def _run(self, program: Program) -> None:
        process = await _started(program)
        self._processes[program.name] = process
        self._told(self.processes)
        try:
            await process.wait()
        except asyncio.CancelledError:
            await asyncio.shield(self._ended(process))
            raise
        finally:
            self._processes.pop(program.name, None)
            self._told(self.processes)

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._term_seconds)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _started(program: Program) -> asyncio.subprocess.Process:
    """A session of its own, so that Ctrl-C reaches us alone and we stop it in order."""
    leashed = () if program.on_pipe else (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()))
    try:
        with program.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *leashed,
                *program.command,
                env={**_inherited(), **program.environment},
                stdin=asyncio.subprocess.PIPE if program.on_pipe else asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise StartupError(f"{program.name} can't be started: {error.strerror}.") from error


def _inherited() -> dict[str, str]:
    """Our environment without settings: a program gets its own, and no other's."""
    prefixes = tuple(f"{start}{name.upper()}_" for name in (*SERVICES, "sandbox") for start in ("", "TONGBAN_"))
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def tail(path: Path) -> str:
    """The last words of a log."""
    try:
        return path.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
