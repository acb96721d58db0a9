# SPDX-License-Identifier: Apache-2.0
"""Calls a day: agencies' against the quotas of their grants, each resident's own against one bound.

Agencies' are counted durably, in blocks: never more than the quota, and seldom a write on the way of a call. A process
takes a block of at most a twentieth of the quota and uses it up in memory. What a process that dies held is lost for
that day: up to 5 % of the quota for each such death. A quota below 40 is counted call by call.

Residents' are counted in memory by each process: the bound keeps one of them from asking without end, and most ask a
few times a year, so that a row for each would cost more than it keeps.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone

from services.exchange.domain.refusals import QuotaExceeded
from services.exchange.service.ports import Store
from services.kit.clock import Clock

CHINA = timezone(timedelta(hours=8), "UTC+8")
BLOCK_MAX = 1000
BLOCK_SHARE = 20
OWN_MAX = 200_000
"""Residents whose questions are counted at a time; whoever asked longest ago begins anew."""
_REFUSED_SECONDS = 5.0  # For so long a used-up quota is refused without asking the database again.


@dataclass(slots=True)
class _Block:
    """Calls of one grant and day that this process has counted ahead."""

    day: date = date.min
    left: int = 0
    refused_until: float = 0.0
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Quotas:
    """Counts calls against the quotas of grants, and residents' own against `own_per_day`."""

    def __init__(self, store: Store, *, own_per_day: int, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._own_per_day = own_per_day
        self._clock = clock
        self._monotonic = monotonic
        self._blocks: dict[str, _Block] = {}
        self._own_day = date.min
        self._own: dict[str, int] = {}

    async def take(self, grant_id: str, quota: int) -> None:
        """Count one call, whatever comes of it; quota 0 never refuses. Raises QuotaExceeded, Unavailable."""
        if not quota:
            return
        now = self._clock().astimezone(CHINA)
        block = self._blocks.setdefault(grant_id, _Block())
        if not self._used(block, now.date()):
            async with block.taking:
                if not self._used(block, now.date()):
                    await self._fetch(grant_id, block, now, quota)

    def take_own(self, subject_id: str) -> None:
        """Count one question of a resident about themselves. Raises QuotaExceeded.

        No grant is charged: whoever fills in many forms must not use up what an agency needs for everybody else.
        """
        now = self._clock().astimezone(CHINA)
        if self._own_day != now.date():
            self._own_day, self._own = now.date(), {}
        taken = self._own.pop(subject_id, 0) + 1
        if len(self._own) >= OWN_MAX:
            self._own.pop(next(iter(self._own)))
        self._own[subject_id] = taken
        if taken > self._own_per_day:
            raise _exceeded(now)

    async def close(self) -> None:
        """Give back what was counted ahead. Raises Unavailable."""
        blocks, self._blocks = self._blocks, {}
        held = {grant_id: block for grant_id, block in blocks.items() if block.left}
        if held:
            async with self._store.transaction() as tx:
                for grant_id, block in held.items():
                    await tx.return_quota(grant_id, block.day, calls=block.left)

    @staticmethod
    def _used(block: _Block, today: date) -> bool:
        if block.day != today or block.left == 0:
            return False
        block.left -= 1
        return True

    async def _fetch(self, grant_id: str, block: _Block, now: datetime, quota: int) -> None:
        if block.day == now.date() and self._monotonic() < block.refused_until:
            raise _exceeded(now)
        calls = max(1, min(BLOCK_MAX, quota // BLOCK_SHARE))
        async with self._store.transaction() as tx:
            taken = await tx.take_quota(grant_id, now.date(), calls=calls, quota=quota)
        block.day, block.left, block.refused_until = now.date(), max(0, taken - 1), 0.0
        if not taken:
            block.refused_until = self._monotonic() + _REFUSED_SECONDS
            raise _exceeded(now)


def _exceeded(now: datetime) -> QuotaExceeded:
    midnight = datetime.combine(now.date() + timedelta(days=1), time.min, CHINA)
    return QuotaExceeded("The calls of this day are used up.", retry_after_seconds=(midnight - now).total_seconds())
