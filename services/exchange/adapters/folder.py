# SPDX-License-Identifier: Apache-2.0
"""A folder that providers write into: `<folder>/<code, with _ for />/<name>`, the last name is the newest file.

A file is taken once it has stayed the same between two looks; hidden ones and `.part` are not looked at. Nothing is
moved or deleted: the folder is the provider's. One process looks at a time.
"""

import asyncio
import os
import stat
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from services.exchange.domain.refusals import FileDropBusy, ResourceNotFound, ResourceNotOwned
from services.exchange.service.drops import DropFile, DropService, digest_of
from services.kit.caller import Caller
from services.kit.errors import Refusal, Unavailable
from services.kit.ids import derived_id
from services.kit.logs import get_logger

LOOK_SECONDS = 10.0
FOLDERS_MAX = 1_000
FILES_MAX = 10_000
_ENDINGS = {".csv", ".parquet"}

Stamp = tuple[str, int, int]
"""Name, size and time of change of a file."""


class WatchedFolder:
    """Loads the newest file of every resource that has a folder."""

    def __init__(self, service: DropService, folder: Path, itself: Caller, *, bytes_max: int) -> None:
        self._service = service
        self._folder = folder
        self._itself = itself
        self._bytes_max = bytes_max
        self._seen: dict[str, Stamp] = {}
        self._done: dict[str, Stamp] = {}

    async def look(self) -> None:
        """Look once. Raises Unavailable; the next look goes on."""
        for name, stamp in (await asyncio.to_thread(self._newest)).items():
            if self._seen.get(name) == stamp and self._done.get(name) != stamp:
                await self._take(name, stamp)
            self._seen[name] = stamp

    async def _take(self, name: str, stamp: Stamp) -> None:
        resource = name.replace("_", "/", 1)
        try:
            with await asyncio.to_thread(_opened, self._folder / name / stamp[0]) as file:
                digest = await asyncio.to_thread(digest_of, file)
                if _seen(stamp[0], os.fstat(file.fileno())) != stamp:
                    return  # Still being written: the next look finds it.
                request_id = derived_id("folder", resource, *map(str, stamp), digest)
                drop = await self._service.load(DropFile(request_id, resource, digest), file, self._itself)
        except FileDropBusy:
            return
        except (ResourceNotFound, ResourceNotOwned):
            pass  # Open data reads files below the same folder.
        except (Refusal, OSError) as refusal:
            get_logger().warning("drop_not_taken", resource=resource, why=type(refusal).__name__)
        else:
            get_logger().info("drop_taken", resource=resource, version=drop.version, state=drop.state.value)
        self._done[name] = stamp

    def _newest(self) -> dict[str, Stamp]:
        found = {}
        for folder in _entries(self._folder, FOLDERS_MAX):
            if folder.is_dir(follow_symlinks=False):
                stamps = [_stamp(each) for each in _entries(Path(folder.path), FILES_MAX) if _is_drop(each)]
                fitting = [each for each in stamps if each is not None and each[1] <= self._bytes_max]
                if fitting:
                    found[folder.name] = max(fitting)
        return found


async def keep_looking(folder: WatchedFolder) -> None:
    """Look again and again."""
    while True:
        try:
            await folder.look()
        except Unavailable:
            get_logger().warning("drops_wait")
        await asyncio.sleep(LOOK_SECONDS)


def _entries(folder: Path, most: int) -> list[os.DirEntry[str]]:
    """Give what is in a folder; nothing where it isn't there (yet), or is taken away meanwhile."""
    try:
        entries = os.scandir(folder)
    except OSError:
        return []
    with entries:
        return [each for each in islice(entries, most) if not each.name.startswith(".")]


def _is_drop(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and Path(entry.name).suffix in _ENDINGS


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    """Give what a file looks like; None where it is gone."""
    try:
        return _seen(entry.name, entry.stat(follow_symlinks=False))
    except OSError:
        return None


def _seen(name: str, status: os.stat_result) -> Stamp:
    return name, status.st_size, status.st_mtime_ns


def _opened(path: Path) -> BinaryIO:
    """Open a regular file, never through a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError
    return os.fdopen(descriptor, "rb")
