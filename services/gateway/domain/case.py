# SPDX-License-Identifier: Apache-2.0
"""Where a case stands: the fold of its events, and nothing that is not in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import (
    AnswersChanged,
    CaseEnded,
    CaseOpened,
    CaseOutcome,
    CaseSubmitted,
    Event,
    Outcome,
    Prefilled,
    PrefillRepeated,
    PrefillState,
    RetryPlanned,
    StepAnswered,
    StepFailed,
    StepParked,
    StepResumed,
    StepSkipped,
    StepStarted,
    ValueCorrected,
)
from services.kit.text import Text


class CaseStatus(StrEnum):
    """Where a case stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    REFUSED = "refused"
    PARKED = "parked"


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    REFUSED = "refused"
    """Answered so; what follows is decided before the transaction ends, so no reader sees it."""
    UNAVAILABLE = "unavailable"
    """The same."""
    RETRYING = "retrying"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    PARKED = "parked"
    CANCELED = "canceled"
    """The case ended before it did."""


SETTLED = frozenset({StepState.DONE, StepState.SKIPPED, StepState.FAILED})
_OPEN = frozenset({StepState.WAITING, StepState.RUNNING, StepState.RETRYING, StepState.PARKED})


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one case."""

    state: StepState = StepState.WAITING
    attempt: int = 0
    """Of the last request, from 1; 0 before the first."""
    base: int = 0
    """Attempts made before an operator let it go on: the budget of retries starts anew there."""
    started: datetime | None = None
    ended: datetime | None = None
    due: datetime | None = None
    """When the next attempt is made."""
    reason: str = ""
    message: Text | None = None
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


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
    created: datetime | None = None
    submitted: datetime | None = None
    ended: datetime | None = None
    outcome: CaseOutcome | None = None
    reason: str = ""
    reason_step: str = ""
    message: Text | None = None
    answers: Mapping[str, str] = field(default_factory=dict, repr=False)
    without: tuple[str, ...] = ()
    prefilled: Mapping[str, Prefilled] = field(default_factory=dict, repr=False)
    steps: Mapping[str, StepRecord] = field(default_factory=dict, repr=False)
    """Only steps that something has happened to."""

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
    def status(self) -> CaseStatus:
        """Where it stands: `submitted` until the first answer has come."""
        if self.submitted is None:
            return CaseStatus.DRAFT
        if self.outcome is not None:
            return CaseStatus(self.outcome.value)
        if self.parked_step:
            return CaseStatus.PARKED
        if any(step.ended for step in self.steps.values()):
            return CaseStatus.IN_PROGRESS
        return CaseStatus.SUBMITTED

    def effective_answers(self) -> dict[str, str]:
        """What the case goes by: the resident's answer, else what the source gave."""
        filled = {name: one.value for name, one in self.prefilled.items() if one.state is PrefillState.FILLED}
        return {**filled, **self.answers}


def fold(events: Iterable[Event], state: CaseState | None = None) -> CaseState:
    """The state after these events, from `state` or from nothing."""
    after = state or CaseState()
    for event in events:
        after = replace(_after(after, event), version=after.version + 1)
    return after


def _after(state: CaseState, event: Event) -> CaseState:  # noqa: PLR0911 - one arm for each kind of event
    match event:
        case CaseOpened():
            return replace(
                state,
                receipt=event.receipt,
                matter=event.matter,
                definition=event.definition,
                applicant_id=event.applicant_id,
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
        case CaseEnded():
            ended = replace(
                state,
                ended=event.at,
                outcome=event.outcome,
                reason=event.reason,
                reason_step=event.step_id,
                message=event.message,
            )
            return replace(ended, steps={name: _canceled(step, event.at) for name, step in state.steps.items()})
        case ValueCorrected():
            return state  # People look at it; nothing follows by itself.
        case _:
            return replace(state, steps={**state.steps, event.step_id: _step_after(state.step(event.step_id), event)})


def _step_after(step: StepRecord, event: Event) -> StepRecord:  # noqa: PLR0911 - one arm for each kind of event
    match event:
        case StepStarted():
            return replace(
                step,
                state=StepState.RUNNING,
                attempt=event.attempt,
                started=step.started or event.at,
                ended=None,
                due=None,
                reason="",
            )
        case StepAnswered(outcome=Outcome.DONE):
            return replace(
                step,
                state=StepState.DONE,
                attempt=event.attempt,
                started=step.started or event.at,
                ended=event.at,
                output=dict(event.output),
                message=event.message,
                reason="",
            )
        case StepAnswered():
            state = StepState.REFUSED if event.outcome is Outcome.REFUSED else StepState.UNAVAILABLE
            return replace(
                step,
                state=state,
                attempt=event.attempt,
                started=step.started or event.at,
                ended=event.at,
                reason=event.reason,
                message=event.message,
            )
        case RetryPlanned():
            return replace(step, state=StepState.RETRYING, due=event.due, reason=event.reason, ended=None)
        case StepSkipped():
            return replace(step, state=StepState.SKIPPED, ended=event.at, reason=event.reason)
        case StepFailed():
            return replace(step, state=StepState.FAILED, ended=event.at, reason=event.reason)
        case StepParked():
            return replace(step, state=StepState.PARKED, ended=None, due=None, reason=event.reason)
        case StepResumed():
            return replace(step, state=StepState.WAITING, base=step.attempt, reason="", message=None, ended=None)
        case _:
            return step


def _canceled(step: StepRecord, at: datetime) -> StepRecord:
    return replace(step, state=StepState.CANCELED, ended=at, due=None) if step.state in _OPEN else step
