# SPDX-License-Identifier: Apache-2.0
"""How much the door lets in, and the buckets that count it."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.kit.errors import TooManyRequests, Unavailable


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the door, with its unit in its name."""

    body_bytes_max: int = 1_000_000
    """Body of a request; more is answered 413 as soon as it is seen."""
    body_seconds_max: float = 20
    """How long a body may take to arrive (408)."""
    in_flight_max: int = 512
    """Requests that are worked on at the same time, event streams not counted (429)."""
    streams_max: int = 500
    """Event streams open at the same time (429)."""
    streams_per_caller_max: int = 10
    """The same, of one caller (429)."""
    downloads_max: int = 128
    """Files that are being downloaded at the same time; the rest of the door stays free (429)."""
    downloads_per_caller_max: int = 8
    """The same, to one address (429)."""
    download_seconds: float = 900
    """How long a reader may take for a file."""
    uploads_max: int = 12
    """Files that are being handed in at the same time; each is in memory for so long (429)."""
    uploads_per_caller_max: int = 2
    """The same, of one caller (429)."""
    per_second: float = 100
    """Requests that one caller may make, filled up continuously (429)."""
    burst: int = 300
    """Requests that one caller may make at once after a rest."""
    heartbeat_seconds: float = 15
    """How often a silent event stream says that it lives."""
    callers_max: int = 50_000
    """Callers that are remembered; the longest silent one is forgotten first."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left; `reset_seconds` until the bucket is full again."""

    limit: int
    remaining: int
    reset_seconds: int


class Buckets:
    """Token buckets by caller, in memory: each process counts for itself, so N workers allow up to N times as much."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> Allowance:
        """Take one token. Raises TooManyRequests with the seconds until the next one."""
        limits, now = self._limits, self._monotonic()
        level, since = self._levels.pop(key, (float(limits.burst), now))
        level = min(float(limits.burst), level + (now - since) * limits.per_second)
        refused = level < 1
        if not refused:
            level -= 1
        self._levels[key] = (level, now)
        if len(self._levels) > limits.callers_max:
            self._levels.popitem(last=False)
        if refused:
            raise TooManyRequests(
                "Too many requests from this caller.",
                remedy="Wait for the time that Retry-After tells, then go on more slowly.",
                retry_after_seconds=(1 - level) / limits.per_second,
            )
        reset = math.ceil((limits.burst - level) / limits.per_second)
        return Allowance(limit=limits.burst, remaining=int(level), reset_seconds=reset)

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """Hold one token while something is tried; it comes back unless that fails. Raises TooManyRequests.

        It is held from the beginning, so that no more can fail at once than one after the other. Where nobody could
        tell whether it fails, it did not.
        """
        self.take(key)
        try:
            yield
        except Unavailable:
            self._give_back(key)
            raise
        self._give_back(key)

    def _give_back(self, key: str) -> None:
        if key in self._levels:  # Else it is forgotten, and begins anew with all of them.
            level, since = self._levels[key]
            self._levels[key] = (min(float(self._limits.burst), level + 1), since)


class Streams:
    """Counts answers that stay open: so many of everybody, so many of each caller."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: dict[str, int] = {}

    @contextmanager
    def one_more(self, caller_id: str) -> Iterator[None]:
        """Hold one place while the stream is open. Raises TooManyRequests where there is none."""
        own = self._open.get(caller_id, 0)
        total = sum(self._open.values())
        if total >= self._most or own >= self._most_of_one:
            raise TooManyRequests(
                "Too many streams are open.",
                remedy="Close those that are no longer read, or come again in a moment.",
                retry_after_seconds=5,
            )
        self._open[caller_id] = own + 1
        try:
            yield
        finally:
            left = self._open[caller_id] - 1
            if left:
                self._open[caller_id] = left
            else:
                del self._open[caller_id]
