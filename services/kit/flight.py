# SPDX-License-Identifier: Apache-2.0
"""One question in flight: everybody who wants the same answer waits for the same asking."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Flight(Generic[K, V]):
    """Asks once per key at a time. `keep` gets each answer whose key wasn't forgotten meanwhile.

    The asking has a context of its own: the deadline or cancellation of the one who came first isn't everybody's.
    """

    def __init__(self, ask: Callable[[K], Awaitable[V]], keep: Callable[[K, V], None]) -> None:
        self._ask = ask
        self._keep = keep
        self._asking: dict[K, asyncio.Task[V]] = {}

    async def answer(self, key: K) -> V:
        """Ask, or wait for the one who asked already."""
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._asked(key), context=Context())
            self._asking[key] = task
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Don't keep what is on its way; the next one asks anew."""
        self._asking.pop(key, None)

    def forget_all(self) -> None:
        """Don't keep anything that is on its way."""
        self._asking.clear()

    async def _asked(self, key: K) -> V:
        try:
            answer = await self._ask(key)
            if self._asking.get(key) is asyncio.current_task():
                self._keep(key, answer)
            return answer
        finally:
            if self._asking.get(key) is asyncio.current_task():
                del self._asking[key]


def _seen(task: "asyncio.Task[V]") -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
