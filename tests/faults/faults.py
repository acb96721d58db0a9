# SPDX-License-Identifier: Apache-2.0
"""The faults, each put into a running system and ended again."""

import asyncio
import os
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

from services.kit.eventlog import open_eventlog
from tests.support.invariants import bus, events_url
from tests.support.system import System, alive

Fault = Callable[[System], Awaitable[None]]
GONE_SECONDS = 30.0
SERVERS = ("kafka", "postgres")
PROCESSES = {
    "embedded": ("departments", "tongban"),
    "full": ("departments", "exchange", "gateway", "identity", "licenses-1", "licenses-2", *SERVERS, "tongban"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A fault by name and how often it is repeated."""

    name: str
    fault: Fault
    times: int


def plans(profile: str, *, kills: int, gone_seconds: float = GONE_SECONDS) -> list[Plan]:
    """What a profile goes through."""
    found = [Plan(f"kill -9 {name}", killed(name), kills) for name in PROCESSES[profile]]
    if profile == "full":
        found += [Plan(f"{name} gone for {gone_seconds:.0f} s", gone(name, gone_seconds), 1) for name in SERVERS]
        found += [Plan(f"{name} hangs for {gone_seconds:.0f} s", hung(name, gone_seconds), 1) for name in SERVERS]
    else:
        found += [
            Plan(f"{name} locked for {gone_seconds:.0f} s", locked(name, gone_seconds), 1)
            for name in ("events.sqlite", "gateway.sqlite", "licenses.sqlite", "identity.sqlite", "exchange.sqlite")
        ]
    return [*found, Plan("every event delivered twice", delivered_twice, 1)]


def killed(name: str) -> Fault:
    """kill -9 at a random moment; it comes back by itself, or (the start itself) by us."""

    async def fault(system: System) -> None:
        await asyncio.sleep(random.uniform(0.0, 2.0))
        if name == "tongban" and system.profile == "full":
            before = system.processes()
            system.kill(name)
            await _gone(before)
            await system.recovered(name)
            return
        pid = system.kill(name)
        await system.recovered(name, pid)

    return fault


def gone(name: str, seconds: float) -> Fault:
    """Killed, and kept from coming back for so long: whoever would start it again is stopped meanwhile."""

    async def fault(system: System) -> None:
        supervisor = system.processes()["tongban"]
        os.kill(supervisor, signal.SIGSTOP)
        try:
            pid = system.kill(name)
            await asyncio.sleep(seconds)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        await system.recovered(name, pid)

    return fault


def hung(name: str, seconds: float) -> Fault:
    """Alive and silent: connections stay open and nothing answers."""

    async def fault(system: System) -> None:
        pid = system.processes()[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        await system.ready()

    return fault


def locked(name: str, seconds: float) -> Fault:
    """Somebody else holds the write lock of a SQLite file."""

    async def fault(system: System) -> None:
        path = system.folder.root / "db" / name
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(seconds)
            other.execute("ROLLBACK")
        await system.ready()

    return fault


async def delivered_twice(system: System) -> None:
    """Everything that the bus still has is sent again, as it came."""
    records = await bus(system)
    assert records, "The bus could not be read."
    async with open_eventlog(events_url(system)) as log:
        for start in range(0, len(records), 200):
            await log.send(records[start : start + 200])


async def _gone(before: dict[str, int]) -> None:
    """Wait until what hung on the killed start has ended too; servers may stay and are joined again."""
    waiting = {name: pid for name, pid in before.items() if name not in {*SERVERS, "tongban"}}
    async with asyncio.timeout(20):
        while any(alive(pid) for pid in waiting.values()):
            await asyncio.sleep(0.05)
