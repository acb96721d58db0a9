# SPDX-License-Identifier: Apache-2.0
"""A bounded ring of spans in one SQLite file, written and read by one thread of its own.

Traces help to find faults, they are no record: a commit isn't forced to the disk, and the oldest spans go first.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from services.gateway.console.spans import Link, Span
from services.kit.errors import StartupError, Unavailable

T = TypeVar("T")

_WAITING_MAX: Final = 64
"""Batches and reads that wait for the thread; one more is told to come again."""
_TRIM_SECONDS: Final = 10.0
_BUSY_SECONDS: Final = 5.0
_DAY_SECONDS: Final = 86_400.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS span (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_id TEXT NOT NULL,
  service TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
  start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, status TEXT NOT NULL,
  case_id TEXT NOT NULL, received REAL NOT NULL, details TEXT NOT NULL,
  UNIQUE (trace_id, span_id)
);
CREATE INDEX IF NOT EXISTS span_case ON span (case_id) WHERE case_id <> '';
CREATE INDEX IF NOT EXISTS span_received ON span (received);
"""
_INSERT: Final = """
INSERT INTO span
  (trace_id, span_id, parent_id, service, name, kind, start_ns, end_ns, status, case_id, received, details)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_TRACE: Final = """
SELECT trace_id, span_id, parent_id, service, name, kind, start_ns, end_ns, status, details
FROM span WHERE trace_id = ? ORDER BY start_ns, id LIMIT ?
"""
_OF_CASE: Final = """
SELECT trace_id FROM span WHERE case_id = ? GROUP BY trace_id ORDER BY MIN(start_ns) LIMIT ?
"""
_RECENT: Final = """
SELECT trace_id, MIN(start_ns), MAX(end_ns), COUNT(*), GROUP_CONCAT(DISTINCT service), MAX(status = 'error'),
  COALESCE(MAX(CASE WHEN parent_id = '' THEN name END), '')
FROM (SELECT * FROM span ORDER BY id DESC LIMIT 5000)
GROUP BY trace_id HAVING MAX(case_id <> '' OR parent_id = '' AND kind = 'server')
ORDER BY MIN(start_ns) DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace in a list; times are nanoseconds since 1970."""

    trace_id: str
    start_ns: int
    end_ns: int
    spans: int
    services: tuple[str, ...]
    failed: bool
    root: str
    """Name of its first span; empty where that one has not arrived."""


class TraceStore:
    """Keeps the newest spans; the oldest go first, by number and by age."""

    def __init__(
        self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, spans_max: int, age_days: float
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._spans_max = spans_max
        self._age_seconds = age_days * _DAY_SECONDS
        self._trimmed = 0.0
        self._waiting = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: str = "", *, spans_max: int = 100_000, age_days_max: float = 7) -> AsyncIterator[Self]:
        """Open the store at `path`; in memory where it is empty. Raises StartupError where it can't be had."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tongban-traces")
        loop = asyncio.get_running_loop()
        try:
            connection = await loop.run_in_executor(thread, _connect, path)
            try:
                yield cls(connection, thread, spans_max, age_days_max)
            finally:
                await loop.run_in_executor(thread, connection.close)
        finally:
            thread.shutdown()

    async def add(self, spans: Sequence[Span]) -> None:
        """Keep spans in one transaction; one that is there already stays as it is. Raises Unavailable."""
        if spans:
            await self._run(lambda: self._insert(spans))

    async def trace(self, trace_id: str, *, limit: int = 2000) -> tuple[Span, ...]:
        """Give the spans of a trace by start, at most `limit`; empty where there is none."""
        return await self._run(lambda: tuple(map(_span, self._connection.execute(_TRACE, (trace_id, limit)))))

    async def traces_of_case(self, case_id: str, *, limit: int = 20) -> tuple[str, ...]:
        """Give the ids of traces in which something was done for the case, the oldest first."""
        return await self._run(lambda: tuple(row[0] for row in self._connection.execute(_OF_CASE, (case_id, limit))))

    async def recent(self, *, limit: int = 20) -> tuple[TraceSummary, ...]:
        """Give the newest traces that began at a door or were for a case, the newest first; not what a clock began."""
        return await self._run(lambda: tuple(map(_summary, self._connection.execute(_RECENT, (limit,)))))

    async def count(self) -> int:
        """Count the spans that are kept."""
        return await self._run(lambda: int(self._connection.execute("SELECT COUNT(*) FROM span").fetchone()[0]))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING_MAX:
            raise Unavailable("The trace store is busy.", retry_after_seconds=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise Unavailable("The trace store does not answer.", retry_after_seconds=5) from error
        finally:
            self._waiting -= 1

    def _insert(self, spans: Sequence[Span]) -> None:
        now = time.time()
        with self._connection:
            self._connection.executemany(_INSERT, [_row(span, now) for span in spans])
            if now - self._trimmed >= _TRIM_SECONDS or len(spans) > self._spans_max // 20:
                self._trim(now)

    def _trim(self, now: float) -> None:
        """Let go of the oldest: by number (ids grow by one for each span), and by age."""
        self._trimmed = now
        newest = self._connection.execute("SELECT MAX(id) FROM span").fetchone()[0] or 0
        self._connection.execute("DELETE FROM span WHERE id <= ?", (newest - self._spans_max,))
        self._connection.execute("DELETE FROM span WHERE received < ?", (now - self._age_seconds,))


def _connect(path: str) -> sqlite3.Connection:
    try:
        if path:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise StartupError(f"The trace store {path} can't be opened: {error}. It may be deleted.") from error
    return connection


def _row(span: Span, now: float) -> tuple[str | int | float, ...]:
    return (
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.service,
        span.name,
        span.kind,
        span.start_ns,
        span.end_ns,
        span.status,
        span.case_id,
        now,
        span.details(),
    )


def _span(row: Sequence[str | int]) -> Span:
    trace_id, span_id, parent_id, service, name, kind, start_ns, end_ns, status, details = row
    rest = json.loads(str(details))
    return Span(
        trace_id=str(trace_id),
        span_id=str(span_id),
        parent_id=str(parent_id),
        service=str(service),
        instance=rest["instance"],
        name=str(name),
        kind=str(kind),
        start_ns=int(start_ns),
        end_ns=int(end_ns),
        status=str(status),
        message=rest["message"],
        attributes=rest["attributes"],
        links=tuple(Link(*pair) for pair in rest["links"]),
    )


def _summary(row: Sequence[str | int]) -> TraceSummary:
    trace_id, start_ns, end_ns, spans, services, failed, root = row
    return TraceSummary(
        trace_id=str(trace_id),
        start_ns=int(start_ns),
        end_ns=int(end_ns),
        spans=int(spans),
        services=tuple(sorted(str(services).split(","))),
        failed=bool(failed),
        root=str(root),
    )
