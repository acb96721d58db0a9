# SPDX-License-Identifier: Apache-2.0
"""The kinds of steps, and what each says of itself."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from services.gateway.domain.desk import Desk
from services.gateway.domain.limits import CaseLimit
from services.gateway.domain.parts import (
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
from services.kit.text import Text


class StepKind(StrEnum):
    """What a step is. No others exist."""

    VERIFY = "verify"
    FETCH = "fetch"
    LICENSE = "license"
    TASK = "task"
    DECIDE = "decide"
    NOTIFY = "notify"
    WAIT = "wait"
    PAY = "pay"
    SUB_CASE = "sub_case"
    SIGN = "sign"


class OnFailure(StrEnum):
    """What a refusal means for the case."""

    REFUSE = "refuse"
    PARK = "park"
    CONTINUE = "continue"


class OutputType(StrEnum):
    """What comes back under a name."""

    TEXT = "text"
    DATE = "date"
    CITIZEN_NUMBER = "citizen_number"
    SERIAL = "serial"
    UUID = "uuid"
    NUMBER = "number"
    BOOLEAN = "boolean"


Outputs = dict[Name, Annotated[str, StringConstraints(pattern=rf"^(?:{'|'.join(OutputType)})\??$")]]
"""What must come back: name to type, `?` where it may be left out. Anything else that comes back is not kept."""

CAME = "came"
"""Output of every wait: what ended it, `signal` or `time`."""


class Retry(Part):
    """How often and how far apart an attempt follows an attempt that could not be made."""

    max: int = Field(default=1, ge=1, le=50)
    """Attempts in all."""
    waits: tuple[Wait, ...] = Field(default=(timedelta(seconds=5),), min_length=1, max_length=50)
    """ISO 8601; the last one repeats."""

    def wait(self, failed: int) -> timedelta:
        """The wait after this many attempts (from 1)."""
        return self.waits[min(failed, len(self.waits)) - 1]


class Undo(Part):
    """What its owner does where the case is given up after the step was done, or may have been.

    It is asked with attempts of its own, in the reverse order of completion. The owner must cope with a step that was
    never done: an attempt that nobody answered may or may not have had its effect.
    """

    retry: Retry = Retry()
    time_limit: Wait | None = None


class UndoTask(Undo):
    """The same by a department."""

    operation: Name
    """Code that the department knows."""
    agency: Name | None = None
    """Role; the step's own where not given."""
    input: Mapped = Field(default={})


class StepBase(Part):
    """What every step has."""

    id: StepId
    title: Text
    needs: tuple[Name, ...] = Field(default=(), max_length=STEPS_MAX)
    """Steps that must be done first; where one of them was skipped or failed, this one is skipped."""
    after: tuple[Name, ...] = Field(default=(), max_length=STEPS_MAX)
    """Steps that must have settled first, however they ended."""
    when: Cel | None = None
    optional: bool = False
    """The resident may do without it, and its failure undoes nothing."""
    on_failure: OnFailure = OnFailure.REFUSE
    limit: CaseLimit | None = None
    """From its first request to its answer."""
    not_counted: Text | None = None
    """The words of the law by which its time does not count towards the decision, e.g. that of a hearing (art. 45)."""


class AskedStep(StepBase):
    """A step that is asked of somebody and answered later."""

    retry: Retry = Retry()
    time_limit: Wait | None = None
    """Of one attempt; one that takes longer counts as not possible now."""
    pivot: bool = False
    """Once it is done nothing is undone any more: later failures park the case, and nobody can cancel it."""


class OwnedStep(AskedStep):
    """A step that is done on behalf of an agency."""

    agency: Name
    """Role, e.g. `hospital`; the region says who that is."""
    basis: Basis | None = None
    """Legal basis, where it is another than the matter's."""


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
    """Licenses issues a license, or ends those that a holder has; to undo an issue is to revoke that license."""

    kind: Literal[StepKind.LICENSE]
    license_type: Annotated[str, StringConstraints(min_length=21, max_length=21)]
    ends: bool = False
    """Nothing is issued: what the holder has of this type from this agency, as far as it says `attributes`, is ended.
    It is superseded by `successor_id`, a license of the same case, or revoked where none is named; for good."""
    input: dict[Name, Cel | Mapped]
    undo: Undo | None = None

    @model_validator(mode="after")
    def _undoable(self) -> Self:
        _never_both(self)
        if self.ends and self.undo is not None:
            raise ValueError("a license that was ended can't be put back in force")
        return self


class TaskStep(OwnedStep):
    """A department does its part."""

    kind: Literal[StepKind.TASK]
    operation: Name | None = None
    """Code that the department knows; the step's id where not given."""
    input: Mapped = Field(default={})
    output: Outputs = Field(default={})
    means: dict[Name, Meaning] = Field(default={})
    """What outputs are, where another matter would ask for it."""
    desk: Desk | None = None
    """For departments whose clerks do it."""
    undo: UndoTask | None = None

    @model_validator(mode="after")
    def _undoable(self) -> Self:
        _never_both(self)
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


class WaitStep(AskedStep):
    """The case waits for a signal from an agency, for a time, or for what comes first of both."""

    kind: Literal[StepKind.WAIT]
    signal: Name | None = None
    """Its name; the only one of that name in the matter. It may come before the case waits for it."""
    agency: Name | None = None
    """Role of who gives the signal."""
    output: Outputs = Field(default={})
    """What the signal brings; nothing of it where the time came first."""
    duration: LongWait | None = None
    """From the start of the step."""
    until: Cel | None = None
    """A day (YYYY-MM-DD, from its beginning in China) or a moment (RFC 3339)."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.duration is not None and self.until is not None:
            raise ValueError("duration and until exclude each other")
        if self.signal is None and self.duration is None and self.until is None:
            raise ValueError("it waits for a signal, for a time, or for both")
        if (self.signal is None) != (self.agency is None):
            raise ValueError("a signal needs the agency that gives it, and an agency a signal")
        if self.output and self.signal is None:
            raise ValueError("only a signal brings an output")
        if CAME in self.output:
            raise ValueError(f"the output {CAME} says what ended the wait")
        return self


class PayStep(OwnedStep):
    """The applicant pays a fee to an agency; to undo it is to pay the fee back."""

    kind: Literal[StepKind.PAY]
    amount: Cel
    """Whole fen, not negative; where it is 0 there is nothing to pay and the step is done."""
    undo: Undo | None = None

    @model_validator(mode="after")
    def _undoable(self) -> Self:
        _never_both(self)
        return self


class SubCaseStep(AskedStep):
    """A case of another matter for the same applicant; how it ends is the answer."""

    kind: Literal[StepKind.SUB_CASE]
    matter: Name
    answers: Mapped = Field(default={})
    """Answers to that matter's form."""
    output: Mapped = Field(default={})
    """What is taken over from it once it is completed: expressions over the other case."""
    undo: UndoTask | None = None

    @model_validator(mode="after")
    def _undoable(self) -> Self:
        if self.undo is not None and self.undo.agency is None:
            raise ValueError("who undoes a sub-case must be said (undo.agency)")
        _never_both(self)
        return self


class SignStep(AskedStep):
    """Another person signs; never the applicant."""

    kind: Literal[StepKind.SIGN]
    signer: Cel
    """Subject id of who is to sign."""
    shown: Mapped = Field(default={})
    """What they read before they do."""


Step = (
    VerifyStep
    | FetchStep
    | LicenseStep
    | TaskStep
    | DecideStep
    | NotifyStep
    | WaitStep
    | PayStep
    | SubCaseStep
    | SignStep
)
UndoableStep = TaskStep | LicenseStep | PayStep | SubCaseStep


def undo_id(step_id: str) -> str:
    """Under which what undoes a step stands in the history; no step can have such an id."""
    return f"{step_id}.undo"


def _never_both(step: UndoableStep) -> None:
    if step.pivot and step.undo is not None:
        raise ValueError("a pivot is never undone")
