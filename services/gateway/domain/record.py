# SPDX-License-Identifier: Apache-2.0
"""Where one step of a case stands: the fold of what happened to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import (
    Event,
    Outcome,
    OutputProposed,
    RetryPlanned,
    StepAnswered,
    StepFailed,
    StepHandedOver,
    StepParked,
    StepResumed,
    StepSkipped,
    StepStarted,
    SubCaseOpened,
)
from services.gateway.domain.reasons import TIME_LIMIT_EXCEEDED
from services.kit.text import Text


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
    """The case ended, or was given up, before it did."""
    UNDONE = "undone"
    """It was done, or may have been, and has been undone."""


SETTLED = frozenset({StepState.DONE, StepState.SKIPPED, StepState.FAILED})
OPEN = frozenset({StepState.WAITING, StepState.RUNNING, StepState.RETRYING, StepState.PARKED})


@dataclass(frozen=True, slots=True)
class Proposed:
    """What one operator says came of a step; it counts when another one confirms it."""

    by: str
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one case."""

    state: StepState = StepState.WAITING
    attempt: int = 0
    """Of the last request, from 1; 0 before the first."""
    base: int = 0
    """Attempts made before an operator let it go on: the budget of retries starts anew there."""
    mark: int = 0
    """Number of the event that last started or answered it: tells who came first."""
    unsure: bool = False
    """An attempt was never answered, so that it may have been done all the same."""
    started: datetime | None = None
    ended: datetime | None = None
    due: datetime | None = None
    """When the next attempt is made, or a wait is over."""
    reason: str = ""
    message: Text | None = None
    output: Mapping[str, Scalar] = field(default_factory=dict, repr=False)
    disputed: tuple[str, ...] = ()
    """Names in `output` whose value was in dispute at its source when it was fetched."""
    role: str = ""
    """The agency that it was handed over to; empty for the one that the matter names."""
    signer: str = ""
    sub_case_id: str = ""
    proposed: Proposed | None = None


def step_after(step: StepRecord, event: Event, number: int) -> StepRecord:  # noqa: C901, PLR0911 - one arm for each kind
    """The record after an event of this number in the case."""
    match event:
        case StepStarted():
            return replace(
                step,
                state=StepState.RUNNING,
                attempt=event.attempt,
                mark=number,
                started=step.started or event.at,
                ended=None,
                due=event.until,
                reason="",
                signer=event.signer,
                sub_case_id="",
                proposed=None,
            )
        case StepAnswered():
            return _answered(step, event, number)
        case RetryPlanned():
            return replace(step, state=StepState.RETRYING, due=event.due, reason=event.reason, ended=None)
        case StepSkipped():
            return replace(step, state=StepState.SKIPPED, ended=event.at, due=None, reason=event.reason)
        case StepFailed():
            return replace(step, state=StepState.FAILED, ended=event.at, due=None, reason=event.reason)
        case StepParked():
            return replace(step, state=StepState.PARKED, ended=None, due=None, reason=event.reason)
        case StepResumed():
            return _again(step)
        case StepHandedOver():
            return replace(_again(step), role=event.role)
        case OutputProposed():
            return replace(step, proposed=Proposed(event.by, dict(event.output)))
        case SubCaseOpened():
            return replace(step, sub_case_id=event.sub_case_id)
        case _:
            return step


def canceled(step: StepRecord, at: datetime) -> StepRecord:
    """The record of a step that nobody waits for any more; what was under way may have been done."""
    unsure = step.unsure or step.state is StepState.RUNNING
    return replace(step, state=StepState.CANCELED, ended=at, due=None, unsure=unsure, proposed=None)


def _answered(step: StepRecord, event: StepAnswered, number: int) -> StepRecord:
    after = replace(
        step,
        attempt=event.attempt,
        mark=number,
        started=step.started or event.at,
        ended=event.at,
        due=None,
        message=event.message,
        proposed=None,
    )
    if event.outcome is Outcome.DONE:
        return replace(
            after,
            state=StepState.DONE,
            output=dict(event.output),
            disputed=event.disputed,
            reason="",
            unsure=False,
        )
    if event.outcome is Outcome.REFUSED:
        return replace(after, state=StepState.REFUSED, reason=event.reason, unsure=False)
    unsure = step.unsure or event.reason == TIME_LIMIT_EXCEEDED
    return replace(after, state=StepState.UNAVAILABLE, reason=event.reason, unsure=unsure)


def _again(step: StepRecord) -> StepRecord:
    """From the beginning, with a new budget of attempts."""
    return replace(
        step,
        state=StepState.WAITING,
        base=step.attempt,
        reason="",
        message=None,
        ended=None,
        due=None,
        proposed=None,
    )
