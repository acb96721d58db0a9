# SPDX-License-Identifier: Apache-2.0
"""What happened in a case: the events, and their JSON as it is sealed in the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.gateway.domain.expressions import Scalar
from services.kit.calendar import Bell, Terms
from services.kit.text import Text


class Outcome(StrEnum):
    """How an attempt of a step ended."""

    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class CaseOutcome(StrEnum):
    """How a case ended."""

    COMPLETED = "completed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """The applicant took it back."""
    TERMINATED = "terminated"
    """An operator ended it, or the case that it is a part of was given up."""


class Bound(StrEnum):
    """Which of a clock's two limits."""

    PROMISE = "promise"
    STATUTORY = "statutory"


class ClockMove(StrEnum):
    """What is done to a clock."""

    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"
    EXTEND = "extend"
    EXCLUDE = "exclude"
    MEET = "meet"
    WITHDRAW = "withdraw"


class PrefillState(StrEnum):
    """How filling a field from its source went."""

    FILLED = "filled"
    EMPTY = "empty"
    """The source has no such value."""
    UNAVAILABLE = "unavailable"
    """The source did not answer; the field stays empty and is tried again at submission."""
    REFUSED = "refused"
    """The source refused; `reason` says why."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What a source gave for a field."""

    name: str
    state: PrefillState
    value: str = field(default="", repr=False)
    source: str = ""
    provider: str = ""
    basis: str = ""
    reason: str = ""
    disputed: bool = False
    """The source says that the value is in dispute: who has proof answers the field otherwise, where the form lets them."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The step of another case that waits for this one."""

    case_id: str
    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CaseOpened:
    """A draft came to be."""

    at: datetime
    receipt: str
    matter: str
    definition: str
    applicant_id: str
    answers: Mapping[str, str] = field(repr=False)
    without: tuple[str, ...] = ()
    prefilled: tuple[Prefilled, ...] = ()
    parent: Parent | None = None
    """Of a sub-case."""


@dataclass(frozen=True, slots=True)
class AnswersChanged:
    """The draft changed; `answers` holds only what changed, empty for taken back."""

    at: datetime
    answers: Mapping[str, str] = field(repr=False)
    without: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PrefillRepeated:
    """Sources that were away were asked again."""

    at: datetime
    prefilled: tuple[Prefilled, ...]


@dataclass(frozen=True, slots=True)
class CaseSubmitted:
    """From here on it runs."""

    at: datetime


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An attempt of a step was asked of its owner."""

    at: datetime
    step_id: str
    attempt: int
    until: datetime | None = None
    """When a wait is over by itself."""
    signer: str = ""
    """Subject id of who is to sign."""


@dataclass(frozen=True, slots=True)
class StepAnswered:
    """An attempt of a step ended."""

    at: datetime
    step_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)
    message: Text | None = None
    disputed: tuple[str, ...] = ()
    """Names in `output` whose value was in dispute at its source when it was fetched."""


@dataclass(frozen=True, slots=True)
class RetryPlanned:
    """The next attempt is due at a time."""

    at: datetime
    step_id: str
    attempt: int
    due: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """The case goes on without it."""

    at: datetime
    step_id: str
    reason: str
    by: str = ""
    """The operator who decided so; empty where a rule did."""
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StepFailed:
    """It will not be done; what that means for the case follows."""

    at: datetime
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepParked:
    """It needs an operator."""

    at: datetime
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepResumed:
    """An operator let it go on."""

    at: datetime
    step_id: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StepHandedOver:
    """An operator gave a parked step to another agency."""

    at: datetime
    step_id: str
    role: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OutputProposed:
    """An operator says what came of a parked step that was done by hand; another one must confirm it."""

    at: datetime
    step_id: str
    by: str
    why: str = field(default="", repr=False)
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OutputConfirmed:
    """A second operator confirmed what the first one says; the step's answer follows."""

    at: datetime
    step_id: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SubCaseOpened:
    """The case that the step waits for."""

    at: datetime
    step_id: str
    sub_case_id: str
    receipt: str


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """Somebody outside told what a step waits for, or will wait for."""

    at: datetime
    signal: str
    by: str
    """USCC of the agency."""
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CaseGivenUp:
    """It will not come to a good end; what was done is undone from here on, latest first, and then it ends so."""

    at: datetime
    outcome: CaseOutcome
    step_id: str = ""
    reason: str = ""
    message: Text | None = None
    by: str = ""
    """Who decided it; empty where a refusal did."""
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ValueCorrected:
    """A value that a department gave for it was wrong; what rests on it is to be looked at again."""

    at: datetime
    correction_id: str
    resource: str
    field_name: str


@dataclass(frozen=True, slots=True)
class DefinitionMoved:
    """An operator pinned the case to another version of its definition; everything after follows that one."""

    at: datetime
    definition: str
    by: str
    why: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CaseAccepted:
    """It is complete and will be handled; where nobody said so in time, the law does (Licensing Law, art. 32)."""

    at: datetime
    since: datetime
    """From when on it counts as accepted."""
    deemed: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Dates:
    """What a clock's limits come to, by calendar: kept as it was told, whatever calendar comes later."""

    by: Mapping[str, str] = field(default_factory=dict)
    """The last day, YYYY-MM-DD, by `Bound`; empty while the clock is paused."""
    calendar: str = ""
    version: int = 0
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class ClockStarted:
    """A clock of the case, or of one step, runs; one that has ended runs anew."""

    at: datetime
    clock: str
    since: datetime
    """Its day is day 0."""
    terms: Mapping[str, Terms]
    """By `Bound`; kept with the clock, so that a new policy changes none that runs."""
    dates: Dates
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """It was paused, extended, met ...; `by` says who did it, empty where a rule did."""

    at: datetime
    clock: str
    move: ClockMove
    dates: Dates
    step_id: str = ""
    because: Text | None = None
    amount: int = 0
    first: str = ""
    """Of days that never count, YYYY-MM-DD; `last` as well."""
    last: str = ""
    by: str = ""
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class ClockRang:
    """A warning, the end of a limit, or an escalation was told."""

    at: datetime
    clock: str
    bound: Bound
    bell: Bell
    number: int
    due: datetime
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class ClockRecounted:
    """A newer calendar counts it otherwise, or for sure what was provisional before."""

    at: datetime
    clock: str
    before: Dates
    dates: Dates
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class CorrectionItem:
    """One thing that the applicant is to correct: a field of the form, and what is wrong with it."""

    name: str
    words: Text


@dataclass(frozen=True, slots=True)
class CorrectionRequested:
    """The agency of a step asks the applicant for corrections, for all of them at once; the step stays open."""

    at: datetime
    step_id: str
    items: tuple[CorrectionItem, ...]
    by: str
    """`agency:<USCC>`, or `clerk:<account>`."""

    @property
    def message(self) -> Text:
        """The same in one sentence for the applicant."""
        zh = "；".join(item.words.zh for item in self.items)[:1000]
        return Text(zh, "; ".join(item.words.en for item in self.items)[:1000])


@dataclass(frozen=True, slots=True)
class CorrectionMade:
    """The applicant has answered everything that was to be corrected; whoever asked goes on with it."""

    at: datetime
    steps: tuple[str, ...]
    """Whose corrections they are."""
    answers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExtensionRequested:
    """The agency of a step asks its head for more time."""

    at: datetime
    step_id: str
    working_days: int
    message: Text
    """Why; the applicant reads it."""
    by: str


@dataclass(frozen=True, slots=True)
class ExtensionDecided:
    """The head has decided on it; another person than who asked."""

    at: datetime
    step_id: str
    granted: bool
    working_days: int
    """As asked for."""
    by: str


@dataclass(frozen=True, slots=True)
class ExpertAsked:
    """An expert is asked for an opinion; where `basis` names the law that says so, the time until the answer does not count."""

    at: datetime
    step_id: str
    opinion_id: str
    expert: str
    by: str
    basis: str = ""


@dataclass(frozen=True, slots=True)
class ExpertAnswered:
    """The expert has answered; the opinion stands beside the task."""

    at: datetime
    step_id: str
    opinion_id: str
    by: str


@dataclass(frozen=True, slots=True)
class CaseEnded:
    """Nothing more follows."""

    at: datetime
    outcome: CaseOutcome
    step_id: str = ""
    reason: str = ""
    message: Text | None = None


StepEvent = (
    StepStarted
    | StepAnswered
    | RetryPlanned
    | StepSkipped
    | StepFailed
    | StepParked
    | StepResumed
    | StepHandedOver
    | OutputProposed
    | OutputConfirmed
    | SubCaseOpened
)
ClockEvent = ClockStarted | ClockMoved | ClockRang | ClockRecounted
DealingEvent = (
    CorrectionRequested | CorrectionMade | ExtensionRequested | ExtensionDecided | ExpertAsked | ExpertAnswered
)
Event = (
    CaseOpened
    | AnswersChanged
    | PrefillRepeated
    | CaseSubmitted
    | CaseAccepted
    | StepEvent
    | SignalReceived
    | CaseGivenUp
    | ValueCorrected
    | DefinitionMoved
    | ClockEvent
    | DealingEvent
    | CaseEnded
)

_KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        CaseOpened,
        AnswersChanged,
        PrefillRepeated,
        CaseSubmitted,
        StepStarted,
        StepAnswered,
        RetryPlanned,
        StepSkipped,
        StepFailed,
        StepParked,
        StepResumed,
        StepHandedOver,
        OutputProposed,
        OutputConfirmed,
        SubCaseOpened,
        SignalReceived,
        CaseGivenUp,
        ValueCorrected,
        DefinitionMoved,
        CaseAccepted,
        ClockStarted,
        ClockMoved,
        ClockRang,
        ClockRecounted,
        CorrectionRequested,
        CorrectionMade,
        ExtensionRequested,
        ExtensionDecided,
        ExpertAsked,
        ExpertAnswered,
        CaseEnded,
    )
}
_NOT_IN_BODY = frozenset({"at", "step_id"})


def kind_of(event: Event) -> str:
    """The event's kind, as the store keeps it."""
    return type(event).__name__


def step_of(event: Event) -> str:
    """The step that it is about; empty for the case as a whole."""
    return str(getattr(event, "step_id", ""))


def to_body(event: Event) -> dict[str, Any]:
    """Everything but kind, time and step, as plain JSON; defaults are left out."""
    body: dict[str, Any] = {}
    for one in fields(event):
        value = getattr(event, one.name)
        if one.name not in _NOT_IN_BODY and value != one.default:
            body[one.name] = _plain(value)
    return body


def from_body(kind: str, at: datetime, step_id: str, body: Mapping[str, Any]) -> Event:
    """Read an event back. A kind that is not known any more is an error of the store's, never skipped."""
    values = {name: _READ[name](value) if name in _READ else value for name, value in body.items()}
    event_type = _KINDS[kind]
    if any(one.name == "step_id" for one in fields(event_type)):
        values["step_id"] = step_id
    if "outcome" in values:
        values["outcome"] = (Outcome if event_type is StepAnswered else CaseOutcome)(values["outcome"])
    return event_type(at=at, **values)


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one arm for each kind of value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Text):
        return {"zh": value.zh, "en": value.en}
    if isinstance(value, Terms):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Prefilled | Parent | Dates | CorrectionItem):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, StrEnum):
        return value.value
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _prefilled(values: list[dict[str, Any]]) -> tuple[Prefilled, ...]:
    return tuple(Prefilled(**{**one, "state": PrefillState(one["state"])}) for one in values)


def _text(value: dict[str, str] | None) -> Text | None:
    return Text(**value) if value else None


_READ: Mapping[str, Any] = {
    "message": _text,
    "disputed": tuple,
    "because": _text,
    "due": datetime.fromisoformat,
    "until": datetime.fromisoformat,
    "parent": lambda value: Parent(**value),
    "since": datetime.fromisoformat,
    "terms": lambda value: {name: Terms.model_validate(one) for name, one in value.items()},
    "dates": lambda value: Dates(**value),
    "before": lambda value: Dates(**value),
    "move": ClockMove,
    "bound": Bound,
    "bell": Bell,
    "prefilled": _prefilled,
    "items": lambda values: tuple(CorrectionItem(one["name"], Text(**one["words"])) for one in values),
    "steps": tuple,
    "without": lambda value: None if value is None else tuple(value),
}
