# SPDX-License-Identifier: Apache-2.0
"""What happened to the case as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.gateway.domain.expressions import Scalar
from services.kit.text import Text


class CaseOutcome(StrEnum):
    """How a case ended."""

    COMPLETED = "completed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """The applicant took it back."""
    TERMINATED = "terminated"
    """An operator ended it, or the case that it is a part of was given up."""


class PrefillState(StrEnum):
    """How filling a field from its source went."""

    FILLED = "filled"
    EMPTY = "empty"
    """The source has no such value."""
    UNAVAILABLE = "unavailable"
    """The source did not answer; the field stays empty and is tried again at submission."""
    REFUSED = "refused"
    """The source refused; `reason` says why."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What a source gave for a field."""

    name: str
    state: PrefillState
    value: str = field(default="", repr=False)
    source: str = ""
    provider: str = ""
    basis: str = ""
    reason: str = ""
    disputed: bool = False
    """The source says that the value is in dispute: who has proof answers the field otherwise, where the form lets them."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The step of another case that waits for this one."""

    case_id: str
    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CaseOpened:
    """A draft came to be."""

    at: datetime
    receipt: str
    matter: str
    definition: str
    applicant_id: str
    answers: Mapping[str, str] = field(repr=False)
    without: tuple[str, ...] = ()
    prefilled: tuple[Prefilled, ...] = ()
    parent: Parent | None = None
    """Of a sub-case."""


@dataclass(frozen=True, slots=True)
class AnswersChanged:
    """The draft changed; `answers` holds only what changed, empty for taken back."""

    at: datetime
    answers: Mapping[str, str] = field(repr=False)
    without: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PrefillRepeated:
    """Sources that were away were asked again."""

    at: datetime
    prefilled: tuple[Prefilled, ...]


@dataclass(frozen=True, slots=True)
class CaseSubmitted:
    """From here on it runs."""

    at: datetime


@dataclass(frozen=True, slots=True)
class CaseAccepted:
    """It is complete and will be handled; where nobody said so in time, the law does (Licensing Law, art. 32)."""

    at: datetime
    since: datetime
    """From when on it counts as accepted."""
    deemed: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """Somebody outside told what a step waits for, or will wait for."""

    at: datetime
    signal: str
    by: str
    """USCC of the agency."""
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CaseGivenUp:
    """It will not come to a good end; what was done is undone from here on, latest first, and then it ends so."""

    at: datetime
    outcome: CaseOutcome
    step_id: str = ""
    reason: str = ""
    message: Text | None = None
    by: str = ""
    """Who decided it; empty where a refusal did."""
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ValueCorrected:
    """A value that a department gave for it was wrong; what rests on it is to be looked at again."""

    at: datetime
    correction_id: str
    resource: str
    field_name: str


@dataclass(frozen=True, slots=True)
class DefinitionMoved:
    """An operator pinned the case to another version of its definition; everything after follows that one."""

    at: datetime
    definition: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CaseEnded:
    """Nothing more follows."""

    at: datetime
    outcome: CaseOutcome
    step_id: str = ""
    reason: str = ""
    message: Text | None = None


CaseEvent = (
    CaseOpened
    | AnswersChanged
    | PrefillRepeated
    | CaseSubmitted
    | CaseAccepted
    | SignalReceived
    | CaseGivenUp
    | ValueCorrected
    | DefinitionMoved
    | CaseEnded
)
