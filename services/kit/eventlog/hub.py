# SPDX-License-Identifier: Apache-2.0
"""What all users of one embedded log file in one process share: its thread, the wake-ups, the groups."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from zlib import crc32

from services.kit.errors import Unavailable
from services.kit.eventlog.file import LogFile
from services.kit.eventlog.group import Group
from services.kit.eventlog.port import Place, Record
from services.kit.logs import get_logger

T = TypeVar("T")

PARTITIONS: Final = 4
COMMIT_SECONDS: Final = 0.02  # acknowledgements gathered into one write; losing them only repeats deliveries
POLL_SECONDS: Final = 0.25  # how soon records of another process are seen
CLEAN_SECONDS: Final = 60.0

_hubs: dict[tuple[Path, asyncio.AbstractEventLoop], "Hub"] = {}


class Hub:
    """One per file and event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.groups: dict[str, Group] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="event-log")
        self._file: LogFile | None = None
        self._topics: dict[str, int] = {}
        self._ends: dict[Place, int] = {}
        self._moved = asyncio.Event()
        self._unwritten: dict[tuple[str, Place], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        """Open the file."""
        self._file = await self._call(lambda: LogFile(self.path))
        self._topics = await self._run(LogFile.topics)
        self._ends = await self._run(LogFile.ends)
        self._keep(self._watch())
        self._keep(self._clean())

    async def close(self) -> None:
        """Write the last acknowledgements and close the file."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await self._write_commits()
        if self._file is not None:
            await self._call(self._file.close)
        self._thread.shutdown(wait=True)

    async def ready(self) -> None:
        """Return if the file can be read."""
        await self._run(LogFile.topics)

    async def ensure_topics(self, names: Sequence[str], partitions: int) -> None:
        """Create what is missing."""
        if not set(names) <= self._topics.keys():
            self._topics = await self._run(lambda file: file.ensure_topics(names, partitions or PARTITIONS))
            self._ends = await self._run(LogFile.ends)

    def places(self, topics: Sequence[str]) -> frozenset[Place]:
        """Every partition of these topics."""
        return frozenset(Place(topic, number) for topic in topics for number in range(self._topics.get(topic, 0)))

    async def append(self, records: Sequence[Record]) -> None:
        """Append in order, durable on return, and wake whoever waits."""
        if not {record.topic for record in records} <= self._topics.keys():
            await self.ensure_topics(sorted({record.topic for record in records}), 0)
        placed = [(crc32(record.key.encode()) % self._topics[record.topic], record) for record in records]
        self._move(await self._run(lambda file: file.append(placed, time.time())))

    async def read(self, place: Place, offset: int, limit: int) -> list[Record]:
        """Records from `offset` on, at once."""
        if self._ends.get(place, 0) <= offset:
            return []
        return await self._run(lambda file: file.read(place, offset, limit))

    def ends(self) -> Mapping[Place, int]:
        """The next offsets as known here."""
        return self._ends

    async def moved(self, positions: Mapping[Place, int], seconds: float) -> None:
        """Return when one of these partitions goes beyond its position, at the latest after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while all(self._ends.get(place, 0) <= at for place, at in positions.items()):
                    moved = self._moved
                    await moved.wait()

    async def committed(self, group: str) -> dict[Place, int]:
        """Where a group goes on."""
        # Taken before the file is read: what is written meanwhile is in one of the two.
        unwritten = {place: at for (name, place), at in self._unwritten.items() if name == group}
        return await self._run(lambda file: file.committed(group)) | unwritten

    def commit(self, group: str, place: Place, offset: int) -> None:
        """Acknowledge; written within 20 ms."""
        if not self._unwritten:
            self._keep(self._write_soon())
        self._unwritten[group, place] = offset

    async def _write_soon(self) -> None:
        await asyncio.sleep(COMMIT_SECONDS)
        try:
            await self._write_commits()
        except Unavailable as away:
            get_logger().warning("event_offsets_unwritten", reason=str(away))

    async def _write_commits(self) -> None:
        offsets, self._unwritten = self._unwritten, {}
        if offsets:
            await self._run(lambda file: file.commit(offsets))

    def _move(self, ends: Mapping[Place, int]) -> None:
        if any(self._ends.get(place) != end for place, end in ends.items()):
            self._ends.update(ends)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def _watch(self) -> None:
        """Records that another process has sent."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            with contextlib.suppress(Unavailable):
                ends = await self._run(LogFile.ends_if_changed)
                if ends is not None:
                    if any(place.topic not in self._topics for place in ends):
                        self._topics = await self._run(LogFile.topics)
                    self._move({place: max(end, self._ends.get(place, 0)) for place, end in ends.items()})

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(CLEAN_SECONDS)
            with contextlib.suppress(Unavailable):
                await self._run(lambda file: file.clean(time.time()))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Callable[[LogFile], T]) -> T:
        file = self._file
        if file is None:
            raise Unavailable("The event log is not open.")
        return await self._call(lambda: work(file))

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.OperationalError, OSError) as error:
            raise Unavailable(f"The event log does not answer ({type(error).__name__}).") from error


@asynccontextmanager
async def hub_of(path: Path) -> AsyncIterator[Hub]:
    """The hub of a file, opened by its first user and closed by its last."""
    key = (path, asyncio.get_running_loop())
    hub = _hubs.get(key)
    if hub is None:
        hub = _hubs[key] = Hub(path)
    hub.users += 1
    try:
        await asyncio.shield(hub.opening)
        yield hub
    finally:
        hub.users -= 1
        if not hub.users:
            _hubs.pop(key, None)
            await hub.close()
