# SPDX-License-Identifier: Apache-2.0
"""Where a case stands: the fold of its events, and nothing that is not in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.gateway.domain import dealings
from services.gateway.domain.clock import Clock, clocks_after
from services.gateway.domain.dealings import Dealings
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import (
    AnswersChanged,
    CaseAccepted,
    CaseEnded,
    CaseGivenUp,
    CaseOpened,
    CaseOutcome,
    CaseSubmitted,
    ClockMoved,
    ClockRang,
    ClockRecounted,
    ClockStarted,
    CorrectionItem,
    CorrectionMade,
    CorrectionRequested,
    DefinitionMoved,
    Event,
    ExpertAnswered,
    ExpertAsked,
    ExtensionDecided,
    ExtensionRequested,
    MaterialAdded,
    MaterialRemoved,
    Outcome,
    Parent,
    Prefilled,
    PrefillRepeated,
    PrefillState,
    RetryPlanned,
    SignalReceived,
    StepAnswered,
    ValueCorrected,
)
from services.gateway.domain.record import OPEN, SETTLED, StepRecord, StepState, canceled, step_after
from services.kit.text import Text

__all__ = ["SETTLED", "CaseState", "CaseStatus", "Ending", "Signal", "StepRecord", "StepState", "fold"]


class CaseStatus(StrEnum):
    """Where a case stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    IN_PROGRESS = "in_progress"
    CORRECTION_REQUIRED = "correction_required"
    """The applicant is to correct something; steps that don't wait for it go on."""
    UNDOING = "undoing"
    """It is given up; what was done is being undone."""
    COMPLETED = "completed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    TERMINATED = "terminated"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Signal:
    """What somebody outside told; kept from the moment it came, whether anybody waited for it or not."""

    by: str
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a case that is given up will end."""

    outcome: CaseOutcome
    step_id: str = ""
    reason: str = ""
    message: Text | None = None


_NOTHING_YET = StepRecord()


@dataclass(frozen=True, slots=True)
class CaseState:
    """One case."""

    version: int = 0
    """Number of its last event."""
    receipt: str = ""
    matter: str = ""
    definition: str = ""
    applicant_id: str = ""
    parent: Parent | None = None
    created: datetime | None = None
    submitted: datetime | None = None
    accepted: datetime | None = None
    """From when on it counts as accepted."""
    ended: datetime | None = None
    outcome: CaseOutcome | None = None
    reason: str = ""
    reason_step: str = ""
    message: Text | None = None
    answers: Mapping[str, str] = field(default_factory=dict, repr=False)
    without: tuple[str, ...] = ()
    prefilled: Mapping[str, Prefilled] = field(default_factory=dict, repr=False)
    steps: Mapping[str, StepRecord] = field(default_factory=dict, repr=False)
    """Only steps that something has happened to, and what undoes them."""
    signals: Mapping[str, Signal] = field(default_factory=dict, repr=False)
    dealings: Dealings = field(default_factory=Dealings)
    materials: Mapping[str, MaterialAdded] = field(default_factory=dict)
    """What was handed in and not taken back, by its id."""
    retries: int = 0
    """Of all steps, ever."""
    ending: Ending | None = None
    """Set from the moment the case is given up."""
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    """By name: `decision`, `step:household_registration`."""
    moved: datetime | None = None
    """When something happened last."""

    def step(self, step_id: str) -> StepRecord:
        """The step's record; a step that nothing has happened to is waiting."""
        return self.steps.get(step_id, _NOTHING_YET)

    @property
    def running(self) -> bool:
        """Submitted and not ended."""
        return self.submitted is not None and self.ended is None

    @property
    def parked_step(self) -> str:
        """A step that needs an operator; empty where none does or the case has ended."""
        if not self.running:
            return ""
        return next((step_id for step_id, step in self.steps.items() if step.state is StepState.PARKED), "")

    @property
    def open_corrections(self) -> Mapping[str, tuple[CorrectionItem, ...]]:
        """By step: what the applicant is to correct; an agency that has answered all the same waits for it no more."""
        if not self.running:
            return {}
        asked = self.dealings.corrections.items()
        return {step_id: items for step_id, items in asked if self.step(step_id).state is StepState.RUNNING}

    @property
    def status(self) -> CaseStatus:
        """Where it stands: `submitted` until the first answer has come."""
        if self.submitted is None:
            return CaseStatus.DRAFT
        if self.outcome is not None:
            return CaseStatus(self.outcome.value)
        if self.parked_step:
            return CaseStatus.PARKED
        if self.ending is not None:
            return CaseStatus.UNDOING
        if self.open_corrections:
            return CaseStatus.CORRECTION_REQUIRED
        begun = any(step.ended for step in self.steps.values())
        return CaseStatus.IN_PROGRESS if begun else CaseStatus.SUBMITTED

    def effective_answers(self) -> dict[str, str]:
        """What the case goes by: the resident's answer, else what the source gave."""
        filled = {name: one.value for name, one in self.prefilled.items() if one.state is PrefillState.FILLED}
        return {**filled, **self.answers}


def fold(events: Iterable[Event], state: CaseState | None = None) -> CaseState:
    """The state after these events, from `state` or from nothing."""
    after = state or CaseState()
    for event in events:
        after = replace(_after(after, event), version=after.version + 1, moved=event.at)
    return after


def _after(state: CaseState, event: Event) -> CaseState:  # noqa: C901, PLR0911, PLR0912 - one arm for each kind of event
    match event:
        case CaseOpened():
            return replace(
                state,
                receipt=event.receipt,
                matter=event.matter,
                definition=event.definition,
                applicant_id=event.applicant_id,
                parent=event.parent,
                created=event.at,
                answers=dict(event.answers),
                without=event.without,
                prefilled={one.name: one for one in event.prefilled},
            )
        case AnswersChanged():
            answers = {name: value for name, value in {**state.answers, **event.answers}.items() if value}
            without = state.without if event.without is None else event.without
            return replace(state, answers=answers, without=without)
        case PrefillRepeated():
            return replace(state, prefilled={**state.prefilled, **{one.name: one for one in event.prefilled}})
        case CaseSubmitted():
            return replace(state, submitted=event.at)
        case SignalReceived():
            return replace(state, signals={**state.signals, event.signal: Signal(event.by, dict(event.output))})
        case CaseGivenUp():
            ending = Ending(event.outcome, event.step_id, event.reason, event.message)
            return replace(_all_canceled(state, event.at), ending=ending)
        case CaseAccepted():
            return replace(state, accepted=event.since)
        case ClockStarted() | ClockMoved() | ClockRang() | ClockRecounted():
            return replace(state, clocks=clocks_after(state.clocks, event))
        case CaseEnded():
            ended = replace(
                state,
                ended=event.at,
                outcome=event.outcome,
                reason=event.reason,
                reason_step=event.step_id,
                message=event.message,
            )
            return _all_canceled(ended, event.at)
        case DefinitionMoved():
            return replace(state, definition=event.definition)
        case CorrectionMade():
            corrected = dealings.after(state.dealings, event)
            return replace(state, answers={**state.answers, **event.answers}, dealings=corrected)
        case CorrectionRequested() | ExtensionRequested() | ExtensionDecided() | ExpertAsked() | ExpertAnswered():
            return replace(state, dealings=dealings.after(state.dealings, event))
        case MaterialAdded():
            return replace(state, materials={**state.materials, event.material_id: event})
        case MaterialRemoved():
            left = {key: one for key, one in state.materials.items() if key != event.material_id}
            return replace(state, materials=left)
        case ValueCorrected():
            return state  # People look at it; nothing follows by itself.
        case _:
            changed = {event.step_id: step_after(state.step(event.step_id), event, state.version + 1)}
            if isinstance(event, StepAnswered) and event.outcome is Outcome.DONE and event.step_id.endswith(".undo"):
                undone = event.step_id.removesuffix(".undo")
                changed[undone] = replace(state.step(undone), state=StepState.UNDONE)
            retries = state.retries + isinstance(event, RetryPlanned)
            return replace(state, steps={**state.steps, **changed}, retries=retries)


def _all_canceled(state: CaseState, at: datetime) -> CaseState:
    steps = {name: canceled(step, at) if step.state in OPEN else step for name, step in state.steps.items()}
    return replace(state, steps=steps)
