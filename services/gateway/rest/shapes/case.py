# SPDX-License-Identifier: Apache-2.0
"""Cases: what is asked, and how it stands."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.gateway.rest.shapes.base import Agency, Asked, Moment, Shape, Words
from services.gateway.rest.shapes.clock import Clock, ExpectedEnd
from services.gateway.rest.shapes.material import Material
from services.gateway.service import CaseStatus, PrefillState

_NAME = r"^[a-z][a-z0-9_]{0,63}$"
_NO_CONTROLS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
Answer = Annotated[str, StringConstraints(max_length=1000, pattern=_NO_CONTROLS)]
Answers = Annotated[
    dict[Name, Answer],
    Field(
        max_length=100,
        description="Answers by the field's name; the matter's form says which. An empty string takes one back.",
        examples=[{"child_name": "安宁", "child_sex": "female", "birth_date": "2026-11-02"}],
    ),
]
Without = Annotated[
    list[Name],
    Field(max_length=100, description="Optional steps that are not wanted.", examples=[["social_security_card"]]),
]


class NewCase(Asked):
    """A draft that is asked for."""

    matter: Annotated[Name, Field(description="Code of the matter.", examples=["birth"])]
    answers: Answers = Field(default={})
    without: Without = Field(default=[])


class ChangedAnswers(Asked):
    """A change of a draft. What is left out stays as it is."""

    answers: Answers = Field(default={})
    without: Without | None = None


class Step(Shape):
    """One step of a case."""

    id: str = Field(examples=["household_registration"])
    kind: str = Field(
        description="`verify`, `fetch`, `license`, `task`, `decide`, `notify`, `wait`, `pay`, `sub_case` or `sign`.",
        examples=["task"],
    )
    title: Words
    agency: Agency | None
    optional: bool
    state: str = Field(
        description="`waiting`, `running`, `retrying`, `done`, `skipped`, `failed`, `parked`, `canceled` or `undone`.",
        examples=["running"],
    )
    started: Moment | None
    ended: Moment | None
    attempts: int = Field(description="How often it was asked of its owner.")
    reason: str = Field(description="Machine reason where it did not end well; empty otherwise.")
    message: Words | None = Field(description="The department's own words, where it gave any.")


class CaseLicense(Shape):
    """A license that the case led to."""

    step_id: str
    type_code: str = Field(examples=["111000000000010033002"])
    license_id: str = Field(description="Read it at /api/v1/licenses/{license_id}.")
    identifier: str = Field(description="Identifier of GB/T 36904.")
    version: int


class Prefilled(Shape):
    """A field that the resident need not fill in."""

    name: str = Field(examples=["father_name"])
    value: str = Field(description="Masked (first 1, last 1) where sensitive; empty unless filled.", examples=["林*远"])
    source: str = Field(description="`identity` or the code of the resource.", examples=["307001/000001"])
    provider: str = Field(description="USCC of the department that answered; empty for identity.")
    basis: str = Field(description="Legal basis of asking.")
    state: PrefillState
    reason: str = Field(description="Machine reason where the source refused; empty otherwise.")
    disputed: bool = Field(description="True where the value is in dispute at its source; see /api/v1/corrections.")


class Remedy(Shape):
    """One way to have a refusal looked at again."""

    kind: str = Field(description="`reconsideration` or `litigation`.", examples=["reconsideration"])
    where: Words
    until: date = Field(description="The last day, in China; by law it may be later where it falls on a holiday.")
    basis: str = Field(description="Law and article.")


class ToCorrect(Shape):
    """One thing that the applicant is to correct (Licensing Law, art. 32)."""

    step_id: str = Field(description="The step whose department asks.")
    name: str = Field(description="Name of the field, or `id` of the material.", examples=["child_name"])
    words: Words = Field(description="What is wrong with it.")
    until: Moment = Field(description="Then the case counts as withdrawn.")


class Case(Shape):
    """A case as its applicant sees it."""

    id: str = Field(description="UUID.", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])
    receipt: str = Field(description="Case number 办件编号; tell this one to people.")
    matter: str = Field(examples=["birth"])
    title: Words
    definition: str = Field(description="Content hash of the definition that the case is pinned to.")
    status: CaseStatus
    reason: str = Field(description="Why it was refused or parked; empty otherwise.")
    message: Words | None
    version: int = Field(description="Number of the last event; the ETag. Give it back in If-Match.")
    created: Moment
    submitted: Moment | None
    ended: Moment | None
    trace_id: str = Field(description="Trace, 32 hexadecimal digits; empty until it is submitted.")
    answers: dict[str, str] = Field(description="What the resident answered.")
    without: list[str] = Field(description="Optional steps that are not wanted.")
    prefilled: list[Prefilled]
    steps: list[Step]
    licenses: list[CaseLicense]
    to_correct: list[ToCorrect] = Field(description="What the applicant is to correct, all at once.")
    materials: list[Material] = Field(description="What is to be handed in, and what was.")
    redress: list[Remedy] = Field(
        description="Of a refusal: reconsideration and litigation, where and until when (Licensing Law, art. 38)."
    )
    clocks: list[Clock] = Field(description="Limits of the case and of its steps, promised and by law.")
    expected_end: ExpectedEnd | None = Field(description="Null for a draft and for a case that has ended.")


class Submitted(Shape):
    """A case that was submitted. Says nothing that changes later, so that a repeat is answered word for word."""

    id: str = Field(description="UUID.", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])
    receipt: str = Field(description="Case number 办件编号; tell this one to people.")
    matter: str = Field(examples=["birth"])
    title: Words
    status: Literal["submitted"] = Field(default="submitted", description="It was taken; read the case for more.")
    created: Moment
    submitted: Moment
    trace_id: str = Field(description="Trace of everything that follows, 32 hexadecimal digits.")


class Summary(Shape):
    """One row of the list of cases."""

    id: str
    receipt: str
    matter: str
    title: Words
    status: CaseStatus
    version: int
    created: Moment
    submitted: Moment | None
    ended: Moment | None


class Cases(Shape):
    """Some cases, newest first."""

    cases: list[Summary]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")


class Entry(Shape):
    """One thing that happened; carries no personal data."""

    seq: int = Field(description="Number within the case, from 1.")
    time: Moment
    kind: str = Field(
        description="`opened`, `changed`, `prefilled`, `submitted`, `accepted`, `deemed_accepted`, `step_started`, "
        "`step_done`, `step_refused`, `step_unavailable`, `retry_planned`, `step_skipped`, `step_failed`, `parked`, "
        "`resumed`, `handed_over`, `output_proposed`, `output_confirmed`, `sub_case_opened`, `signal_received`, "
        "`given_up`, `material_added`, `material_removed`, "
        "`value_corrected`, `correction_made`, `definition_moved`, `clock_started`, `clock_paused`, `clock_resumed`, `clock_reset`, "
        "`clock_extended`, `clock_excluded`, `clock_met`, `clock_withdrawn`, `clock_warning`, `clock_overdue`, "
        "`clock_escalation`, `clock_recounted` or `ended`.",
        examples=["step_done"],
    )
    text: Words
    step_id: str = Field(description="The step; empty where the whole case is meant.")
    agency: Agency | None
    attempt: int
    reason: str
    message: Words | None


class Timeline(Shape):
    """Everything that happened, oldest first."""

    entries: list[Entry]
