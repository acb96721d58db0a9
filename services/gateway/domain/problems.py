# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a definition, told at load time with a code and a place."""

from collections.abc import Mapping, Sequence
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
    SIGNAL_DUPLICATE = "SIGNAL_DUPLICATE"
    MATTER_UNKNOWN = "MATTER_UNKNOWN"
    MATTER_CYCLE = "MATTER_CYCLE"
    RESOURCE_UNKNOWN = "RESOURCE_UNKNOWN"
    LICENSE_TYPE_UNKNOWN = "LICENSE_TYPE_UNKNOWN"
    INPUT_UNKNOWN = "INPUT_UNKNOWN"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_MAY_BE_EMPTY = "INPUT_MAY_BE_EMPTY"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    EXPRESSION_MAY_FAIL = "EXPRESSION_MAY_FAIL"
    BASIS_UNNAMED = "BASIS_UNNAMED"
    TEXT_UNTRANSLATED = "TEXT_UNTRANSLATED"
    MEANING_MISSING = "MEANING_MISSING"
    ONCE_ONLY = "ONCE_ONLY"
    FIELD_UNUSED = "FIELD_UNUSED"
    WAIT_UNBOUNDED = "WAIT_UNBOUNDED"
    LIMIT_UNKNOWN = "LIMIT_UNKNOWN"
    PROMISE_TOO_LONG = "PROMISE_TOO_LONG"
    PROMISE_TOO_SHORT = "PROMISE_TOO_SHORT"


REMEDIES: Mapping[ProblemCode, str] = {
    ProblemCode.YAML_MALFORMED: "Mend the line; an editor with the schema shows it while you write.",
    ProblemCode.FIELD_UNKNOWN: "Correct the name, or add the field.",
    ProblemCode.FIELD_INVALID: "See schema.json for what may stand there.",
    ProblemCode.FIELD_DUPLICATE: "Give each field its own name.",
    ProblemCode.MATTER_DUPLICATE: "Give each matter its own code.",
    ProblemCode.STEP_DUPLICATE: "Give each step its own id.",
    ProblemCode.STEP_UNKNOWN: "Correct the id, or add the step.",
    ProblemCode.STEP_CYCLE: "Take one of the `needs` or `after` out of the circle.",
    ProblemCode.STEP_UNREACHABLE: "Take the step out, or what keeps it from ever starting.",
    ProblemCode.STEP_NOT_BEFORE: "Name the step in `needs` or `after`.",
    ProblemCode.NEED_MAY_BE_SKIPPED: "Wait with `after`, or give this step a condition.",
    ProblemCode.OUTPUT_UNKNOWN: "Correct the name, or declare the output.",
    ProblemCode.EXPRESSION_MALFORMED: "Mend the CEL.",
    ProblemCode.AGENCY_UNKNOWN: "Use a role of the list of agencies, or add it there.",
    ProblemCode.SIGNAL_DUPLICATE: "Give each signal its own name: a signal is for one step.",
    ProblemCode.MATTER_UNKNOWN: "Use the code of a matter that is offered here.",
    ProblemCode.MATTER_CYCLE: "Take a sub-case out of the circle: no matter is a part of itself.",
    ProblemCode.RESOURCE_UNKNOWN: "Use a resource and fields of the exchange catalogue.",
    ProblemCode.LICENSE_TYPE_UNKNOWN: "Use the code of a license type that is issued here.",
    ProblemCode.INPUT_UNKNOWN: "Leave it out, or use the name that the owner of the step knows.",
    ProblemCode.INPUT_MISSING: "Map it: the owner of the step refuses without it.",
    ProblemCode.INPUT_MAY_BE_EMPTY: "Make its source required, or give the step a condition.",
    ProblemCode.TYPE_MISMATCH: "Map a value of the kind that is wanted, or declare the source's type.",
    ProblemCode.EXPRESSION_MAY_FAIL: "Ask first whether the value is there: `x != '' && ...`.",
    ProblemCode.BASIS_UNNAMED: "Name law and article, or the document and its number.",
    ProblemCode.TEXT_UNTRANSLATED: "Write it in both languages.",
    ProblemCode.MEANING_MISSING: "Say `means: whose.what`, so that it can be compared with what departments hold.",
    ProblemCode.ONCE_ONLY: "Prefill it from there; where that can't be, say why in `asked_because`.",
    ProblemCode.FIELD_UNUSED: "Take the field out: what serves no purpose is not asked (PIPL, art. 6).",
    ProblemCode.WAIT_UNBOUNDED: "Give it a `time_limit`, a `duration` or an `until`.",
    ProblemCode.LIMIT_UNKNOWN: "Use a name of the files of limits, or add it there with its basis.",
    ProblemCode.PROMISE_TOO_LONG: "Promise at most what the law allows.",
    ProblemCode.PROMISE_TOO_SHORT: "Promise what the steps on the critical path need together, or let them promise less.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    code: ProblemCode
    where: str
    message: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.code]

    def __str__(self) -> str:
        return f"{self.code.value} at {self.where}: {self.message}"


class DefinitionInvalid(StartupError):  # noqa: N818 - it states what is so
    """A matter can't be loaded."""

    def __init__(self, matter: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"Matter {matter} can't be loaded: {self.problems[0]}{more}")
