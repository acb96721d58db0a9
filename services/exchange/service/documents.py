# SPDX-License-Identifier: Apache-2.0
"""The catalogue as documents: out in pages, in entry by entry; a faulty entry changes nothing and is told every fault."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.exchange.domain.change import NoticeState, carried
from services.exchange.domain.document import DocumentFormat, ReadEntry, read_document, write_document
from services.exchange.domain.resource import Resource, ResourceChanged, check_resource
from services.exchange.domain.version import By, differences
from services.exchange.service.changes import ChangeService, ProposeChange
from services.exchange.service.notices import NoticeRows, losses, notify
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Refusal, Violation
from services.kit.ids import derived_id
from services.kit.paging import Page

PAGE_SIZE = 100


class Outcome(StrEnum):
    """What became of an entry."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    PROPOSED = "proposed"
    FAULTY = "faulty"


@dataclass(frozen=True, slots=True)
class Imported:
    """One entry of a document, in its order. `change_id` where it was proposed; `reason` and `faults` where it is faulty."""

    code: str
    outcome: Outcome
    change_id: str = ""
    reason: str = ""
    faults: tuple[Violation, ...] = ()


class DocumentTransaction(NoticeRows, Protocol):
    """What an import reads and writes."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def find_resources(self, codes: Sequence[str]) -> Mapping[str, Resource]:
        """Read resources and lock them, those that there are."""

    async def save_resources(
        self, changes: Sequence[tuple[Resource | None, Resource]], *, now: datetime, by: By
    ) -> None:
        """Write many resources: each as it was found and as it is to be."""


class DocumentStore(Protocol):
    """The catalogue."""

    def transaction(self) -> AbstractAsyncContextManager[DocumentTransaction]:
        """Open a transaction."""

    async def list_resources(self, *, page_size: int, page_token: str) -> Page[Resource]:
        """Give resources by code."""

    async def described(self, codes: Sequence[str]) -> Mapping[str, Resource]:
        """Give what the catalogue says of resources."""


class DocumentService:
    """Writes and reads the catalogue as documents."""

    def __init__(
        self, store: DocumentStore, changes: ChangeService, rulebook: Rulebook, *, clock: Clock, region: str
    ) -> None:
        self._store = store
        self._changes = changes
        self._rulebook = rulebook
        self._clock = clock
        self._region = region

    async def write(
        self, form: DocumentFormat, *, codes: Sequence[str], page_size: int, page_token: str, caller: Caller
    ) -> tuple[bytes, str]:
        """Give a document of these entries, or of a page of all by code, and the token of the next page."""
        caller.must("exchange.read")
        if codes:
            found = await self._store.described(codes)
            return write_document([found[code] for code in codes if code in found], form), ""
        page = await self._store.list_resources(page_size=page_size or PAGE_SIZE, page_token=page_token)
        return write_document(page.rows, form), page.next_token

    async def read(self, request_id: str, form: DocumentFormat, content: bytes, caller: Caller) -> Sequence[Imported]:
        """Take entries in: an operator's at once, a provider's as proposals.

        A repeat changes nothing and tells what holds. Raises RequestInvalid for an unreadable document, RequestIdReused.
        """
        caller.must("exchange.catalogue")
        entries = _once(read_document(content, form, region=self._region))
        if caller.kind is not CallerKind.OPERATOR:
            return [await self._propose(request_id, each, caller) for each in entries]
        async with self._store.transaction() as tx:
            first = await tx.first_sight(request_id, hashlib.sha256(content).hexdigest())
            current = await tx.find_resources([each.code for each in entries if each.resource is not None])
            judged = [self._judge(each, current.get(each.code)) for each in entries]
            changes = [(current.get(after.code), after) for _, after in judged if after is not None]
            if first and changes:
                await self._save(tx, changes, caller)
        for _, after in changes:
            self._rulebook.forget_resource(after.code)
        return [told for told, _ in judged]

    def _judge(self, entry: ReadEntry, current: Resource | None) -> tuple[Imported, Resource | None]:
        """Say what becomes of an entry, and give the resource as it is to be where it changes something."""
        if entry.resource is None:
            return Imported(entry.code, Outcome.FAULTY, reason="REQUEST_INVALID", faults=entry.faults), None
        after = carried(entry.resource, current)
        try:
            check_resource(after, region=self._region)
        except Refusal as refusal:
            return _faulty(entry.code, refusal), None
        if not differences(current, after):
            return Imported(entry.code, Outcome.UNCHANGED), None
        return Imported(entry.code, Outcome.CREATED if current is None else Outcome.CHANGED), after

    async def _save(
        self, tx: DocumentTransaction, changes: Sequence[tuple[Resource | None, Resource]], caller: Caller
    ) -> None:
        now = self._clock()
        await tx.save_resources(changes, now=now, by=By(caller.label))
        for before, after in changes:
            await tx.record(ResourceChanged(after.code))
            if before is not None:
                told, _ = await losses(tx, before, after, now=now)
                change_id = derived_id("put", after.code, str(after.revision))
                times = (now, now)
                await notify(tx, told, change_id=change_id, after=after, state=NoticeState.IN_EFFECT, times=times)

    async def _propose(self, request_id: str, entry: ReadEntry, caller: Caller) -> Imported:
        if entry.resource is None:
            return Imported(entry.code, Outcome.FAULTY, reason="REQUEST_INVALID", faults=entry.faults)
        command = ProposeChange(derived_id("import", request_id, entry.code), entry.resource, "")
        try:
            change = await self._changes.propose(command, caller)
        except Refusal as refusal:
            return _faulty(entry.code, refusal)
        return Imported(entry.code, Outcome.PROPOSED, change.change_id)


def _once(entries: Sequence[ReadEntry]) -> list[ReadEntry]:
    """An entry whose code came before in the document is faulty: which of the two is meant can't be told."""
    seen: set[str] = set()
    told = []
    for each in entries:
        again = each.code in seen
        seen.add(each.code)
        told.append(ReadEntry(each.code, None, (Violation("信息资源代码", "Each code once."),)) if again else each)
    return told


def _faulty(code: str, refusal: Refusal) -> Imported:
    faults = refusal.violations or (Violation("resource", refusal.message),)
    return Imported(code, Outcome.FAULTY, reason=refusal.reason, faults=tuple(faults))
