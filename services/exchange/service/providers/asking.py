# SPDX-License-Identifier: Apache-2.0
"""Asks providers: each with a budget of open questions, a breaker and a time limit; believed as far as can be checked."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from services.exchange.domain.answer import Scalar, accept
from services.exchange.domain.breaker import Breaker
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.providers import AnswerPolicy
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable
from services.exchange.domain.resource import Resource
from services.exchange.service.ports import Adapter, Adapters
from services.exchange.service.providers.kept import KeptAnswers
from services.exchange.service.providers.observed import HedgeBudget, Pace, Tally
from services.exchange.service.providers.terms import Terms

Values = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds per provider, and of the answers kept and the adapters held open for all."""

    in_flight_max: int = 256
    failures_max: int = 5
    open_seconds: float = 10.0
    kept_bytes_max: int = 32 * 1024 * 1024
    adapters_max: int = 500


@dataclass(slots=True)
class _Line:
    """What one provider is doing right now."""

    breaker: Breaker
    in_flight: int = 0
    tally: Tally = field(default_factory=Tally)
    hedges: HedgeBudget = field(default_factory=HedgeBudget)


@dataclass(slots=True)
class _Held:
    """An open adapter, closed once it is let go of and nobody uses it."""

    adapter: Adapter
    provider: str
    revision: int
    users: int = 0
    let_go: bool = False


class Providers:
    """Asks providers, and keeps one that fails from taking everybody's time."""

    def __init__(self, adapters: Adapters, *, monotonic: Callable[[], float], limits: Limits, terms: Terms) -> None:
        self._adapters = adapters
        self._monotonic = monotonic
        self._limits = limits
        self._terms = terms
        self._kept = KeptAnswers(bytes_max=limits.kept_bytes_max, monotonic=monotonic)
        self._lines: dict[str, _Line] = {}
        self._held: dict[str, _Held] = {}  # the one asked longest ago first
        self._paces: dict[str, Pace] = {}
        self._losers: set[asyncio.Task[Values | None]] = set()

    async def ask(self, resource: Resource, inquiry: Inquiry) -> Values | None:
        """Give the fields asked for of the provider's record, None where it has none.

        Raises ProviderUnavailable, ProviderInMaintenance, ProviderBusy, ProviderAnswerInvalid.
        """
        policy = self._terms.policies.get(resource.code)
        if policy is not None and policy.cache_seconds:
            return await self._kept_or_asked(resource, inquiry, policy)
        return await self._asked(resource, inquiry, policy)

    def forget(self, resource: str) -> None:
        """Give no answer of this resource again that was kept: something in it was corrected or changed."""
        self._kept.forget(resource)

    async def let_go(self, resource: str) -> None:
        """Hold no adapter of this resource any more: it was changed or withdrawn. Questions under way are answered."""
        self._paces.pop(resource, None)
        for each in self._released(resource):
            await each.adapter.close()

    def tallies(self) -> dict[str, Tally]:
        """Give and begin anew what was counted, by provider."""
        found = {provider: line.tally for provider, line in self._lines.items()}
        for line in self._lines.values():
            line.tally = Tally()
        return {provider: tally for provider, tally in found.items() if tally.counts()}

    def resting(self, provider: str) -> bool:
        """Whether the provider is left alone for now because it kept failing."""
        line = self._lines.get(provider)
        return line is not None and line.breaker.open_until > 0.0

    @property
    def held(self) -> Sequence[str]:
        """The resources with an open adapter, the one asked longest ago first."""
        return tuple(self._held)

    def in_use(self) -> Sequence[tuple[str, Adapter]]:
        """Give an open adapter of every provider that was asked here."""
        found: dict[str, Adapter] = {}
        for held in self._held.values():
            found[held.provider] = held.adapter
        return tuple(found.items())

    async def close(self) -> None:
        """Close every adapter; questions under way may fail."""
        for task in self._losers:
            task.cancel()
        held, self._held = self._held, {}
        for each in held.values():
            await each.adapter.close()

    async def _kept_or_asked(self, resource: Resource, inquiry: Inquiry, policy: AnswerPolicy) -> Values | None:
        key = self._kept.key(resource, inquiry)
        found = self._kept.find(key)
        if found is not None:
            self._line(resource.provider).tally.cached += 1
            return found
        values = await self._asked(resource, inquiry, policy)
        if values is not None:  # That there is no record is not kept: a register grows.
            self._kept.keep(key, values, policy.cache_seconds)
        return values

    async def _asked(self, resource: Resource, inquiry: Inquiry, policy: AnswerPolicy | None) -> Values | None:
        if self._terms.windows:
            self._terms.must_be_open(resource.provider, resource.code)
        if policy is not None and policy.idempotent:
            return await self._hedged(resource, inquiry)
        return await self._once(resource, inquiry)

    async def _hedged(self, resource: Resource, inquiry: Inquiry) -> Values | None:
        """Ask again where the first try is slower than nearly all, or failed; the first answer wins."""
        line = self._line(resource.provider)
        line.hedges.asked()
        pace = self._paces.setdefault(resource.code, Pace())
        began = self._monotonic()
        first = asyncio.create_task(self._once(resource, inquiry, pace))
        tries = {first}
        try:
            await asyncio.wait(tries, timeout=pace.wait)
            left = inquiry.timeout_seconds - (self._monotonic() - began)
            if _wants_another(first) and left > 0 and line.hedges.take():
                line.tally.hedged += 1
                tries.add(asyncio.create_task(self._once(resource, replace(inquiry, timeout_seconds=left), pace)))
            return await _first_answer(first, tries)
        finally:
            for each in tries:
                self._give_up(each)

    def _give_up(self, task: "asyncio.Task[Values | None]") -> None:
        """Nobody waits for it any more: it ends when its adapter lets it."""
        if not task.done():
            self._losers.add(task)
            task.add_done_callback(self._losers.discard)
            task.cancel()
        task.add_done_callback(_heard)

    async def _once(self, resource: Resource, inquiry: Inquiry, pace: Pace | None = None) -> Values | None:
        line = self._line(resource.provider)
        self._admit(line)
        held, idle = self._hold(resource)
        line.in_flight += 1
        held.users += 1
        line.breaker = line.breaker.begun()
        answered: bool | None = None
        began = self._monotonic()
        try:
            async with asyncio.timeout(inquiry.timeout_seconds):
                record = await held.adapter.ask(inquiry)
            answered = True
            values = None if record is None else accept(record, fields=inquiry.fields, subject_key=inquiry.subject_key)
            took = self._monotonic() - began
            line.tally.answered(took)
            if pace is not None:
                pace.answered(took)
        except TimeoutError:
            answered = False
            line.tally.failed += 1
            raise ProviderUnavailable(
                "The provider did not answer in time.", retry_after_seconds=self._limits.open_seconds
            ) from None
        except ProviderUnavailable:
            answered = False
            line.tally.failed += 1
            raise
        except ProviderAnswerInvalid:
            answered = True  # It is there; one bad record must not shut the door on the good ones.
            line.tally.invalid += 1
            raise
        finally:
            line.in_flight -= 1
            held.users -= 1
            line.breaker = self._after(line.breaker, answered)
            if held.let_go and not held.users:
                idle.append(held)
            for each in idle:
                await each.adapter.close()
        return values

    def _line(self, provider: str) -> _Line:
        line = self._lines.get(provider)
        if line is None:
            breaker = Breaker(failures_max=self._limits.failures_max, open_seconds=self._limits.open_seconds)
            line = self._lines[provider] = _Line(breaker)
        return line

    def _admit(self, line: _Line) -> None:
        now = self._monotonic()
        if not line.breaker.allows(now):
            line.tally.failed += 1  # Whoever asked got no answer, and the provider is why.
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
            self._held[resource.code] = self._held.pop(resource.code)
            return before, []
        adapter = self._adapters[resource.adapter](resource)
        idle = self._released(resource.code)
        if len(self._held) >= self._limits.adapters_max:
            idle += self._released(next(iter(self._held)))
        held = self._held[resource.code] = _Held(adapter, resource.provider, resource.revision)
        return held, idle

    def _released(self, code: str) -> list[_Held]:
        """Let go of an adapter; give it where nobody uses it and it is to be closed now."""
        held = self._held.pop(code, None)
        if held is None:
            return []
        held.let_go = True
        return [] if held.users else [held]


def _wants_another(first: "asyncio.Task[Values | None]") -> bool:
    return not first.done() or (not first.cancelled() and isinstance(first.exception(), ProviderUnavailable))


async def _first_answer(
    first: "asyncio.Task[Values | None]", tries: "set[asyncio.Task[Values | None]]"
) -> Values | None:
    """Wait for an answer; where no try has one, raise what the first one did."""
    waiting = set(tries)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            if each.exception() is None:
                return each.result()
    return first.result()


def _heard(task: "asyncio.Task[Values | None]") -> None:
    if not task.cancelled():
        task.exception()
