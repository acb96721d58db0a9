# SPDX-License-Identifier: Apache-2.0
"""What the gateway tells the others: ids, states and reasons only."""

from dataclasses import dataclass

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


Fact = CaseSubmittedFact | StepRequestedFact | CaseEndedFact | CaseParkedFact
