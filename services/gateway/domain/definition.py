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

from pydantic import Field, StringConstraints, model_validator

from services.gateway.domain.eligibility import EligibilityRule
from services.gateway.domain.limits import CaseClock, CaseLimit
from services.gateway.domain.material import MATERIALS_MAX, Material
from services.gateway.domain.parts import (
    FIELDS_MAX,
    STEPS_MAX,
    Basis,
    Cel,
    LongWait,
    Mapped,
    Meaning,
    Name,
    Part,
    Reason,
    StepId,
    Wait,
)
from services.gateway.domain.redress import Redress
from services.gateway.domain.steps import (
    AskedStep,
    DecideStep,
    FetchStep,
    LicenseStep,
    NotifyStep,
    OnFailure,
    OutputType,
    OwnedStep,
    PayStep,
    Retry,
    Rule,
    SignStep,
    Step,
    StepBase,
    StepKind,
    SubCaseStep,
    TaskStep,
    Undo,
    UndoableStep,
    UndoTask,
    VerifyStep,
    WaitStep,
    undo_id,
)
from services.kit.text import Text

__all__ = [
    "FIELDS_MAX",
    "STEPS_MAX",
    "AskedStep",
    "Basis",
    "Cel",
    "Choice",
    "DecideStep",
    "ExchangePrefill",
    "FetchStep",
    "FieldType",
    "FormField",
    "IdentityPrefill",
    "Length",
    "LicenseStep",
    "Mapped",
    "Material",
    "Matter",
    "Meaning",
    "Name",
    "NotifyStep",
    "OnFailure",
    "OutputType",
    "OwnedStep",
    "Part",
    "PayStep",
    "Reason",
    "Retry",
    "Rule",
    "SignStep",
    "Step",
    "StepBase",
    "StepId",
    "StepKind",
    "SubCaseStep",
    "TaskStep",
    "Undo",
    "UndoTask",
    "UndoableStep",
    "VerifyStep",
    "Wait",
    "WaitStep",
    "canonical_json",
    "undo_id",
]


class FieldType(StrEnum):
    """What an answer looks like."""

    TEXT = "text"
    DATE = "date"
    ENUM = "enum"
    CITIZEN_NUMBER = "citizen_number"
    ACCOUNT = "account"


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
    limits: dict[CaseClock, CaseLimit] = Field(default={})
    form: tuple[FormField, ...] = Field(default=(), max_length=FIELDS_MAX)
    steps: tuple[Annotated[Step, Field(discriminator="kind")], ...] = Field(min_length=1, max_length=STEPS_MAX)
    materials: tuple[Material, ...] = Field(default=(), max_length=MATERIALS_MAX)
    """What is to be handed in beside the form."""
    several_drafts: bool = False
    """Whether a person may have more than one draft of it at a time, e.g. for twins."""
    precheck: tuple[FormField, ...] = Field(default=(), max_length=20)
    """Questions of the eligibility check; nothing of it is kept."""
    eligibility: tuple[EligibilityRule, ...] = Field(default=(), max_length=20)
    """Conditions that can be checked before anything is filled in, over the answers to `precheck`."""
    redress: Redress = Redress()
    correction_limit: LongWait = timedelta(days=30)
    """How long the applicant has for corrections; then the case counts as withdrawn."""
    retries_max: int = Field(default=500, ge=0, le=10_000)
    """Retries of all steps of one case together; when they are used up, what can't be done now parks the case."""

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
