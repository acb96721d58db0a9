# SPDX-License-Identifier: Apache-2.0
"""Policies and maintenance in memory: mended by events, and by a refresh for those that never came."""

import asyncio
from datetime import datetime, timedelta

from services.exchange.domain.providers import AnswerPolicy, Maintenance
from services.exchange.domain.refusals import ProviderInMaintenance
from services.exchange.service.providers.ports import ProviderStore
from services.kit.clock import Clock

_OVERLAP = timedelta(seconds=60)  # Commits may come later than the moment written in them, and clocks differ a little.


class Terms:
    """What holds now. A resource without a policy, of a provider without maintenance, costs two looks into tables."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.policies: dict[str, AnswerPolicy] = {}
        self.windows: dict[str, dict[str, Maintenance]] = {}
        self._read_until: datetime | None = None
        self._reading = asyncio.Lock()

    async def refresh(self, store: ProviderStore) -> None:
        """Read what changed, everything the first time. Raises Unavailable."""
        async with self._reading:
            now = self._clock()
            since = None if self._read_until is None else self._read_until - _OVERLAP
            changed = await store.terms_since(since, now=now)
            for policy in changed.policies:
                self.set_policy(policy)
            for window in changed.windows:
                self.set_window(window)
            self._forget_past(now)
            self._read_until = now

    def set_policy(self, policy: AnswerPolicy) -> None:
        """Let a policy hold; one that allows nothing is none."""
        if policy.idempotent or policy.cache_seconds:
            self.policies[policy.resource] = policy
        else:
            self.policies.pop(policy.resource, None)

    def set_window(self, window: Maintenance) -> None:
        """Let a window hold, or no longer."""
        known = self.windows.setdefault(window.provider, {})
        if window.cancelled:
            known.pop(window.maintenance_id, None)
        else:
            known[window.maintenance_id] = window
        if not known:
            del self.windows[window.provider]

    def must_be_open(self, provider: str, resource: str) -> None:
        """Refuse a question within a window. Raises ProviderInMaintenance."""
        now = self._clock()
        ends = [each.end_time for each in self.windows.get(provider, {}).values() if each.covers(resource, now)]
        if ends:
            end = max(ends)
            raise ProviderInMaintenance(
                f"The provider is in announced maintenance until {end.isoformat()}.",
                retry_after_seconds=(end - now).total_seconds(),
                metadata={"end_time": end.isoformat()},
            )

    def in_maintenance(self, provider: str) -> bool:
        """Whether a window for everything of the provider is on."""
        now = self._clock()
        return any(each.covers("", now) for each in self.windows.get(provider, {}).values())

    def _forget_past(self, now: datetime) -> None:
        for windows in list(self.windows.values()):
            for window in [each for each in windows.values() if each.end_time <= now]:
                del windows[window.maintenance_id]
        self.windows = {provider: windows for provider, windows in self.windows.items() if windows}
