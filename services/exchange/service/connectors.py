# SPDX-License-Identifier: Apache-2.0
"""Providers behind a firewall: they hold a line open, the broker sends work down it and matches the answers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable, ResourceNotOwned
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind
from services.kit.clock import Clock
from services.kit.ids import new_id


class Outcome(StrEnum):
    """How a connector answers one piece of work, or why it was not asked."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    INVALID = "invalid"
    NO_LINE = "no_line"
    FULL = "full"


NOT_ASKED = frozenset({Outcome.NO_LINE, Outcome.FULL})
"""Nobody heard the question: somebody else may be asked."""


@dataclass(frozen=True, slots=True)
class Work:
    """One question on its way to a connector."""

    work_id: str
    resource: str
    subject_key: str = field(repr=False)
    fields: tuple[str, ...]
    expire_time: datetime
    traceparent: str


@dataclass(frozen=True, slots=True)
class WorkAnswer:
    """What came back."""

    outcome: Outcome
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)


class OtherLines(Protocol):
    """Lines that other processes hold."""

    async def ask(self, provider: str, inquiry: Inquiry) -> WorkAnswer:
        """Ask over one of them. Raises ProviderUnavailable."""

    async def holders(self, provider: str, resource: str) -> Sequence[str]:
        """Give the addresses of processes that hold one."""


class Line:
    """One open line of a provider. Bounded: at most `in_flight_max` questions wait on it."""

    def __init__(self, provider: str, resources: Iterable[str], *, in_flight_max: int) -> None:
        self.provider = provider
        self.resources = frozenset(resources)
        self._in_flight_max = in_flight_max
        self._queue: asyncio.Queue[Work | None] = asyncio.Queue()
        self._open: dict[str, asyncio.Future[WorkAnswer]] = {}
        self.closed = False

    @property
    def full(self) -> bool:
        """Whether no more work may be put on it: neither is what was not taken yet, be it late, without bound."""
        return max(len(self._open), self._queue.qsize()) >= self._in_flight_max

    async def ask(self, work: Work) -> WorkAnswer:
        """Send work and wait for its answer. Raises ProviderUnavailable as soon as the line is gone."""
        answer: asyncio.Future[WorkAnswer] = asyncio.get_running_loop().create_future()
        self._open[work.work_id] = answer
        self._queue.put_nowait(work)
        try:
            return await answer
        finally:
            self._open.pop(work.work_id, None)

    async def work(self) -> AsyncIterator[Work]:
        """Give work as it comes, until the line closes; what nobody waits for any more is not sent."""
        while (work := await self._queue.get()) is not None:
            if work.work_id in self._open:
                yield work

    def deliver(self, work_id: str, answer: WorkAnswer) -> bool:
        """Match an answer with its work; False for one that is late, unknown or given twice."""
        waiting = self._open.get(work_id)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(answer)
        return True

    def close(self) -> None:
        """Fail everything that is open at once."""
        self.closed = True
        self._queue.put_nowait(None)
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(ProviderUnavailable("The provider's connector hung up.", retry_after_seconds=1))


class ConnectorHub:
    """Every open line of this process. Several lines of one provider take turns; where none has room, others' are asked."""

    def __init__(self, *, clock: Clock, in_flight_max: int) -> None:
        self._clock = clock
        self._in_flight_max = in_flight_max
        self._lines: dict[str, deque[Line]] = {}
        self.others: OtherLines | None = None
        self.changed = asyncio.Event()

    @contextmanager
    def line(self, provider: str, offered: Mapping[str, Resource | None]) -> Iterator[Line]:
        """Hold a line open for as long as the block runs. Raises ResourceNotOwned."""
        for code, resource in offered.items():
            if resource is None or resource.provider != provider or resource.adapter is not AdapterKind.CONNECTOR:
                raise ResourceNotOwned(f"Resource {code} is not one that this agency provides by connector.")
        line = Line(provider, offered, in_flight_max=self._in_flight_max)
        for code in line.resources:
            self._lines.setdefault(code, deque()).append(line)
        self.changed.set()
        try:
            yield line
        finally:
            self.changed.set()
            for code in line.resources:
                lines = self._lines[code]
                lines.remove(line)
                if not lines:
                    del self._lines[code]
            line.close()

    def close(self) -> None:
        """Close every line, because the service stops."""
        for lines in list(self._lines.values()):
            for line in lines:
                if not line.closed:
                    line.close()

    def held(self) -> Collection[tuple[str, str]]:
        """Give the (provider, resource) pairs that lines of this process serve."""
        return {(line.provider, code) for code, lines in self._lines.items() for line in lines if not line.closed}

    async def ask(self, provider: str, inquiry: Inquiry, *, traceparent: str = "") -> Mapping[str, Any] | None:
        """Ask over the next line with room, here or elsewhere. Raises ProviderUnavailable, ProviderBusy, ProviderAnswerInvalid."""
        answer = await self.ask_here(provider, inquiry, traceparent=traceparent)
        if answer.outcome in NOT_ASKED and self.others is not None:
            elsewhere = await self.others.ask(provider, inquiry)
            # Full here and nobody else there: busy, not away.
            answer = answer if elsewhere.outcome is Outcome.NO_LINE else elsewhere
        return _values(answer)

    async def ask_here(self, provider: str, inquiry: Inquiry, *, traceparent: str = "") -> WorkAnswer:
        """Ask over a line of this process. Raises ProviderUnavailable where it drops meanwhile."""
        lines = self._lines_of(provider, inquiry.resource)
        free = next((line for line in lines if not line.full), None)
        if free is None:
            return WorkAnswer(Outcome.FULL if lines else Outcome.NO_LINE)
        turns = self._lines[inquiry.resource]
        turns.remove(free)
        turns.append(free)
        work = Work(
            work_id=new_id(),
            resource=inquiry.resource,
            subject_key=inquiry.subject_key,
            fields=inquiry.fields,
            expire_time=self._clock() + timedelta(seconds=inquiry.timeout_seconds),
            traceparent=traceparent,
        )
        return await free.ask(work)

    async def must_hold(self, provider: str, resource: str) -> None:
        """Return if a line of the provider serves the resource, here or elsewhere. Raises ProviderUnavailable."""
        if self._lines_of(provider, resource):
            return
        if self.others is None or not await self.others.holders(provider, resource):
            raise _not_connected()

    def _lines_of(self, provider: str, resource: str) -> list[Line]:
        # The catalogue may have changed hands while a line stayed open: only the provider of today is asked.
        return [line for line in self._lines.get(resource, ()) if line.provider == provider and not line.closed]


def _values(answer: WorkAnswer) -> Mapping[str, Any] | None:
    match answer.outcome:
        case Outcome.FOUND:
            return answer.values
        case Outcome.NOT_FOUND:
            return None
        case Outcome.INVALID:
            raise ProviderAnswerInvalid("The provider's connector gave an answer that is too large.")
        case Outcome.FULL:
            raise ProviderBusy("Every line of the provider's connector is full.", retry_after_seconds=1)
        case Outcome.NO_LINE:
            raise _not_connected()
        case Outcome.FAILED:
            raise ProviderUnavailable("The provider's connector could not ask its register.")


def _not_connected() -> ProviderUnavailable:
    return ProviderUnavailable("The provider's connector is not connected.", retry_after_seconds=1)
