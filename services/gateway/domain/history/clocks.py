# SPDX-License-Identifier: Apache-2.0
"""What happened to a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.kit.calendar import Bell, Terms
from services.kit.text import Text


class Bound(StrEnum):
    """Which of a clock's two limits."""

    PROMISE = "promise"
    STATUTORY = "statutory"


class ClockMove(StrEnum):
    """What is done to a clock."""

    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"
    EXTEND = "extend"
    EXCLUDE = "exclude"
    MEET = "meet"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Dates:
    """What a clock's limits come to, by calendar: kept as it was told, whatever calendar comes later."""

    by: Mapping[str, str] = field(default_factory=dict)
    """The last day, YYYY-MM-DD, by `Bound`; empty while the clock is paused."""
    calendar: str = ""
    version: int = 0
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class ClockStarted:
    """A clock of the case, or of one step, runs; one that has ended runs anew."""

    at: datetime
    clock: str
    since: datetime
    """Its day is day 0."""
    terms: Mapping[str, Terms]
    """By `Bound`; kept with the clock, so that a new policy changes none that runs."""
    dates: Dates
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """It was paused, extended, met ...; `by` says who did it, empty where a rule did."""

    at: datetime
    clock: str
    move: ClockMove
    dates: Dates
    step_id: str = ""
    because: Text | None = None
    amount: int = 0
    first: str = ""
    """Of days that never count, YYYY-MM-DD; `last` as well."""
    last: str = ""
    by: str = ""
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class ClockRang:
    """A warning, the end of a limit, or an escalation was told."""

    at: datetime
    clock: str
    bound: Bound
    bell: Bell
    number: int
    due: datetime
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class ClockRecounted:
    """A newer calendar counts it otherwise, or for sure what was provisional before."""

    at: datetime
    clock: str
    before: Dates
    dates: Dates
    step_id: str = ""


ClockEvent = ClockStarted | ClockMoved | ClockRang | ClockRecounted
