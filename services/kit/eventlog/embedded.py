# SPDX-License-Identifier: Apache-2.0
"""The embedded event log: durable, in one SQLite file, for the profile that needs nothing else installed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from services.kit.eventlog.group import Group, Member
from services.kit.eventlog.hub import Hub, hub_of
from services.kit.eventlog.port import Assignment, Place, Record

_TAIL_BATCH = 100
_TAIL_SECONDS = 60.0


class EmbeddedSubscription:
    """One member of a group."""

    def __init__(self, hub: Hub, group: str) -> None:
        self._hub = hub
        self._group = group
        self._positions: dict[Place, int] = {}

    async def begin(self, places: frozenset[Place]) -> None:
        """Go on where the group is."""
        committed = await self._hub.committed(self._group)
        for place in places:
            self._positions[place] = committed.get(place, 0)

    async def take(self, place: Place, *, limit: int, seconds: float) -> Sequence[Record]:
        """See `Subscription.take`."""
        position = self._positions[place]
        records = await self._hub.read(place, position, limit)
        if not records:
            await self._hub.moved({place: position}, seconds)
            records = await self._hub.read(place, position, limit)
        if records:
            self._positions[place] = records[-1].offset + 1
        return records

    async def commit(self, place: Place, offset: int) -> None:
        """See `Subscription.commit`."""
        self._hub.commit(self._group, place, offset)

    def rewind(self, place: Place, offset: int) -> None:
        """See `Subscription.rewind`."""
        self._positions[place] = offset

    async def lost(self) -> None:
        """A file does not break off."""
        await asyncio.get_running_loop().create_future()


class EmbeddedLog:
    """See `EventLog`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["EmbeddedLog"]:
        """Open the file; all users in this process share it, and hear of each other's records at once."""
        path = url.removeprefix("sqlite:///")
        if not path.startswith("/"):
            raise ValueError("The event log's path must be absolute: sqlite:////var/lib/tongban/events.sqlite.")
        async with hub_of(Path(path)) as hub:
            yield cls(hub)

    async def ensure_topics(self, topics: Sequence[str], partitions: int = 0) -> None:
        """See `EventLog.ensure_topics`; four partitions."""
        await self._hub.ensure_topics(topics, partitions)

    async def send(self, records: Sequence[Record]) -> None:
        """See `EventLog.send`; all or none."""
        if records:
            await self._hub.append(records)

    @asynccontextmanager
    async def consumer(
        self, group: str, topics: Sequence[str], member: str, assignment: Assignment
    ) -> AsyncIterator[EmbeddedSubscription]:
        """See `EventLog.consumer`."""
        await self._hub.ensure_topics(topics, 0)
        subscription = EmbeddedSubscription(self._hub, group)
        seat = self._hub.path.with_name(f"{self._hub.path.name}.{group}.lock")
        joined = self._hub.groups.setdefault(group, Group(seat))
        one = Member(member, frozenset(topics), subscription, assignment)
        await joined.join(one, self._hub.places(topics))
        try:
            yield subscription
        finally:
            await joined.leave(one, self._hub.places(topics))

    @asynccontextmanager
    async def tail(self, topics: Sequence[str]) -> AsyncIterator[AsyncIterator[Record]]:
        """See `EventLog.tail`."""
        await self._hub.ensure_topics(topics, 0)
        ends = self._hub.ends()
        positions = {place: ends.get(place, 0) for place in self._hub.places(topics)}
        yield self._follow(positions)

    async def ready(self) -> None:
        """See `EventLog.ready`."""
        await self._hub.ready()

    async def _follow(self, positions: dict[Place, int]) -> AsyncIterator[Record]:
        while True:
            await self._hub.moved(positions, _TAIL_SECONDS)
            for place in sorted(positions):
                for record in await self._hub.read(place, positions[place], _TAIL_BATCH):
                    positions[place] = record.offset + 1
                    yield record
