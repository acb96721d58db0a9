# SPDX-License-Identifier: Apache-2.0
"""Calls a day and a second: agencies' against the quotas and rates of their grants, residents' own against one bound.

Agencies' are counted durably, in blocks: never more than the quota, and seldom a write on the way of a call. A process
takes a block of at most a twentieth of the quota and uses it up in memory. What a process that dies held is lost for
that day: up to 5 % of the quota for each such death. A quota below 40 is counted call by call.

Residents' are counted in memory by each process: the bound keeps one of them from asking without end, and most ask a
few times a year, so that a row for each would cost more than it keeps.

Rates are kept by each process in a bucket per grant, which holds as many calls as it gains in a second.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from cachetools import LRUCache

from services.exchange.domain.refusals import QuotaExceeded, RateExceeded
from services.exchange.service.ports import Store, Transaction
from services.kit.calendar import CHINA, dawn
from services.kit.clock import Clock
from services.kit.errors import Unavailable

BLOCK_MAX = 1000
BLOCK_SHARE = 20
GRANTS_MAX = 100_000
"""Grants whose calls are counted at a time; what the one that was used longest ago has counted ahead is given back."""
OWN_MAX = 200_000
"""Residents whose questions are counted at a time; whoever asked longest ago begins anew."""
_ONE_CALL = 1.0 - 1e-9  # What is gained in so many seconds may be a little less than it should.
_WRITE_SECONDS = 10.0
_REFUSED_SECONDS = 5.0  # For so long a used-up quota is refused without asking the database again.


@dataclass(slots=True)
class _Block:
    """Calls of one grant and day that this process has counted ahead."""

    day: date = date.min
    left: int = 0
    refused_until: float = 0.0
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Blocks(LRUCache[str, _Block]):
    """Blocks by grant; `spilled` are those that had to go and still hold calls."""

    def __init__(self) -> None:
        super().__init__(GRANTS_MAX)
        self.spilled: list[tuple[str, _Block]] = []

    def popitem(self) -> tuple[str, _Block]:
        """Let the one go that was used longest ago."""
        grant_id, block = super().popitem()
        if block.left:
            self.spilled.append((grant_id, block))
        return grant_id, block


@dataclass(slots=True)
class _Bucket:
    """Calls that a grant may make now, and when they were counted."""

    calls: float
    at: float


class Quotas:
    """Counts calls against the quotas of grants, and residents' own against `own_per_day`."""

    def __init__(self, store: Store, *, own_per_day: int, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._own_per_day = own_per_day
        self._clock = clock
        self._monotonic = monotonic
        self._blocks = _Blocks()
        self._buckets: LRUCache[str, _Bucket] = LRUCache(GRANTS_MAX)
        self._free: dict[str, int] = {}
        self._own_day = date.min
        self._own: dict[str, int] = {}

    async def take(self, grant_id: str, quota: int) -> None:
        """Count one call, whatever comes of it; quota 0 never refuses, and is counted in memory until `keep_counted`.

        Raises QuotaExceeded, Unavailable.
        """
        if not quota:
            self._free[grant_id] = self._free.get(grant_id, 0) + 1
            return
        now = self._clock().astimezone(CHINA)
        block = self._blocks.get(grant_id)
        if block is None:
            block = self._blocks[grant_id] = _Block()
        if not self._used(block, now.date()):
            async with block.taking:
                if not self._used(block, now.date()):
                    await self._fetch(grant_id, block, now, quota)

    async def left(self, grant_id: str, quota: int) -> int:
        """Tell how many calls of this day this process could still make; those held by others are not among them."""
        today = self._clock().astimezone(CHINA).date()
        block = self._blocks.get(grant_id)
        held = block.left if block is not None and block.day == today else 0
        return held + max(0, quota - await self._store.calls_counted(grant_id, today))

    def pace(self, grant_id: str, per_second: int) -> None:
        """Count one call against a rate. Raises RateExceeded with the time until the next one may be made."""
        wait = self.wait_seconds(grant_id, per_second)
        if wait > 0:
            raise too_fast(wait)
        self._buckets[grant_id].calls -= 1

    def wait_seconds(self, grant_id: str, per_second: int) -> float:
        """Tell how long until the next call may be made; 0 for at once."""
        now = self._monotonic()
        bucket = self._buckets.get(grant_id)
        if bucket is None:
            bucket = self._buckets[grant_id] = _Bucket(float(per_second), now)
        bucket.calls = min(float(per_second), bucket.calls + (now - bucket.at) * per_second)
        bucket.at = now
        return 0.0 if bucket.calls >= _ONE_CALL else (1.0 - bucket.calls) / per_second

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
            raise exceeded(now)

    async def keep_counted(self) -> None:
        """Write the calls under grants without a quota every ten seconds; what a killed process had not written is not counted."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            with suppress(Unavailable):
                await self._write_free()

    async def _write_free(self) -> None:
        free, self._free = self._free, {}
        if not free:
            return
        try:
            async with self._store.transaction() as tx:
                await tx.count_calls(free, self._clock().astimezone(CHINA).date())
        except Unavailable:
            for grant_id, calls in free.items():
                self._free[grant_id] = self._free.get(grant_id, 0) + calls
            raise

    async def close(self) -> None:
        """Write what was counted, and give back what was counted ahead. Raises Unavailable."""
        await self._write_free()
        blocks, self._blocks = self._blocks, _Blocks()
        held = [*blocks.spilled, *((grant_id, block) for grant_id, block in blocks.items() if block.left)]
        if held:
            async with self._store.transaction() as tx:
                await _return(tx, held)

    @staticmethod
    def _used(block: _Block, today: date) -> bool:
        if block.day != today or block.left == 0:
            return False
        block.left -= 1
        return True

    async def _fetch(self, grant_id: str, block: _Block, now: datetime, quota: int) -> None:
        if block.day == now.date() and self._monotonic() < block.refused_until:
            raise exceeded(now)
        calls = max(1, min(BLOCK_MAX, quota // BLOCK_SHARE))
        spilled, self._blocks.spilled = self._blocks.spilled, []
        async with self._store.transaction() as tx:
            await _return(tx, spilled)
            taken = await tx.take_quota(grant_id, now.date(), calls=calls, quota=quota)
        block.day, block.left, block.refused_until = now.date(), max(0, taken - 1), 0.0
        if not taken:
            block.refused_until = self._monotonic() + _REFUSED_SECONDS
            raise exceeded(now)


def too_fast(wait_seconds: float) -> RateExceeded:
    """Say that the next call has to wait."""
    return RateExceeded("More calls a second than the grant allows.", retry_after_seconds=wait_seconds)


async def _return(tx: Transaction, held: Sequence[tuple[str, _Block]]) -> None:
    for grant_id, block in held:
        await tx.return_quota(grant_id, block.day, calls=block.left)


def exceeded(now: datetime) -> QuotaExceeded:
    """Say that the day is used up, and how long until the next."""
    now = now.astimezone(CHINA)
    midnight = dawn(now.date() + timedelta(days=1))
    return QuotaExceeded("The calls of this day are used up.", retry_after_seconds=(midnight - now).total_seconds())
