# SPDX-License-Identifier: Apache-2.0
"""What holds for providers beside the catalogue: how answers may be treated, what is promised, when nobody is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from services.exchange.domain.refusals import MaintenanceNotPossible
from services.exchange.domain.resource import USCC
from services.kit.errors import RequestInvalid, Violation

CACHE_SECONDS_MAX = 86_400
WINDOW_MAX = timedelta(hours=72)
AHEAD_MAX = timedelta(days=366)
WINDOWS_MAX = 50
LATENCY_MS_MAX = 30_000
AVAILABILITY_MIN = 50.0

BOUNDS_MS = (2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
"""Upper bounds of the classes that answers are counted in; what is slower counts in the last."""


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """How answers of one resource may be treated."""

    resource: str
    idempotent: bool = False
    cache_seconds: int = 0


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What a provider promises; 0 where nothing is stated."""

    provider: str
    availability_percent: float = 0.0
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A window in which a provider, or one resource of it, does not answer."""

    maintenance_id: str
    provider: str
    resource: str
    begin_time: datetime
    end_time: datetime
    grounds: str
    cancelled: bool = False

    def covers(self, resource: str, now: datetime) -> bool:
        """Whether a question about this resource falls into it."""
        return self.begin_time <= now < self.end_time and self.resource in {"", resource}


@dataclass(frozen=True, slots=True)
class ProviderTermsChanged:
    """A policy or a promise changed."""

    provider: str
    resource: str


@dataclass(frozen=True, slots=True)
class MaintenanceAnnounced:
    """A window was announced or called off."""

    maintenance: Maintenance


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a provider, as counted: questions by outcome, answers by class of latency."""

    day: date
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def questions(self) -> int:
        """Questions that it was asked."""
        return sum(self.counts.get(name, 0) for name in ("answered", "failed", "invalid"))

    @property
    def availability_percent(self) -> float:
        """Share of questions answered; 100 where there were none."""
        return 100.0 * self.counts.get("answered", 0) / self.questions if self.questions else 100.0

    def latency_ms(self, share: float) -> int:
        """Upper bound of the class in which this share of the answers is reached; 0 where there were none."""
        answers = [self.counts.get(latency_class(bound), 0) for bound in BOUNDS_MS]
        wanted, seen = share * sum(answers), 0
        for bound, count in zip(BOUNDS_MS, answers, strict=True):
            seen += count
            if seen and seen >= wanted:
                return bound
        return 0

    def met(self, promised: ServiceLevel) -> bool:
        """Whether the day kept what was promised."""
        if self.availability_percent < promised.availability_percent:
            return False
        return not promised.latency_ms or self.latency_ms(0.95) <= _class_of(promised.latency_ms)


def latency_class(bound: int) -> str:
    """Name a class of latency as it is counted."""
    return f"ms_{bound}"


def _class_of(milliseconds: int) -> int:
    return next((bound for bound in BOUNDS_MS if milliseconds <= bound), BOUNDS_MS[-1])


def check_policy(policy: AnswerPolicy) -> None:
    """Refuse a policy that nobody could follow."""
    if not 0 <= policy.cache_seconds <= CACHE_SECONDS_MAX:
        raise RequestInvalid(
            "The policy can't be stored as given.",
            violations=[Violation("policy.cache_seconds", f"0 to {CACHE_SECONDS_MAX} seconds.")],
        )


def check_level(level: ServiceLevel) -> None:
    """Refuse a promise that can't be measured; every fault is named at once."""
    checks = {
        "service_level.provider": (bool(USCC.fullmatch(level.provider)), "A unified social credit code."),
        "service_level.availability_percent": (
            level.availability_percent == 0 or AVAILABILITY_MIN <= level.availability_percent <= 100,  # noqa: PLR2004
            "50 to 100 per cent, or 0 where nothing is promised.",
        ),
        "service_level.latency_ms": (0 <= level.latency_ms <= LATENCY_MS_MAX, f"0 to {LATENCY_MS_MAX} milliseconds."),
    }
    faults = [Violation(name, words) for name, (holds, words) in checks.items() if not holds]
    if faults:
        raise RequestInvalid("The promise can't be stored as given.", violations=faults)


def announce(
    window: Maintenance, *, announced: int, notice: timedelta, now: datetime
) -> tuple[Maintenance, MaintenanceAnnounced]:
    """Announce a window. `notice`: how long before its begin; a provider may not stop its service at will (Order 809).

    Raises MaintenanceNotPossible.
    """
    if not now + notice <= window.begin_time <= now + AHEAD_MAX:
        raise MaintenanceNotPossible(
            f"Maintenance is announced {round(notice.total_seconds() / 3600)} hours ahead, a year at most.",
            remedy="Ask an operator where it can't wait.",
        )
    if not timedelta(0) < window.end_time - window.begin_time <= WINDOW_MAX:
        raise MaintenanceNotPossible("Maintenance ends after its begin, within 72 hours.")
    if announced >= WINDOWS_MAX:
        raise MaintenanceNotPossible(f"A provider has {WINDOWS_MAX} windows to come at most.")
    return window, MaintenanceAnnounced(window)


def cancel(window: Maintenance) -> tuple[Maintenance, MaintenanceAnnounced]:
    """Call a window off; one that is over or was called off stays so."""
    after = replace(window, cancelled=True)
    return after, MaintenanceAnnounced(after)
