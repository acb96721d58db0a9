# SPDX-License-Identifier: Apache-2.0
"""A matter as data: its form and its steps. Only shapes and bounds here; `plan` looks at what they mean together.

A definition's id is the SHA-256 of its canonical JSON: a case is pinned to exactly what was in force at its opening.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.kit.text import Text

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
Cel = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Basis = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Meaning = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,63}$")]
"""Whose and what, e.g. `applicant.birth_date`, `spouse.name`: the same meaning is the same fact, however it is named."""
Wait = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=30))]

STEPS_MAX = 100
FIELDS_MAX = 100


class StepKind(StrEnum):
    """What a step is. No others exist."""

    VERIFY = "verify"
    FETCH = "fetch"
    LICENSE = "license"
    TASK = "task"
    DECIDE = "decide"
    NOTIFY = "notify"


class OnFailure(StrEnum):
    """What a refusal means for the case."""

    REFUSE = "refuse"
    PARK = "park"
    CONTINUE = "continue"


class FieldType(StrEnum):
    """What an answer looks like."""

    TEXT = "text"
    DATE = "date"
    ENUM = "enum"
    CITIZEN_NUMBER = "citizen_number"
    ACCOUNT = "account"


class OutputType(StrEnum):
    """What a department gives back under a name."""

    TEXT = "text"
    DATE = "date"
    CITIZEN_NUMBER = "citizen_number"
    SERIAL = "serial"
    UUID = "uuid"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Part(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class IdentityPrefill(Part):
    """From the resident's own record."""

    source: Literal["identity"]
    field: Literal["name", "number", "birth_date", "phone", "address"]
    basis: Basis


class ExchangePrefill(Part):
    """From a department, through the broker, on the resident's own token."""

    source: Literal["exchange"]
    resource: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    field: Name
    agency: Name
    """Role on whose behalf it is asked."""
    basis: Basis


class Choice(Part):
    """One value of an enum."""

    value: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    title: Text


class Length(Part):
    """Bounds of a text, in characters."""

    min: int = Field(default=1, ge=1, le=1000)
    max: int = Field(default=200, ge=1, le=1000)


class FormField(Part):
    """One question."""

    name: Name
    type: FieldType
    title: Text
    required: bool = False
    sensitive: bool = False
    """Shown masked where the value came from a source."""
    read_only: bool = False
    """Only the source fills it."""
    means: Meaning | None = None
    """What the answer is, so that nobody is asked for what a department holds already."""
    asked_because: Text | None = None
    """Why it is asked although a department holds it."""
    length: Length = Length()
    choices: tuple[Choice, ...] = Field(default=(), max_length=100)
    prefill: Annotated[IdentityPrefill | ExchangePrefill, Field(discriminator="source")] | None = None

    @model_validator(mode="after")
    def _together(self) -> "FormField":
        if (self.type is FieldType.ENUM) != bool(self.choices):
            raise ValueError("choices belong to fields of type enum, and each of those has some")
        if self.read_only and self.prefill is None:
            raise ValueError("a read-only field needs a prefill")
        if self.length.min > self.length.max:
            raise ValueError("length.min is above length.max")
        return self


class Retry(Part):
    """How often and how far apart an attempt follows an attempt that could not be made."""

    max: int = Field(default=1, ge=1, le=50)
    """Attempts in all."""
    waits: tuple[Wait, ...] = Field(default=(timedelta(seconds=5),), min_length=1, max_length=50)
    """ISO 8601; the last one repeats."""

    def wait(self, failed: int) -> timedelta:
        """The wait after this many attempts (from 1)."""
        return self.waits[min(failed, len(self.waits)) - 1]


class StepBase(Part):
    """What every step has."""

    id: Name
    title: Text
    needs: tuple[Name, ...] = Field(default=(), max_length=STEPS_MAX)
    """Steps that must be done first; where one of them was skipped or failed, this one is skipped."""
    after: tuple[Name, ...] = Field(default=(), max_length=STEPS_MAX)
    """Steps that must have settled first, however they ended."""
    when: Cel | None = None
    optional: bool = False
    """The resident may do without it, and its failure undoes nothing."""
    on_failure: OnFailure = OnFailure.REFUSE


class OwnedStep(StepBase):
    """A step that somebody else does on behalf of an agency."""

    agency: Name
    """Role, e.g. `hospital`; the region says who that is."""
    basis: Basis | None = None
    """Legal basis, where it is another than the matter's."""
    retry: Retry = Retry()
    time_limit: Wait | None = None


Mapped = dict[Name, Cel]


class VerifyStep(OwnedStep):
    """Identity compares what was said about a person."""

    kind: Literal[StepKind.VERIFY]
    input: Mapped


class FetchStep(OwnedStep):
    """Exchange asks a department for facts."""

    kind: Literal[StepKind.FETCH]
    resource: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    fields: tuple[Name, ...] = Field(min_length=1, max_length=100)
    input: Mapped


class LicenseStep(OwnedStep):
    """Licenses issues a license."""

    kind: Literal[StepKind.LICENSE]
    license_type: Annotated[str, StringConstraints(min_length=21, max_length=21)]
    input: dict[Name, Cel | Mapped]


class TaskStep(OwnedStep):
    """A department does its part."""

    kind: Literal[StepKind.TASK]
    operation: Name | None = None
    """Code that the department knows; the step's id where not given."""
    input: Mapped = {}
    output: dict[Name, Annotated[str, StringConstraints(pattern=r"^[a-z_]+\??$")]] = {}
    """What must come back: name to type, `?` where it may be left out. Anything else that comes back is not kept."""
    means: dict[Name, Meaning] = {}
    """What outputs are, where another matter would ask for it."""

    @model_validator(mode="after")
    def _known_types(self) -> "TaskStep":
        for name, declared in self.output.items():
            if declared.rstrip("?") not in set(OutputType):
                raise ValueError(f"output {name} is of no known type")
        if unknown := sorted(self.means.keys() - self.output.keys()):
            raise ValueError(f"means names no output: {', '.join(unknown)}")
        return self


class Rule(Part):
    """One condition of a decision; the first that does not hold refuses."""

    test: Cel
    reason: Reason
    message: Text


class DecideStep(StepBase):
    """The engine decides by rules."""

    kind: Literal[StepKind.DECIDE]
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=50)


class NotifyStep(StepBase):
    """The applicant is told something."""

    kind: Literal[StepKind.NOTIFY]
    message: Text


Step = VerifyStep | FetchStep | LicenseStep | TaskStep | DecideStep | NotifyStep


class Matter(Part):
    """One thing that a resident can ask for."""

    code: Name
    basic_code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{12}$")]
    title: Text
    summary: Text
    lead: Name
    """Role of the leading body; its code stands in the receipt number."""
    purpose: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    basis: Basis
    notes: tuple[Text, ...] = Field(default=(), max_length=20)
    form: tuple[FormField, ...] = Field(default=(), max_length=FIELDS_MAX)
    steps: tuple[Annotated[Step, Field(discriminator="kind")], ...] = Field(min_length=1, max_length=STEPS_MAX)

    def canonical(self) -> str:
        """Sorted keys, no spaces, defaults left out: the text that is hashed and stored."""
        return canonical_json(self.model_dump(mode="json", exclude_defaults=True))

    @property
    def digest(self) -> str:
        """The definition's id, hex SHA-256."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def canonical_json(value: Mapping[str, Any] | list[Any]) -> str:
    """One text for one value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
