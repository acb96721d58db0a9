# SPDX-License-Identifier: Apache-2.0
"""The event log as the kit needs it: topics with partitions by key, durable sends, groups with offsets, and a tail."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `partition` and `offset` are known once it is delivered; records of one key share a partition and keep their order."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1
    offset: int = -1


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One partition of one topic."""

    topic: str
    partition: int


class Assignment(Protocol):
    """Told by a subscription when partitions come and go. Both are awaited before the log goes on."""

    async def given(self, subscription: "Subscription", places: frozenset[Place]) -> None:
        """These partitions are ours from now on."""

    async def taken(self, subscription: "Subscription", places: frozenset[Place]) -> None:
        """These partitions go to somebody else when this returns: finish or abandon what is in hand, commit what is done."""


class Subscription(Protocol):
    """One member of a consumer group."""

    async def take(self, place: Place, *, limit: int, seconds: float) -> Sequence[Record]:
        """Up to `limit` next records of one partition in order; waits at most `seconds`, empty then.

        Raises:
            Unavailable: the log does not answer; ask again.
        """

    async def commit(self, place: Place, offset: int) -> None:
        """Everything below `offset` is handled. A commit that fails is no harm: it will be delivered again."""

    def rewind(self, place: Place, offset: int) -> None:
        """Deliver from `offset` again."""

    async def lost(self) -> None:
        """Return when this subscription has broken and has to be opened anew."""


class EventLog(Protocol):
    """What Kafka and the embedded log both do."""

    async def ensure_topics(self, topics: Sequence[str], partitions: int = 0) -> None:
        """Create what is missing (0: the log's own number of partitions) and wait until it can be written to."""

    async def send(self, records: Sequence[Record]) -> None:
        """Append in order; on return all are durable.

        Raises:
            Unavailable: the log does not answer; some may have been appended.
        """

    def consumer(
        self, group: str, topics: Sequence[str], member: str, assignment: Assignment
    ) -> AbstractAsyncContextManager[Subscription]:
        """Join `group` as `member` (unique within the group and kept over restarts) from its committed offsets, or the beginning."""

    def tail(self, topics: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[Record]]:
        """Every record sent from now on, for every caller, without a group: for caches to forget by."""

    async def ready(self) -> None:
        """Return if the log answers now.

        Raises:
            Unavailable: it does not.
        """
