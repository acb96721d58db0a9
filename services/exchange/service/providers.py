# SPDX-License-Identifier: Apache-2.0
"""Providers as the broker meets them: each with a budget of open questions, a breaker and a time limit."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.exchange.domain.breaker import Breaker
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable
from services.exchange.domain.resource import Resource
from services.exchange.service.ports import Adapter, Adapters


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds per provider."""

    in_flight_max: int = 256
    failures_max: int = 5
    open_seconds: float = 10.0


@dataclass(slots=True)
class _Line:
    """What one provider is doing right now."""

    breaker: Breaker
    in_flight: int = 0


@dataclass(slots=True)
class _Held:
    """An open adapter, closed once it is replaced and nobody uses it."""

    adapter: Adapter
    revision: int
    users: int = 0
    replaced: bool = False


class Providers:
    """Asks providers, and keeps one that fails from taking everybody's time."""

    def __init__(self, adapters: Adapters, *, monotonic: Callable[[], float], limits: Limits) -> None:
        self._adapters = adapters
        self._monotonic = monotonic
        self._limits = limits
        self._lines: dict[str, _Line] = {}
        self._held: dict[str, _Held] = {}

    async def ask(self, resource: Resource, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Give the provider's record, None where it has none.

        Raises ProviderUnavailable, ProviderBusy, ProviderAnswerInvalid.
        """
        line = self._line(resource.provider)
        self._admit(line)
        held, idle = self._hold(resource)
        line.in_flight += 1
        held.users += 1
        line.breaker = line.breaker.begun()
        answered: bool | None = None
        try:
            async with asyncio.timeout(inquiry.timeout_seconds):
                record = await held.adapter.ask(inquiry)
            answered = True
        except TimeoutError:
            answered = False
            raise ProviderUnavailable(
                "The provider did not answer in time.", retry_after_seconds=self._limits.open_seconds
            ) from None
        except ProviderUnavailable:
            answered = False
            raise
        except ProviderAnswerInvalid:
            answered = True  # It is there; one bad record must not shut the door on the good ones.
            raise
        finally:
            line.in_flight -= 1
            held.users -= 1
            line.breaker = self._after(line.breaker, answered)
            if held.replaced and not held.users:
                idle.append(held)
            for each in idle:
                await each.adapter.close()
        return record

    async def close(self) -> None:
        """Close every adapter; questions under way may fail."""
        held, self._held = self._held, {}
        for each in held.values():
            await each.adapter.close()

    def _line(self, provider: str) -> _Line:
        line = self._lines.get(provider)
        if line is None:
            breaker = Breaker(failures_max=self._limits.failures_max, open_seconds=self._limits.open_seconds)
            line = self._lines[provider] = _Line(breaker)
        return line

    def _admit(self, line: _Line) -> None:
        now = self._monotonic()
        if not line.breaker.allows(now):
            raise ProviderUnavailable(
                "The provider kept failing and is not asked for a while.",
                retry_after_seconds=max(0.1, line.breaker.open_until - now),
            )
        if line.in_flight >= self._limits.in_flight_max:
            raise ProviderBusy("The provider has as many open questions as it is given at once.", retry_after_seconds=1)

    def _after(self, breaker: Breaker, answered: bool | None) -> Breaker:
        if answered is None:
            return breaker.withdrawn()
        return breaker.succeeded() if answered else breaker.failed(self._monotonic())

    def _hold(self, resource: Resource) -> tuple[_Held, list[_Held]]:
        """Give the adapter of the resource as it is now, and those to close; one in use is closed by its last user."""
        before = self._held.get(resource.code)
        if before is not None and before.revision == resource.revision:
            return before, []
        held = self._held[resource.code] = _Held(self._adapters[resource.adapter](resource), resource.revision)
        if before is None:
            return held, []
        before.replaced = True
        return held, [] if before.users else [before]
