# SPDX-License-Identifier: Apache-2.0
"""Wakes the streams of this process that wait for a resource to change; who listens looks, then waits."""

import asyncio
from collections import defaultdict


class Bell:
    """One event per resource that somebody waits for. A ring between a look and the wait is not lost."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, resource: str) -> None:
        """Wake everybody who waits for it."""
        for each in self._waiting.get(resource, ()):
            each.set()

    def listen(self, resource: str) -> asyncio.Event:
        """Give an event that is set by each ring; clear it before looking."""
        event = asyncio.Event()
        self._waiting[resource].add(event)
        return event

    def leave(self, resource: str, event: asyncio.Event) -> None:
        """Stop listening."""
        waiting = self._waiting[resource]
        waiting.discard(event)
        if not waiting:
            del self._waiting[resource]
