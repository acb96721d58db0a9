# SPDX-License-Identifier: Apache-2.0
"""Providers behind a firewall: they hold a line open, the broker sends work down it and matches the answers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable, ResourceNotOwned
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind
from services.kit.clock import Clock
from services.kit.ids import new_id


class Outcome(StrEnum):
    """How a connector answers one piece of work."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    INVALID = "invalid"


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
    """Every open line of this process. Several lines of one provider take turns."""

    def __init__(self, *, clock: Clock, in_flight_max: int) -> None:
        self._clock = clock
        self._in_flight_max = in_flight_max
        self._lines: dict[str, deque[Line]] = {}

    @contextmanager
    def line(self, provider: str, offered: Mapping[str, Resource | None]) -> Iterator[Line]:
        """Hold a line open for as long as the block runs. Raises ResourceNotOwned."""
        for code, resource in offered.items():
            if resource is None or resource.provider != provider or resource.adapter is not AdapterKind.CONNECTOR:
                raise ResourceNotOwned(f"Resource {code} is not one that this agency provides by connector.")
        line = Line(provider, offered, in_flight_max=self._in_flight_max)
        for code in line.resources:
            self._lines.setdefault(code, deque()).append(line)
        try:
            yield line
        finally:
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

    async def ask(self, provider: str, inquiry: Inquiry, *, traceparent: str = "") -> Mapping[str, Any] | None:
        """Ask over the next line with room. Raises ProviderUnavailable, ProviderBusy."""
        line = self._next(provider, inquiry.resource)
        work = Work(
            work_id=new_id(),
            resource=inquiry.resource,
            subject_key=inquiry.subject_key,
            fields=inquiry.fields,
            expire_time=self._clock() + timedelta(seconds=inquiry.timeout_seconds),
            traceparent=traceparent,
        )
        answer = await line.ask(work)
        if answer.outcome is Outcome.FAILED:
            raise ProviderUnavailable("The provider's connector could not ask its register.")
        if answer.outcome is Outcome.INVALID:
            raise ProviderAnswerInvalid("The provider's connector gave an answer that is too large.")
        return answer.values if answer.outcome is Outcome.FOUND else None

    def must_hold(self, provider: str, resource: str) -> None:
        """Return if a line of the provider serves the resource. Raises ProviderUnavailable."""
        self._lines_of(provider, resource)

    def _lines_of(self, provider: str, resource: str) -> list[Line]:
        # The catalogue may have changed hands while a line stayed open: only the provider of today is asked.
        lines = [line for line in self._lines.get(resource, ()) if line.provider == provider and not line.closed]
        if not lines:
            raise ProviderUnavailable("The provider's connector is not connected.", retry_after_seconds=1)
        return lines

    def _next(self, provider: str, resource: str) -> Line:
        lines = self._lines_of(provider, resource)
        free = next((line for line in lines if not line.full), None)
        if free is None:
            raise ProviderBusy("Every line of the provider's connector is full.", retry_after_seconds=1)
        turns = self._lines[resource]
        turns.remove(free)
        turns.append(free)
        return free
