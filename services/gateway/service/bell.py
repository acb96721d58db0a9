# SPDX-License-Identifier: Apache-2.0
"""Wakes who waits in this process. Listen first, look second, wait third: then nothing is missed in between."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

TIMERS = "timers"
_OWN_NEWS_MAX = 10_000


def case_key(case_id: str) -> str:
    """News of one case."""
    return f"case:{case_id}"


def tasks_key(agency: str) -> str:
    """Tasks of one agency."""
    return f"tasks:{agency}"


class Ear:
    """One who listens."""

    __slots__ = ("_event",)

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def rung(self, seconds: float) -> bool:
        """Wait until it rings, at most this long; True if it rang. The next wait starts afresh."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Bell:
    """Rings by key."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._own_news: OrderedDict[tuple[str, ...], None] = OrderedDict()

    @contextmanager
    def listening(self, key: str) -> Iterator[Ear]:
        """Hear everything rung under `key` inside the block."""
        event = asyncio.Event()
        self._listeners[key].add(event)
        try:
            yield Ear(event)
        finally:
            self._listeners[key].discard(event)
            if not self._listeners[key]:
                del self._listeners[key]

    def ring(self, key: str) -> None:
        """Wake everybody who listens to `key`."""
        for event in self._listeners.get(key, ()):
            event.set()

    def tell(self, *news: str) -> None:
        """Note news that this process itself has rung for: they come back over the bus."""
        self._own_news[news] = None
        if len(self._own_news) > _OWN_NEWS_MAX:
            self._own_news.popitem(last=False)

    def is_own(self, *news: str) -> bool:
        """Whether these are news that this process has rung for already; asked once for each."""
        return self._own_news.pop(news, self) is None

    def ring_all(self, prefix: str) -> None:
        """Wake everybody who listens to a key that begins so."""
        for key in [key for key in self._listeners if key.startswith(prefix)]:
            self.ring(key)
