# SPDX-License-Identifier: Apache-2.0
"""What happened to a step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.gateway.domain.expressions import Scalar
from services.kit.text import Text


class Outcome(StrEnum):
    """How an attempt of a step ended."""

    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An attempt of a step was asked of its owner."""

    at: datetime
    step_id: str
    attempt: int
    until: datetime | None = None
    """When a wait is over by itself."""
    signer: str = ""
    """Subject id of who is to sign."""


@dataclass(frozen=True, slots=True)
class StepAnswered:
    """An attempt of a step ended."""

    at: datetime
    step_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)
    message: Text | None = None
    disputed: tuple[str, ...] = ()
    """Names in `output` whose value was in dispute at its source when it was fetched."""


@dataclass(frozen=True, slots=True)
class RetryPlanned:
    """The next attempt is due at a time."""

    at: datetime
    step_id: str
    attempt: int
    due: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """The case goes on without it."""

    at: datetime
    step_id: str
    reason: str
    by: str = ""
    """The operator who decided so; empty where a rule did."""
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StepFailed:
    """It will not be done; what that means for the case follows."""

    at: datetime
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepParked:
    """It needs an operator."""

    at: datetime
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepResumed:
    """An operator let it go on."""

    at: datetime
    step_id: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StepHandedOver:
    """An operator gave a parked step to another agency."""

    at: datetime
    step_id: str
    role: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OutputProposed:
    """An operator says what came of a parked step that was done by hand; another one must confirm it."""

    at: datetime
    step_id: str
    by: str
    why: str = field(default="", repr=False)
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OutputConfirmed:
    """A second operator confirmed what the first one says; the step's answer follows."""

    at: datetime
    step_id: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SubCaseOpened:
    """The case that the step waits for."""

    at: datetime
    step_id: str
    sub_case_id: str
    receipt: str


StepEvent = (
    StepStarted
    | StepAnswered
    | RetryPlanned
    | StepSkipped
    | StepFailed
    | StepParked
    | StepResumed
    | StepHandedOver
    | OutputProposed
    | OutputConfirmed
    | SubCaseOpened
)
