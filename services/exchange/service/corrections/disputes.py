# SPDX-License-Identifier: Apache-2.0
"""Which values are in dispute now, in memory: a query looks here and pays one lookup where its resource has none."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from services.exchange.service.corrections.ports import Dispute
from services.kit.clock import Clock
from services.kit.errors import Unavailable

_OVERLAP = timedelta(seconds=60)  # Commits may come later than the moment written in them, and clocks differ a little.
_REFRESH_SECONDS = 10.0


class DisputeSource(Protocol):
    """Where disputes are read."""

    def pseudonym(self, subject_id: str) -> str:
        """Give the ledger's name of a subject."""

    async def disputes_since(self, moment: datetime | None) -> Sequence[Dispute]:
        """Give what changed since a moment; all open ones for None."""

    async def dispute(self, correction_id: str) -> Dispute | None:
        """Give one, None where there is none."""


class Disputes:
    """Loaded at start, mended by events, and read again now and then for events that never came."""

    def __init__(self, source: DisputeSource, *, clock: Clock) -> None:
        self._source = source
        self._pseudonym: Callable[[str], str] = source.pseudonym
        self._clock = clock
        self._open: dict[str, dict[str, dict[str, str]]] = {}  # resource -> subject -> correction -> field
        self._subjects: dict[str, str] = {}  # correction -> subject, as it was called while it was in dispute
        self._read_until: datetime | None = None

    def among(self, resource: str, subject_id: str, fields: Iterable[str]) -> tuple[str, ...]:
        """Give those of the fields of a subject's record that are in dispute."""
        subjects = self._open.get(resource)
        if subjects is None:
            return ()
        found = subjects.get(self._pseudonym(subject_id))
        if found is None:
            return ()
        disputed = set(found.values())
        return tuple(name for name in fields if name in disputed)

    def apply(self, dispute: Dispute) -> None:
        """Take note of how one stands now."""
        _, resource, subject, name, disputed = dispute
        if disputed:
            self._open.setdefault(resource, {}).setdefault(subject, {})[dispute.correction_id] = name
            self._subjects[dispute.correction_id] = subject
            return
        subject = self._subjects.pop(
            dispute.correction_id, subject
        )  # A person whose key was erased has no name any more.
        subjects = self._open.get(resource, {})
        corrections = subjects.get(subject, {})
        corrections.pop(dispute.correction_id, None)
        if not corrections:
            subjects.pop(subject, None)
        if not subjects:
            self._open.pop(resource, None)

    async def hear(self, correction_id: str) -> None:
        """Read one that has changed. Raises Unavailable."""
        dispute = await self._source.dispute(correction_id)
        if dispute is not None:
            self.apply(dispute)

    async def refresh(self) -> None:
        """Read what changed since the last time, all that are open the first time. Raises Unavailable."""
        now = self._clock()
        since = None if self._read_until is None else self._read_until - _OVERLAP
        for dispute in await self._source.disputes_since(since):
            self.apply(dispute)
        self._read_until = now

    async def keep(self) -> None:
        """Refresh as long as the process lives."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await self.refresh()
            except Unavailable:
                continue
