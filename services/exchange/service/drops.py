# SPDX-License-Identifier: Apache-2.0
"""Files that providers drop: read row by row, loaded beside the version in use, and switched to in one step."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import BinaryIO, Protocol

from services.exchange.domain.answer import Scalar
from services.exchange.domain.drops import (
    REJECTS_KEPT,
    Drop,
    DropState,
    FileDropLoaded,
    Reject,
    Row,
    read_row,
    refusal_of,
)
from services.exchange.domain.refusals import FileDropBusy, FileDropInvalid, ResourceNotOwned
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import DropSettings
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.ids import derived_id
from services.kit.paging import Page

RIGHT = "exchange.provide"
PAGE_SIZE = 50
CHUNK = 200
LOAD_TIME_MAX = timedelta(hours=1)
_CLEARED = 2_000
_PIECE = 1 << 20

Given = Mapping[str, object] | None
Read = Callable[[BinaryIO, DropSettings], Iterator[Given]]
"""Gives the rows of a file by column. Raises FileDropInvalid where it is no such file."""


class DropTransaction(Protocol):
    """One change."""

    async def first_sight(self, id: str) -> bool:
        """Tell whether this request has had no effect yet."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def resource(self, code: str) -> Resource:
        """Read a resource and lock it. Raises ResourceNotFound."""

    async def drop_under_way(self, resource: str, *, since: datetime) -> bool:
        """Whether another file of the resource has been loading since then."""

    async def next_drop_version(self, resource: str) -> int:
        """Give the version of the next file."""

    async def find_drop(self, drop_id: str) -> Drop | None:
        """Read, None where there is none."""

    async def current_drop(self, resource: str) -> Drop | None:
        """Read the version that is given now."""

    async def save_drop(self, drop: Drop) -> None:
        """Insert or replace."""

    async def add_drop_rows(self, drop: Drop, rows: Sequence[Row]) -> Sequence[Reject]:
        """Add rows; give those whose subject came before."""

    async def add_rejects(self, drop_id: str, rejects: Sequence[Reject]) -> None:
        """Add rows that were set apart."""

    async def clear_drop(self, drop_id: str, *, limit: int) -> int:
        """Delete so many rows; give how many."""


class DropStore(Protocol):
    """The rows of this area."""

    def transaction(self) -> AbstractAsyncContextManager[DropTransaction]:
        """Open a transaction."""

    async def dropped(self, resource: str, key: str) -> Mapping[str, Scalar] | None:
        """Give the subject's row of the current version. Raises ProviderUnavailable, ProviderAnswerInvalid."""

    async def read_resource(self, code: str) -> Resource:
        """Read a resource. Raises ResourceNotFound."""

    async def list_drops(self, resource: str, *, page_size: int, page_token: str) -> Page[Drop]:
        """Give the drops of a resource, newest first."""

    async def read_drop(self, drop_id: str) -> Drop:
        """Read one. Raises FileDropNotFound."""

    async def list_rejects(self, drop_id: str, *, page_size: int, page_token: str) -> Page[Reject]:
        """Give rows that were set apart, by line."""

    async def drops_to_clear(self, *, before: datetime) -> Sequence[Drop]:
        """Give drops whose rows may go."""


@dataclass(frozen=True, slots=True)
class DropFile:
    """A file that arrived whole."""

    request_id: str
    resource: str
    digest: str


class DropService:
    """Loads files, and tells what became of them."""

    def __init__(self, store: DropStore, read: Read, *, clock: Clock) -> None:
        self._store = store
        self._read = read
        self._clock = clock

    async def must_take(self, resource: str, caller: Caller) -> Resource:
        """Return the resource if the caller may drop files for it. Raises ResourceNotFound, ResourceNotOwned."""
        caller.must(RIGHT)
        found = await self._store.read_resource(resource)
        own = caller.kind is not CallerKind.AGENCY or (caller.agency or caller.id) == found.provider
        if not own or not isinstance(found.settings, DropSettings):
            raise ResourceNotOwned(f"Resource {resource} is not one that this agency provides by file.")
        return found

    async def load(self, given: DropFile, file: BinaryIO, caller: Caller) -> Drop:
        """Load a file that arrived whole; the same request, or the file in use, changes nothing.

        A file with too many rows set apart is refused, and what was given before is given on.

        Raises ResourceNotFound, ResourceNotOwned, FileDropBusy.
        """
        resource = await self.must_take(given.resource, caller)
        assert isinstance(resource.settings, DropSettings)
        drop, new = await self._begin(given, caller)
        if not new:
            return drop
        try:
            counted, refusal = await self._fill(drop, resource.settings, file)
        except FileDropInvalid as unreadable:
            counted, refusal = drop, unreadable.reason
        return await self._end(counted, refusal)

    async def list(self, resource: str, *, page_size: int, page_token: str, caller: Caller) -> Page[Drop]:
        """Give the drops of a resource, newest first."""
        await self.must_take(resource, caller)
        return await self._store.list_drops(resource, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def rejects(self, drop_id: str, *, page_size: int, page_token: str, caller: Caller) -> Page[Reject]:
        """Give the first rows that were set apart, by line. Raises FileDropNotFound, ResourceNotOwned."""
        drop = await self._store.read_drop(drop_id)
        await self.must_take(drop.resource, caller)
        return await self._store.list_rejects(drop_id, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def clear(self) -> None:
        """Refuse loads that ended in the middle, and delete rows that nobody is given any more, some at a time."""
        for drop in await self._store.drops_to_clear(before=self._clock() - LOAD_TIME_MAX):
            async with self._store.transaction() as tx:
                if drop.state is DropState.LOADING:
                    await tx.save_drop(replace(drop, state=DropState.REFUSED, refusal="INTERRUPTED"))
            while True:
                async with self._store.transaction() as tx:
                    if await tx.clear_drop(drop.drop_id, limit=_CLEARED) < _CLEARED:
                        break

    async def _begin(self, given: DropFile, caller: Caller) -> tuple[Drop, bool]:
        drop_id = derived_id("drop", caller.id, given.request_id)
        now = self._clock()
        async with self._store.transaction() as tx:
            await tx.resource(given.resource)
            if not await tx.first_sight(given.request_id):
                before = await tx.find_drop(drop_id)
                if before is None or before.digest != given.digest:
                    raise FileDropInvalid("This request id came before, with another file.")
                return before, False
            current = await tx.current_drop(given.resource)
            if current is not None and current.digest == given.digest:
                return current, False
            if await tx.drop_under_way(given.resource, since=now - LOAD_TIME_MAX):
                raise FileDropBusy("Another file of this resource is being loaded.", retry_after_seconds=60)
            version = await tx.next_drop_version(given.resource)
            drop = Drop(drop_id, given.resource, version, DropState.LOADING, given.digest, now)
            await tx.save_drop(drop)
        return drop, True

    async def _fill(self, drop: Drop, settings: DropSettings, file: BinaryIO) -> tuple[Drop, str]:
        """Read a few rows at a time in a thread, and write them: other calls go on in between."""
        numbered = enumerate(self._read(file, settings), 1)
        reasons: Counter[str] = Counter()
        rows = 0
        while True:
            found = await asyncio.to_thread(_some, numbered, settings)
            if not found:
                break
            good = [each for each in found if isinstance(each, Row)]
            bad = [each for each in found if isinstance(each, Reject)]
            async with self._store.transaction() as tx:
                repeated = await tx.add_drop_rows(drop, good) if good else ()
                room = max(0, REJECTS_KEPT - sum(reasons.values()))
                await tx.add_rejects(drop.drop_id, [*bad, *repeated][:room])
            rows += len(good) - len(repeated)
            reasons.update(each.reason.value for each in (*bad, *repeated))
        rejected = sum(reasons.values())
        counted = replace(drop, rows=rows, rejected=rejected, reasons=dict(reasons))
        return counted, refusal_of(rows=rows, rejected=rejected, settings=settings)

    async def _end(self, drop: Drop, refusal: str) -> Drop:
        """Let the drop be the one in use, or refuse it: in one transaction, whoever asks meanwhile sees one or the other."""
        async with self._store.transaction() as tx:
            await tx.resource(drop.resource)
            if refusal:
                ended = replace(drop, state=DropState.REFUSED, refusal=refusal)
            else:
                before = await tx.current_drop(drop.resource)
                if before is not None:
                    await tx.save_drop(replace(before, state=DropState.SUPERSEDED))
                ended = replace(drop, state=DropState.CURRENT, switch_time=self._clock())
            await tx.save_drop(ended)
            await tx.record(FileDropLoaded(ended))
        return ended


def digest_of(file: BinaryIO) -> str:
    """Give the SHA-256 of a file, and go back to its start."""
    found = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE):
        found.update(piece)
    file.seek(0)
    return found.hexdigest()


def _some(numbered: "enumerate[Given]", settings: DropSettings) -> list[Row | Reject]:
    return [read_row(line, given, settings) for line, given in islice(numbered, CHUNK)]
