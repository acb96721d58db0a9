# SPDX-License-Identifier: Apache-2.0
"""How a provider answers, as seen from here: counts for its published days, and a pace for second tries."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping

from services.exchange.domain.providers import BOUNDS_MS, latency_class

_LAST = len(BOUNDS_MS) - 1
_SECONDS = tuple(bound / 1000 for bound in BOUNDS_MS)
_PACE_KEPT, _PACE_NEEDED, _PACE_EVERY = 128, 20, 16
_HEDGE_SHARE, _HEDGE_SAVED = 0.05, 10.0


class Tally:
    """What was counted since somebody last took it."""

    __slots__ = ("_classes", "cached", "failed", "hedged", "invalid")

    def __init__(self) -> None:
        self._classes = [0] * len(BOUNDS_MS)
        self.failed = self.invalid = self.hedged = self.cached = 0

    def answered(self, seconds: float) -> None:
        """Count an answer that took so long."""
        self._classes[min(bisect_left(_SECONDS, seconds), _LAST)] += 1

    def counts(self) -> Mapping[str, int]:
        """Give what is not zero, by name."""
        found = {latency_class(bound): count for bound, count in zip(BOUNDS_MS, self._classes, strict=True)}
        found |= {name: getattr(self, name) for name in ("failed", "invalid", "hedged", "cached")}
        found["answered"] = sum(self._classes)
        return {name: count for name, count in found.items() if count}


class Pace:
    """How long answers of one resource take: after most of them would be there, a second try is worth its cost."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_PACE_KEPT)
        self._fresh = 0
        self.wait: float | None = None

    def answered(self, seconds: float) -> None:
        """Learn from an answer; the 95th part of a hundred is found anew every sixteen."""
        self._seconds.append(seconds)
        self._fresh += 1
        if len(self._seconds) >= _PACE_NEEDED and (self._fresh >= _PACE_EVERY or self.wait is None):
            self._fresh = 0
            self.wait = sorted(self._seconds)[int(0.95 * len(self._seconds))]


class HedgeBudget:
    """Second tries are one in twenty questions at most: they must not double what a slow provider has to do."""

    def __init__(self) -> None:
        self._saved = 1.0

    def asked(self) -> None:
        """A question went out."""
        self._saved = min(_HEDGE_SAVED, self._saved + _HEDGE_SHARE)

    def take(self) -> bool:
        """Take a second try, if one was saved."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
