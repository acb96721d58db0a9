# SPDX-License-Identifier: Apache-2.0
"""What runs beside the calls: the rulebook forgets what changed, old answers go."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from services.exchange.service.drops import DropService
from services.exchange.service.rulebook import Rulebook
from services.kit.errors import Unavailable

_RETRY_SECONDS = 1.0
_CLEANING_SECONDS = 3600.0
_CLEARING_SECONDS = 60.0
_REINDEX_MAX = 200


async def keep_fresh(rulebook: Rulebook, *, age_seconds_max: float) -> None:
    """Read what changed three times within the age that is allowed, so that one failure refuses nobody."""
    refreshed = True
    while True:
        await asyncio.sleep(age_seconds_max / 3 if refreshed else _RETRY_SECONDS)
        refreshed = await _refreshed(rulebook)


async def keep_cleared(drops: DropService) -> None:
    """Delete rows of files that are no longer given, once a minute: nobody may need them (PIPL, art. 19)."""
    while True:
        with suppress(Unavailable):
            await drops.clear()
        await asyncio.sleep(_CLEARING_SECONDS)


async def keep_clean(drops: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Delete what may no longer be kept, once an hour. A process that misses a turn leaves it to the next."""
    while True:
        try:
            for drop in drops:
                await drop()
        except Unavailable:
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        await asyncio.sleep(_CLEANING_SECONDS)


class Reindexing(Protocol):
    """Resources whose words an earlier release wrote, or none did."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction that can `reindex`."""


async def keep_indexed(store: Reindexing) -> None:
    """Write the words of resources that were stored before there were any; processes share the work. Then there is no more."""
    written = _REINDEX_MAX
    while written == _REINDEX_MAX:
        try:
            async with store.transaction() as tx:
                written = await tx.reindex(limit=_REINDEX_MAX)
        except Unavailable:
            await asyncio.sleep(_RETRY_SECONDS)


async def _refreshed(rulebook: Rulebook) -> bool:
    try:
        await rulebook.refresh()
    except Unavailable:
        return False
    return True
