# SPDX-License-Identifier: Apache-2.0
"""What the gateway tells the others: ids, states and reasons only."""

from dataclasses import dataclass
from datetime import datetime

from services.gateway.domain.definition import StepKind


@dataclass(frozen=True, slots=True)
class CaseSubmittedFact:
    """A resident submitted a case."""

    case_id: str
    matter: str
    definition: str


@dataclass(frozen=True, slots=True)
class StepRequestedFact:
    """A step is asked of its owner."""

    case_id: str
    step_id: str
    attempt: int
    kind: StepKind
    matter: str


@dataclass(frozen=True, slots=True)
class CaseEndedFact:
    """A case has ended."""

    case_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class CaseParkedFact:
    """A case needs an operator."""

    case_id: str
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClockRangFact:
    """A limit comes near, is over, or has been over for a while."""

    case_id: str
    clock: str
    step_id: str
    bound: str
    bell: str
    number: int
    due: datetime


@dataclass(frozen=True, slots=True)
class ClockChangedFact:
    """A clock was paused, resumed, reset, extended, given days that don't count, or counted by a newer calendar."""

    case_id: str
    clock: str
    step_id: str
    change: str
    promised: str
    due: str
    """Last days, YYYY-MM-DD; empty where there is none, or while it is paused."""
    provisional: bool


@dataclass(frozen=True, slots=True)
class CorrectionRequestedFact:
    """An agency asks the applicant for corrections."""

    case_id: str
    step_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExtensionRequestedFact:
    """An agency asks its head for more time."""

    case_id: str
    step_id: str
    working_days: int


@dataclass(frozen=True, slots=True)
class ExtensionDecidedFact:
    """The head has decided."""

    case_id: str
    step_id: str
    working_days: int
    granted: bool


Fact = (
    CaseSubmittedFact
    | StepRequestedFact
    | CaseEndedFact
    | CaseParkedFact
    | ClockRangFact
    | ClockChangedFact
    | CorrectionRequestedFact
    | ExtensionRequestedFact
    | ExtensionDecidedFact
)
