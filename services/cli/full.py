# SPDX-License-Identifier: Apache-2.0
"""The full profile on one machine: Kafka, PostgreSQL, every service and the departments as processes of their own."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from signal import SIGINT, SIGTERM

from services.cli.demo.resident import until_open
from services.cli.folder import Folder
from services.cli.kafka import Kafka
from services.cli.names import SERVICES
from services.cli.postgres import Postgres
from services.cli.supervisor import Supervisor
from services.cli.wiring import Stores, Wiring
from services.kit.errors import StartupError

READY_SECONDS = 120.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Servers:
    """Broker and database of a full profile, already running."""

    kafka: Kafka
    postgres: Postgres
    stores: Stores


class Infrastructure:
    """Broker and database; started, watched, started again where they died, stopped."""

    def __init__(self, folder: Folder) -> None:
        self._kafka_folder = folder.root / "kafka"
        self._postgres_folder = folder.root / "postgres"
        self._servers: Servers | None = None

    async def start(self) -> Stores:
        """Start both side by side; one that an earlier, killed instance left running is joined."""
        kafka, postgres = await asyncio.gather(
            asyncio.to_thread(self._start_kafka), asyncio.to_thread(Postgres.start, self._postgres_folder)
        )
        databases = {name: await postgres.create_database(f"tongban_{name}") for name in SERVICES}
        self._servers = Servers(kafka, postgres, Stores(databases, kafka.url))
        return self._servers.stores

    async def stop(self) -> None:
        """Stop both."""
        if self._servers is not None:
            await asyncio.gather(
                asyncio.to_thread(self._servers.kafka.stop), asyncio.to_thread(self._servers.postgres.stop)
            )

    @property
    def processes(self) -> dict[str, int]:
        """Process ids."""
        if self._servers is None:
            return {}
        return {"kafka": self._servers.kafka.pid, "postgres": self._servers.postgres.pid}

    async def watch(self, told: Callable[[], None]) -> None:
        """Start again what died, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._servers is None or all(_alive(pid) for pid in self.processes.values()):
                continue
            kafka, postgres = self._servers.kafka, self._servers.postgres
            try:
                if not _alive(kafka.pid):
                    kafka = await asyncio.to_thread(self._start_kafka)
                if not _alive(postgres.pid):
                    postgres = await asyncio.to_thread(Postgres.start, self._postgres_folder)
            except StartupError:
                continue
            finally:
                self._servers = Servers(kafka, postgres, self._servers.stores)
                told()

    def _start_kafka(self) -> Kafka:
        return Kafka.running(self._kafka_folder) or Kafka.start(self._kafka_folder)


async def full(prepare: Callable[[Stores], Wiring], folder: Folder, announce: Callable[[], None]) -> None:
    """Run until a signal; `prepare` makes the wiring once the stores are there."""
    infrastructure = Infrastructure(folder)
    supervised: dict[str, int] = {}

    def tell(processes: Mapping[str, int] | None = None) -> None:
        if processes is not None:
            supervised.clear()
            supervised.update(processes)
        folder.tell_processes({"tongban": os.getpid(), **infrastructure.processes, **supervised})

    supervisor = Supervisor(tell)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(infrastructure.stop)
        stop = _signals()
        starting = asyncio.create_task(infrastructure.start())
        if not await _first(starting, stop):
            return
        wiring = prepare(starting.result())
        tell()
        watching = asyncio.create_task(infrastructure.watch(tell))
        stack.callback(watching.cancel)
        stack.push_async_callback(supervisor.stop)
        for program in wiring.programs():
            supervisor.keep(program)
        if wiring.options.sandbox:
            supervisor.keep(wiring.city())
        ready = asyncio.create_task(_until_ready(wiring))
        if await _first(ready, stop):
            ready.result()
            announce()
            await stop.wait()
        # Departments first: what they hold they finish while the platform still answers.
        await supervisor.stop("departments")


def _signals() -> asyncio.Event:
    told = asyncio.Event()
    for number in (SIGINT, SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


async def _first(work: "asyncio.Task[object]", stop: asyncio.Event) -> bool:
    """Wait for the work or the signal; true where the work is done."""
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not work.done() or stop.is_set():
        work.cancel()
        return False
    return True


async def _until_ready(wiring: Wiring) -> None:
    """Wait for the public door, and for the departments. Raises StartupError where it takes too long."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await until_open(wiring.ports.url, seconds=READY_SECONDS)
            # Another process says so, in a file: nothing here could set an event.
            while wiring.options.sandbox and not wiring.folder.city_is_ready():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise StartupError(f"The system was not ready in time; see the logs in {wiring.folder.logs}.") from error


def _alive(pid: int) -> bool:
    """A child that died is a zombie until it is reaped; reap it, so that it counts as dead."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def since(begun: float) -> float:
    """Seconds since a moment of `time.monotonic`, to a hundredth."""
    return round(time.monotonic() - begun, 2)
