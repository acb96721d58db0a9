# SPDX-License-Identifier: Apache-2.0
"""Lines that other processes hold: this one says which are its own, and finds out whom to ask for the others."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.exchange.domain.inquiry import Inquiry
from services.exchange.service.connectors import NOT_ASKED, ConnectorHub, Outcome, WorkAnswer
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.flight import Flight

SAY_SECONDS, AGE = 5.0, timedelta(seconds=20)
"""Lines are said anew so often; those of a process that was silent for so long are not believed."""
FORGOTTEN = timedelta(hours=1)
LOOK_SECONDS = 1.0
"""So long a look at the rows holds: a connector that dials in is found by every process within it."""
HOLDERS_MAX, LOOKED_MAX = 16, 10_000
_CLOSE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_Key = tuple[str, str]
_Looked = tuple[tuple[str, ...], float]


class LineStore(Protocol):
    """Rows of lines."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction that can `save_lines`."""

    async def lines_of(self, provider: str, resource: str, *, since: datetime, limit: int) -> Sequence[str]:
        """Give addresses, newest first."""


class Processes(Protocol):
    """The other processes of this service."""

    async def ask(self, address: str, provider: str, inquiry: Inquiry) -> WorkAnswer:
        """Ask over a line that the process at the address holds. Raises ProviderUnavailable."""


class Elsewhere:
    """Asks over lines that other processes hold. A look at the rows is remembered for a second."""

    def __init__(
        self, store: LineStore, processes: Processes, *, host: str, clock: Clock, monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._processes = processes
        self._clock = clock
        self._monotonic = monotonic
        self._looked: dict[_Key, _Looked] = {}
        self._looking = Flight(self._look, self._remember)
        self._host = host
        self.address = ""

    def reached(self, port: int) -> None:
        """Learn the port that is this process's own."""
        self.address = f"{self._host}:{port}"

    async def ask(self, provider: str, inquiry: Inquiry) -> WorkAnswer:
        """Ask one holder after the other until one has a line with room; whoever was asked and is lost is not asked again.

        Raises ProviderUnavailable; Unavailable where the rows can't be read.
        """
        outcome = Outcome.NO_LINE
        for address in await self.holders(provider, inquiry.resource):
            answer = await self._processes.ask(address, provider, inquiry)
            if answer.outcome not in NOT_ASKED:
                return answer
            if answer.outcome is Outcome.FULL:
                outcome = Outcome.FULL
        return WorkAnswer(outcome)

    async def holders(self, provider: str, resource: str) -> Sequence[str]:
        """Give the addresses of other processes that hold a line, each first in its turn. Raises Unavailable."""
        key = (provider, resource)
        if key not in self._looked or self._looked[key][1] <= self._monotonic():
            await self._looking.answer(key)
        found, until = self._looked.get(key, ((), 0.0))
        self._looked[key] = ((*found[1:], *found[:1]), until)
        return found

    async def _look(self, key: _Key) -> tuple[str, ...]:
        found = await self._store.lines_of(*key, since=self._clock() - AGE, limit=HOLDERS_MAX)
        return tuple(each for each in found if each != self.address)

    def _remember(self, key: _Key, found: tuple[str, ...]) -> None:
        if len(self._looked) >= LOOKED_MAX:
            self._looked.clear()
        self._looked[key] = (found, self._monotonic() + LOOK_SECONDS)


async def keep_said(hub: ConnectorHub, elsewhere: Elsewhere, store: LineStore, *, clock: Clock) -> None:
    """Write which lines this process holds, at once when one comes or goes, and every five seconds; in the end, none."""
    said = False
    try:
        while True:
            hub.changed.clear()
            lines = hub.held()
            if lines or said:
                said = True  # Whatever comes of it: rows may be there.
                try:
                    await _say(store, elsewhere.address, lines, now=clock())
                except Unavailable:
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                said = bool(lines)
            with suppress(TimeoutError):
                async with asyncio.timeout(SAY_SECONDS):
                    await hub.changed.wait()
    finally:
        if said:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await _say(store, elsewhere.address, (), now=clock())


async def _say(store: LineStore, address: str, lines: Collection[tuple[str, str]], *, now: datetime) -> None:
    async with store.transaction() as tx:
        await tx.save_lines(address, lines, now=now, before=now - FORGOTTEN)
