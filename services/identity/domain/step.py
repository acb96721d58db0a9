# SPDX-License-Identifier: Apache-2.0
"""The verify step of a case: what the gateway asks, and what it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.identity.domain.comparison import Claims, Comparison
from services.identity.domain.numbers import NumberKind
from services.kit.errors import Code, Refusal

_KNOWN = {"subject_id", "number", "number_kind", "name", "birth_date", "phone"}


class StepInputInvalid(Refusal):
    """The matter's definition asks something that identity does not compare."""

    code = Code.INVALID_ARGUMENT


class StepOutcome(StrEnum):
    """How a step ended here."""

    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class VerifyStep:
    """A step to act on."""

    case_id: str
    step_id: str
    attempt: int
    purpose: str
    basis: str
    agency: str
    """USCC of the agency on whose behalf it runs."""
    input: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StepAnswered:
    """A step was answered. Ids and states only."""

    case_id: str
    step_id: str
    attempt: int
    outcome: StepOutcome
    reason: str
    output: Mapping[str, str]


def step_claims(step: VerifyStep) -> Claims:
    """What the step wants compared."""
    said = {name: value for name, value in step.input.items() if value not in (None, "")}
    if said.keys() - _KNOWN:
        raise StepInputInvalid(f"A verify step knows only {', '.join(sorted(_KNOWN))}.")
    texts = {name: value for name, value in said.items() if isinstance(value, str)}
    if len(texts) < len(said):
        raise StepInputInvalid("Every input of a verify step must be text.")
    kind = texts.pop("number_kind", "")
    if kind and kind not in set(NumberKind):
        raise StepInputInvalid(f"number_kind must be one of {', '.join(NumberKind)}.")
    return Claims(number_kind=NumberKind(kind) if kind else None, **texts)


def step_done(step: VerifyStep, comparison: Comparison) -> StepAnswered:
    """No match is an answer too: the matter's definition decides what it means."""
    output = {"result": comparison.result.value, "subject_id": comparison.subject_id}
    return StepAnswered(step.case_id, step.step_id, step.attempt, StepOutcome.DONE, "", output)


def step_refused(step: VerifyStep, refusal: Refusal) -> StepAnswered:
    """Refused for a reason that a retry won't change."""
    return StepAnswered(step.case_id, step.step_id, step.attempt, StepOutcome.REFUSED, refusal.reason, {})
