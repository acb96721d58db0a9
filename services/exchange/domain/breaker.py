# SPDX-License-Identifier: Apache-2.0
"""Stops asking a provider that keeps failing, and tries again with a single question."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Breaker:
    """State of one provider. Closed while `open_until` is 0; times are seconds of a monotonic clock."""

    failures_max: int
    open_seconds: float
    failures: int = 0
    open_until: float = 0.0
    probing: bool = False

    def allows(self, now: float) -> bool:
        """Closed, or open long enough and nobody is trying yet."""
        return self.open_until == 0.0 or (now >= self.open_until and not self.probing)

    def begun(self) -> "Breaker":
        """A question goes out; while open it is the one that tries."""
        return replace(self, probing=True) if self.open_until else self

    def succeeded(self) -> "Breaker":
        """The provider answered, be it with no record: closed."""
        if not self.failures and not self.open_until:
            return self
        return replace(self, failures=0, open_until=0.0, probing=False)

    def failed(self, now: float) -> "Breaker":
        """No answer: opens at the bound, and at once again after a failed try."""
        failures = self.failures + 1
        if self.open_until or failures >= self.failures_max:
            return replace(self, failures=failures, open_until=now + self.open_seconds, probing=False)
        return replace(self, failures=failures)

    def withdrawn(self) -> "Breaker":
        """The asker went away before an answer: it says nothing about the provider."""
        return replace(self, probing=False) if self.probing else self
