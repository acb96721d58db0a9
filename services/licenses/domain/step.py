# SPDX-License-Identifier: Apache-2.0
"""A step of a case that asks for a license, and the answer that the case engine hears."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.kit.errors import Code, Refusal

SUBJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What a subject id looks like."""


class StepInputIncomplete(Refusal):
    """The step doesn't say which license it wants."""

    code = Code.INVALID_ARGUMENT


class SuccessorUnknown(Refusal):
    """The license that should take the place of others is none of the case's."""

    code = Code.NOT_FOUND


class StepOutcome(StrEnum):
    """How a step ended here."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Step:
    """Which step of which case, and the attempt that is to be answered."""

    case_id: str
    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepAnswered:
    """The step is answered: ids and reasons only, never personal data."""

    step: Step
    outcome: StepOutcome
    reason: str = ""
    output: Mapping[str, str] = field(default_factory=dict)


def serial_of(derived_id: str) -> str:
    """Turn an id that was derived from case and step into a serial: 32 upper-case hexadecimal digits."""
    return derived_id.replace("-", "").upper()
