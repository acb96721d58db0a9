# SPDX-License-Identifier: Apache-2.0
"""What the gateway shows: frozen, free of wire types, ready for any doorway."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.gateway.domain.case import CaseStatus
from services.gateway.domain.expected_end import ExpectedEnd
from services.gateway.domain.history import PrefillState
from services.gateway.domain.redress import Remedy
from services.gateway.service.clocks import ClockView
from services.gateway.service.materials import MaterialView
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class AgencyView:
    """A department in the role that a matter names; `uscc` is empty where this region has none in it."""

    role: str
    uscc: str
    name: Text


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """One value of an enum field."""

    value: str
    title: Text


@dataclass(frozen=True, slots=True)
class PrefillView:
    """Where a field is filled from."""

    source: str
    """`identity` or `exchange`."""
    resource: str
    """Code of the resource; empty for identity."""
    field: str
    basis: str


@dataclass(frozen=True, slots=True)
class FieldView:
    """One question of a matter's form."""

    name: str
    type: str
    """`text`, `date`, `enum`, `citizen_number` or `account`."""
    title: Text
    required: bool
    sensitive: bool
    """True where the stored value is shown masked."""
    read_only: bool
    """True where only the source fills it; an answer to it is refused."""
    length_min: int
    length_max: int
    choices: tuple[ChoiceView, ...]
    prefill: PrefillView | None


@dataclass(frozen=True, slots=True)
class StepOutline:
    """One step of a matter before anything has happened."""

    id: str
    kind: str
    """`verify`, `fetch`, `license`, `task`, `decide`, `notify`, `wait`, `pay`, `sub_case` or `sign`."""
    title: Text
    agency: AgencyView | None
    """None where no department stands behind it (decide, notify)."""
    optional: bool
    needs: tuple[str, ...]
    """Steps that must be done first."""
    after: tuple[str, ...]
    """Steps that must have settled first, however they ended."""


@dataclass(frozen=True, slots=True)
class MatterView:
    """One thing that a resident can ask for."""

    code: str
    definition: str
    """Content hash of the current definition (hex SHA-256)."""
    basic_code: str
    """Basic item code, 12 digits (ZWFW C0109.1-2018)."""
    title: Text
    summary: Text
    lead: AgencyView
    basis: str
    notes: tuple[Text, ...]
    """What is not verified, said openly."""
    fields: tuple[FieldView, ...]
    steps: tuple[StepOutline, ...]
    several_drafts: bool = False
    precheck: tuple[FieldView, ...] = ()
    """Questions of the eligibility check."""
    eligibility: tuple[Text, ...] = ()
    """Its conditions."""
    materials: tuple[MaterialView, ...] = ()


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a case."""

    id: str
    kind: str
    title: Text
    agency: AgencyView | None
    optional: bool
    state: str
    """`waiting`, `running`, `retrying`, `done`, `skipped`, `failed`, `parked`, `canceled` or `undone`."""
    started: datetime | None
    ended: datetime | None
    attempts: int
    reason: str
    """Machine reason where it did not end well; empty otherwise."""
    message: Text | None
    """The department's own words, where it gave any."""


@dataclass(frozen=True, slots=True)
class IssuedLicense:
    """A license that a case led to."""

    step_id: str
    type_code: str
    license_id: str
    identifier: str
    version: int


@dataclass(frozen=True, slots=True)
class PrefilledField:
    """A field that the resident need not fill in."""

    name: str
    value: str
    """Masked (first 1, last 1) where the field is sensitive; empty unless filled."""
    source: str
    """`identity` or the code of the resource."""
    provider: str
    """USCC of the department that answered; empty for identity."""
    basis: str
    state: PrefillState
    reason: str
    disputed: bool = False
    """The value is in dispute at its source."""


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as its applicant sees it."""

    id: str
    receipt: str
    """Case number 办件编号: implementation code (31), YYYYMMDD, six-digit serial."""
    matter: str
    title: Text
    definition: str
    status: CaseStatus
    reason: str
    """Why it was refused or parked; empty otherwise."""
    message: Text | None
    version: int
    """Number of the last event; give it back with a change."""
    created: datetime
    submitted: datetime | None
    ended: datetime | None
    trace_id: str
    """Hex trace id; empty until it is submitted."""
    answers: Mapping[str, str]
    """What the resident answered."""
    without: tuple[str, ...]
    """Optional steps that the resident does not want."""
    prefilled: tuple[PrefilledField, ...]
    steps: tuple[StepView, ...]
    licenses: tuple[IssuedLicense, ...]
    found: bool = False
    """It was there already: a person has one draft of a matter at a time."""
    to_correct: tuple["ToCorrect", ...] = ()
    """What the applicant is to correct, all at once."""
    redress: tuple[Remedy, ...] = ()
    """Of a refusal: where the applicant turns to, and until when."""
    clocks: tuple[ClockView, ...] = ()
    expected_end: ExpectedEnd | None = None
    materials: tuple[MaterialView, ...] = ()


@dataclass(frozen=True, slots=True)
class ToCorrect:
    """One thing that the applicant is to correct."""

    step_id: str
    """Whose agency asks for it."""
    name: str
    """Of the field."""
    words: Text
    until: datetime
    """Then the case counts as withdrawn."""


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One row of a resident's cases."""

    id: str
    receipt: str
    matter: str
    title: Text
    status: CaseStatus
    version: int
    created: datetime
    submitted: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened; carries no personal data."""

    seq: int
    time: datetime
    kind: str
    """`opened`, `changed`, `prefilled`, `submitted`, `accepted`, `deemed_accepted`, `step_started`, `step_done`, `step_refused`,
    `step_unavailable`, `retry_planned`, `step_skipped`, `step_failed`, `parked`, `resumed`, `handed_over`, `output_proposed`,
    `output_confirmed`, `sub_case_opened`, `signal_received`, `given_up`, `value_corrected`, `correction_made`, `definition_moved`, `clock_started`,
    `clock_paused`, `clock_resumed`, `clock_reset`, `clock_extended`, `clock_excluded`, `clock_met`, `clock_withdrawn`,
    `clock_warning`, `clock_overdue`, `clock_escalation`, `clock_recounted` or `ended`."""
    text: Text
    step_id: str = ""
    agency: AgencyView | None = None
    attempt: int = 0
    reason: str = ""
    message: Text | None = None


@dataclass(frozen=True, slots=True)
class CaseTrace:
    """How an operator gets from a receipt to its trace; no personal data."""

    case_id: str
    receipt: str
    matter: str
    status: CaseStatus
    trace_id: str
    created: datetime
    submitted: datetime | None


@dataclass(frozen=True, slots=True)
class LicenseView:
    """A license of the calling resident; `credential` and `attributes` are given for a single one only."""

    license_id: str
    identifier: str
    type_code: str
    name: Text
    version: int
    state: str
    """`active`, `suspended`, `revoked`, `expired` or `superseded`."""
    issuer: AgencyView
    issued: datetime
    expires: datetime | None
    case_id: str
    own: bool
    """False where the caller reads it for the holder, e.g. a newborn."""
    credential: str = ""
    attributes: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class NarrowAccesses:
    """Which accesses are wanted; empty doesn't narrow."""

    from_time: datetime | None = None
    to_time: datetime | None = None
    agency: str = ""
    resource: str = ""
    purpose: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class AskerView:
    """Who asked: `self`, or the kind of caller; a department with its name."""

    kind: str
    name: Text
    agency: AgencyView | None


@dataclass(frozen=True, slots=True)
class WithheldView:
    """Why an entry's content is not shown: `hidden` by an order, until `ends` where that may be told, or `archived`."""

    reason: str
    order_id: str
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class AccessView:
    """One use of the caller's personal data, with everything needed to prove it offline; one that is withheld has its proof alone."""

    log: str
    """The ledger: `identity`, `licenses` or `exchange`."""
    index: int
    time: datetime | None
    operation: str
    operation_name: Text
    actor: str
    caller: str
    asked_by: AskerView | None
    on_behalf_of: AgencyView | None
    purpose: str
    purpose_name: Text
    basis: str
    resource: str
    resource_name: Text | None
    fields: tuple[str, ...]
    field_names: tuple[Text, ...]
    case_id: str
    outcome: str
    outcome_name: Text
    body: bytes
    """The hashed bytes, exactly; empty where they are withheld."""
    leaf_hash: bytes
    path: tuple[bytes, ...]
    head: "HeadView"
    withheld: WithheldView | None = None


@dataclass(frozen=True, slots=True)
class HeadView:
    """A signed tree head."""

    log: str
    tree_size: int
    root_hash: bytes
    signed: datetime
    jws: str
    cosignatures: tuple["CosignatureView", ...] = ()


@dataclass(frozen=True, slots=True)
class CosignatureView:
    """What a witness said to a head."""

    witness: str
    jws: str


@dataclass(frozen=True, slots=True)
class OwnLeaves:
    """Some leaves of one ledger, newest first, and how many there are in it about the caller, hidden ones among them."""

    rows: tuple[AccessView, ...]
    next_token: str
    total: int
    hidden: int


@dataclass(frozen=True, slots=True)
class ForkView:
    """A witness's evidence that a ledger is not what it was."""

    evidence_id: str
    log: str
    kind: str
    witness: str
    found: datetime
    jws: str


@dataclass(frozen=True, slots=True)
class AccessPage:
    """Accesses, newest first, and how many there are. A ledger that does not answer is named: the list is then not complete, and says so."""

    rows: tuple[AccessView, ...]
    next_token: str
    missing: tuple[str, ...]
    total: int = 0
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A data resource of a department."""

    code: str
    name: Text


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field, or a yes/no question, in words."""

    name: str
    title: Text


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What the resident lets one department have: who, from whom, what, why, until when (PIPL, art. 23)."""

    consent_id: str
    grantee: AgencyView
    provider: AgencyView
    resource: ResourceView
    purpose: str
    fields: tuple[NamedField, ...]
    given: datetime
    expires: datetime
    withdrawn: datetime | None


@dataclass(frozen=True, slots=True)
class PreviewView:
    """A transfer that waits for the resident's word; `values` and `token` where it is looked at and still pending."""

    preview_id: str
    agency: AgencyView
    provider: AgencyView
    resource: ResourceView
    purpose: str
    case_id: str
    fields: tuple[NamedField, ...]
    state: str
    """`pending`, `confirmed`, `declined` or `collected`."""
    requested: datetime
    expires: datetime
    values: Mapping[str, object] | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PersonaView:
    """A made-up account of the sandbox city."""

    key: str
    role: str
    title: Text
    samples: Mapping[str, object]
    """Sample answers by matter."""


@dataclass(frozen=True, slots=True)
class TokenView:
    """An access token."""

    access_token: str
    expires_in: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class JwksView:
    """The keys that verify access tokens."""

    issuer: str
    jwks_json: str
