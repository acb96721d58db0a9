# SPDX-License-Identifier: Apache-2.0
"""How well providers answer: counted by every process, probed, and published beside what they promise."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.exchange.domain.providers import Day, Maintenance, ServiceLevel
from services.exchange.domain.refusals import ProviderNotFound
from services.exchange.service.ports import Probed
from services.exchange.service.providers.asking import Providers
from services.exchange.service.providers.ports import Probe, ProviderStore
from services.exchange.service.providers.terms import Terms
from services.kit.calendar import CHINA
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.paging import Page, encode_token, text_after

PAGE_SIZE, DAYS = 50, 7
DAYS_KEPT = timedelta(days=400)
PROBE_SECONDS_MAX = 5.0
PROBES_MAX = 8
_FLUSH_SECONDS = 10.0
_STALE = timedelta(minutes=10)


class ProviderState(StrEnum):
    """What a provider is doing."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """One provider: its state, its days, its promise, its maintenance."""

    provider: str
    state: ProviderState
    probe_time: datetime | None
    level: ServiceLevel
    days: Sequence[Day]
    windows: Sequence[Maintenance]


class ProviderWatch:
    """Reads and writes the health of providers."""

    def __init__(self, store: ProviderStore, providers: Providers, terms: Terms, *, clock: Clock) -> None:
        self._store = store
        self._providers = providers
        self._terms = terms
        self._clock = clock

    async def health(self, provider: str, *, days: int, caller: Caller) -> ProviderHealth:
        """Tell of one provider. Raises ProviderNotFound."""
        caller.must("exchange.read")
        if not await self._store.provides(provider):
            raise ProviderNotFound("Nobody of that code provides anything here.")
        return (await self._told([provider], days=days or DAYS))[0]

    async def list(self, *, page_size: int, page_token: str, caller: Caller) -> Page[ProviderHealth]:
        """Tell of every provider of the catalogue, by code, with the present day."""
        caller.must("exchange.read")
        size = page_size or PAGE_SIZE
        after = text_after(page_token, "provider")
        codes = await self._store.providers_after(after, limit=size + 1)
        page = tuple(await self._told(codes[:size], days=1))
        return Page(page, encode_token(provider=codes[size - 1]) if len(codes) > size else "")

    async def refresh(self) -> None:
        """Mend what holds for providers. Raises Unavailable."""
        await self._terms.refresh(self._store)

    async def flush(self) -> None:
        """Write what was counted since the last time. Raises Unavailable; what was counted is then lost."""
        counted = self._providers.tallies()
        if counted:
            async with self._store.transaction() as tx:
                for provider, tally in sorted(
                    counted.items()
                ):  # In one order: two processes never wait for each other.
                    await tx.count(provider, self._today(), tally.counts())

    async def probe(self) -> None:
        """Look at every provider that was asked here, without asking about anybody. Raises Unavailable."""
        room = asyncio.Semaphore(PROBES_MAX)

        async def look(provider: str, adapter: Probed) -> Probe:
            async with room:
                return Probe(provider, self._clock(), await _answers(adapter))

        adapters = [(name, each) for name, each in self._providers.in_use() if isinstance(each, Probed)]
        probes = await asyncio.gather(*(look(name, each) for name, each in adapters))
        if probes:
            async with self._store.transaction() as tx:
                for each in sorted(probes, key=lambda probe: probe.provider):
                    await tx.save_probe(each)

    async def drop_old(self) -> None:
        """Delete days that nobody asks about any more. Raises Unavailable."""
        async with self._store.transaction() as tx:
            await tx.drop_days(before=self._today() - DAYS_KEPT)

    async def _told(self, providers: Sequence[str], *, days: int) -> Sequence[ProviderHealth]:
        now = self._clock()
        levels = await self._store.levels(providers)
        probes = await self._store.probes(providers)
        counted = await self._store.days(providers, since=self._today() - timedelta(days=days - 1))
        windows = await self._store.windows(providers, now=now)
        return [
            ProviderHealth(
                provider=each,
                state=self._state(each, probes.get(each), counted.get(each, ()), now),
                probe_time=probes[each].probe_time if each in probes else None,
                level=levels.get(each, ServiceLevel(each)),
                days=counted.get(each, ()),
                windows=windows.get(each, ()),
            )
            for each in providers
        ]

    def _state(self, provider: str, probe: Probe | None, days: Sequence[Day], now: datetime) -> ProviderState:
        if self._terms.in_maintenance(provider):
            return ProviderState.MAINTENANCE
        if self._providers.resting(provider):
            return ProviderState.DOWN
        if probe is not None and now - probe.probe_time < _STALE:
            return ProviderState.UP if probe.healthy else ProviderState.DOWN
        answered = bool(days) and days[0].day == self._today() and days[0].counts.get("answered", 0) > 0
        return ProviderState.UP if answered else ProviderState.UNKNOWN

    def _today(self) -> date:
        return self._clock().astimezone(CHINA).date()


async def keep_watch(watch: ProviderWatch, *, probe_seconds: float) -> None:
    """Write counts and mend the terms every ten seconds, probe as often as asked for, forget old days."""
    since_probe = 0.0
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        since_probe += _FLUSH_SECONDS
        with suppress(Unavailable):  # The next turn comes soon.
            await watch.refresh()
            await watch.flush()
            if since_probe >= probe_seconds:
                since_probe = 0.0
                await watch.probe()
                await watch.drop_old()


async def _answers(adapter: Probed) -> bool:
    try:
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            await adapter.probe()
    except Exception:  # noqa: BLE001 - whatever breaks there, it does not answer
        return False
    return True
