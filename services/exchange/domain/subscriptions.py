# SPDX-License-Identifier: Apache-2.0
"""Subscriptions: an agency hears of changes of granted fields of the subjects it watches, in order, at least once."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.exchange.domain.inquiry import Subject
from services.kit.errors import Code, NotFound, Refusal

CHANGES_MAX = 1_000
"""Changes of one notice of a provider; subjects of one message of a subscriber."""
WATCHED_MAX = 1_000_000
"""Subjects of one subscription."""
SUBSCRIPTIONS_MAX = 100
"""Of one agency."""
UNHELD_MAX = 500
"""Changes sent that the subscriber has not acknowledged; then the stream waits."""


class SubscriptionNotFound(NotFound):
    """There is no such subscription of the caller's."""


class SubscriptionEnded(Refusal):
    """It was ended."""


class SubscriptionTakenOver(Refusal):
    """Another stream goes on with this subscription; this one has lost it."""

    code = Code.ABORTED


class SubscriptionPositionWrong(Refusal):
    """What is acknowledged was never sent."""

    code = Code.OUT_OF_RANGE


class SubscriptionNotOpened(Refusal):
    """A stream says first which subscription it goes on with, and only once."""


class TooManySubscriptions(Refusal):
    """The agency has as many subscriptions, or this one watches as many subjects, as may be."""

    code = Code.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an agency hears. `position`: every change up to this one is acknowledged; changes count from 1 per resource."""

    subscription_id: str
    agency: str
    resource: str
    purpose: str
    fields: tuple[str, ...]
    with_values: bool
    position: int
    watched: int
    create_time: datetime
    stream_id: str = ""
    end_time: datetime | None = None

    def same_question(self, other: "Subscription") -> bool:
        """Tell whether two mean the same."""
        mine = (self.agency, self.resource, self.purpose, self.with_values)
        same = mine == (other.agency, other.resource, other.purpose, other.with_values)
        return same and other.fields in {(), self.fields}


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider tells: fields of one subject's record changed; no values."""

    subject: Subject
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A notice in its place in the log of a resource."""

    position: int
    subject_id: str
    subject: Subject
    fields: tuple[str, ...]
    publish_time: datetime


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a resource: positions `first` to `last` are kept; empty where `first` is after `last`."""

    first: int = 1
    last: int = 0


@dataclass(frozen=True, slots=True)
class ChangesPublished:
    """The log of a resource has grown. Nothing of its subjects."""

    resource: str
    last: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes that are no longer kept and were never acknowledged: the subscriber asks anew for whom it watches."""

    first: int
    last: int


@dataclass(slots=True)
class Flow:
    """What one stream has sent and not yet heard of: positions leave in order and are acknowledged in order."""

    position: int
    sent: int = field(init=False)
    unheld: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing was sent yet."""
        self.sent = self.position

    @property
    def full(self) -> bool:
        """Whether to wait for an acknowledgment before more is sent."""
        return len(self.unheld) >= UNHELD_MAX

    def send(self, position: int) -> None:
        """Note that a change, or that there was none for this subscriber up to here, was sent."""
        assert position > self.sent, "Changes are sent in order."
        self.sent = position
        self.unheld.append(position)

    def acknowledge(self, position: int) -> bool:
        """Note that everything up to a position is held; tell whether that is news. Raises SubscriptionPositionWrong."""
        if position > self.sent:
            raise SubscriptionPositionWrong(f"Nothing after {self.sent} was sent.")
        if position <= self.position:
            return False
        self.position = position
        self.unheld = [each for each in self.unheld if each > position]
        return True


def gap_of(log: Log, position: int) -> Gap | None:
    """Tell what a subscriber who holds everything up to `position` has missed for good."""
    return Gap(position + 1, log.first - 1) if position + 1 < log.first else None


def relevant(change: Change, fields: Iterable[str]) -> tuple[str, ...]:
    """Give the fields of a change that are among those granted, in their order; empty where it is not for them."""
    granted = set(fields)
    return tuple(name for name in change.fields if name in granted)


def must_go_on(subscription: Subscription, stream_id: str = "") -> None:
    """Raises SubscriptionEnded, SubscriptionTakenOver."""
    if subscription.end_time is not None:
        raise SubscriptionEnded("The subscription was ended.")
    if stream_id and subscription.stream_id != stream_id:
        raise SubscriptionTakenOver("Another stream goes on with this subscription.")


def ended(before: Subscription, *, now: datetime) -> Subscription:
    """End it."""
    return before if before.end_time is not None else replace(before, end_time=now)
