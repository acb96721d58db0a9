# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a definition, told at load time with a code and a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.kit.errors import StartupError


class ProblemCode(StrEnum):
    """What is wrong."""

    YAML_MALFORMED = "YAML_MALFORMED"
    FIELD_UNKNOWN = "FIELD_UNKNOWN"
    FIELD_INVALID = "FIELD_INVALID"
    FIELD_DUPLICATE = "FIELD_DUPLICATE"
    MATTER_DUPLICATE = "MATTER_DUPLICATE"
    STEP_DUPLICATE = "STEP_DUPLICATE"
    STEP_UNKNOWN = "STEP_UNKNOWN"
    STEP_CYCLE = "STEP_CYCLE"
    STEP_UNREACHABLE = "STEP_UNREACHABLE"
    STEP_NOT_BEFORE = "STEP_NOT_BEFORE"
    NEED_MAY_BE_SKIPPED = "NEED_MAY_BE_SKIPPED"
    OUTPUT_UNKNOWN = "OUTPUT_UNKNOWN"
    EXPRESSION_MALFORMED = "EXPRESSION_MALFORMED"
    AGENCY_UNKNOWN = "AGENCY_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    code: ProblemCode
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.code.value} at {self.where}: {self.message}"


class DefinitionInvalid(StartupError):  # noqa: N818 - it states what is so
    """A matter can't be loaded."""

    def __init__(self, matter: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"Matter {matter} can't be loaded: {self.problems[0]}{more}")
