# SPDX-License-Identifier: Apache-2.0
"""What the use cases of this area need from outside."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from services.exchange.domain.providers import AnswerPolicy, Day, Maintenance, ServiceLevel
from services.exchange.domain.resource import Resource


@dataclass(frozen=True, slots=True)
class Probe:
    """What the last look at a provider found."""

    provider: str
    probe_time: datetime
    healthy: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """Policies and windows written since some moment."""

    policies: Sequence[AnswerPolicy]
    windows: Sequence[Maintenance]


class ProviderTransaction(Protocol):
    """One change."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Tell whether this request has had no effect yet. Raises RequestIdReused where it asked for something else."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def resource(self, code: str) -> Resource:
        """Read a resource and lock it. Raises ResourceNotFound."""

    async def save_policy(self, policy: AnswerPolicy, *, now: datetime) -> None:
        """Insert or replace."""

    async def save_level(self, level: ServiceLevel, *, now: datetime) -> None:
        """Insert or replace."""

    async def maintenance(self, maintenance_id: str) -> Maintenance:
        """Read a window and lock it. Raises MaintenanceNotFound."""

    async def find_maintenance(self, maintenance_id: str) -> Maintenance | None:
        """Read a window and lock it, None where there is none."""

    async def save_maintenance(self, window: Maintenance, *, now: datetime) -> None:
        """Insert or replace."""

    async def windows_to_come(self, provider: str, *, now: datetime) -> int:
        """Count windows that are not over; the provider's are locked until the commit."""

    async def count(self, provider: str, day: date, counts: Mapping[str, int]) -> None:
        """Add to the counts of a day."""

    async def save_probe(self, probe: Probe) -> None:
        """Insert or replace."""

    async def drop_days(self, *, before: date) -> None:
        """Delete the counts of days before this one."""


class ProviderStore(Protocol):
    """The rows of this area."""

    def transaction(self) -> AbstractAsyncContextManager[ProviderTransaction]:
        """Open a transaction."""

    async def terms_since(self, moment: datetime | None, *, now: datetime) -> Changed:
        """Give policies and windows written since a moment; for None every policy, and every window not over."""

    async def provides(self, provider: str) -> bool:
        """Tell whether the catalogue has a resource of this provider."""

    async def providers_after(self, provider: str, *, limit: int) -> Sequence[str]:
        """Give codes of providers of the catalogue, in order."""

    async def levels(self, providers: Sequence[str]) -> Mapping[str, ServiceLevel]:
        """Give what providers promise."""

    async def probes(self, providers: Sequence[str]) -> Mapping[str, Probe]:
        """Give the last look at providers."""

    async def days(self, providers: Sequence[str], *, since: date) -> Mapping[str, Sequence[Day]]:
        """Give the days of providers, newest first."""

    async def windows(self, providers: Sequence[str], *, now: datetime) -> Mapping[str, Sequence[Maintenance]]:
        """Give windows of providers that are on or to come, by their begin."""
