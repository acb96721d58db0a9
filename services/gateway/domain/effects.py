# SPDX-License-Identifier: Apache-2.0
"""What events ask of the world: facts to tell, tasks to open or close, timers to set or clear. The store does it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.gateway.domain.case import CaseState
from services.gateway.domain.definition import NotifyStep, OwnedStep, StepKind, TaskStep
from services.gateway.domain.facts import CaseEndedFact, CaseParkedFact, CaseSubmittedFact, Fact, StepRequestedFact
from services.gateway.domain.history import (
    CaseEnded,
    CaseSubmitted,
    Event,
    Outcome,
    RetryPlanned,
    StepAnswered,
    StepFailed,
    StepParked,
    StepSkipped,
    StepStarted,
)
from services.gateway.domain.plan import Plan
from services.gateway.domain.values import StepInput, input_of, names_of
from services.kit.text import Text

WHOLE_CASE = ""
"""Stands where a step would."""


class TimerKind(StrEnum):
    """What a timer is for."""

    LIMIT = "limit"
    RETRY = "retry"
    DRAFT = "draft"
    """Of the case as a whole, whose step is empty: nobody has touched it for too long."""


@dataclass(frozen=True, slots=True)
class Timer:
    """To be reacted to at a time."""

    case_id: str
    step_id: str
    kind: TimerKind
    attempt: int
    due: datetime


@dataclass(frozen=True, slots=True)
class NewTask:
    """A department's part is open from now on."""

    case_id: str
    step_id: str
    attempt: int
    role: str
    operation: str
    matter: str
    title: Text
    input: StepInput = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """Words for the applicant."""

    case_id: str
    step_id: str
    applicant_id: str
    text: Text


@dataclass(frozen=True, slots=True)
class Effects:
    """In the order in which they are to be carried out: close, then open, then tell."""

    closed_tasks: tuple[tuple[str, str], ...] = ()
    """(case, step) whose task is void."""
    closed_timers: tuple[tuple[str, str], ...] = ()
    """(case, step) whose timers are void; the step is empty for those of the case as a whole."""
    ended: str = ""
    """The case of which all tasks and timers are void; empty while it goes on."""
    tasks: tuple[NewTask, ...] = ()
    timers: tuple[Timer, ...] = ()
    notices: tuple[Notice, ...] = ()
    facts: tuple[Fact, ...] = ()


def effects_of(  # noqa: C901 - one arm for each kind of event
    plan: Plan, case_id: str, before: CaseState, after: CaseState, events: Sequence[Event], *, finished: str = ""
) -> Effects:
    """What these events ask for. `after` is the state with them; inputs are read from it; the task of `finished` is closed already."""
    closed: list[str] = []
    tasks: list[NewTask] = []
    timers: list[Timer] = []
    notices: list[Notice] = []
    facts: list[Fact] = []
    names = None
    for event in events:
        match event:
            case CaseSubmitted():
                closed.append(WHOLE_CASE)
                facts.append(CaseSubmittedFact(case_id, after.matter, after.definition))
            case StepStarted():
                compiled = plan.steps[event.step_id]
                step = compiled.step
                assert isinstance(step, OwnedStep)
                facts.append(StepRequestedFact(case_id, step.id, event.attempt, step.kind, after.matter))
                if step.time_limit is not None:
                    due = event.at + step.time_limit
                    timers.append(Timer(case_id, step.id, TimerKind.LIMIT, event.attempt, due))
                if isinstance(step, TaskStep):
                    names = names or names_of(plan, case_id, after)
                    operation = step.operation or step.id
                    made = input_of(compiled, names)
                    tasks.append(
                        NewTask(case_id, step.id, event.attempt, step.agency, operation, after.matter, step.title, made)
                    )
            case StepAnswered() | StepSkipped() | StepFailed():
                closed.append(event.step_id)
                step = plan.steps[event.step_id].step
                if isinstance(step, NotifyStep) and isinstance(event, StepAnswered) and event.outcome is Outcome.DONE:
                    notices.append(Notice(case_id, step.id, after.applicant_id, step.message))
            case RetryPlanned():
                timers.append(Timer(case_id, event.step_id, TimerKind.RETRY, event.attempt, event.due))
            case StepParked():
                closed.append(event.step_id)
                facts.append(CaseParkedFact(case_id, event.step_id, event.reason))
            case CaseEnded():
                facts.append(CaseEndedFact(case_id, event.outcome.value))
            case _:
                pass
    ended = after.ended is not None and before.ended is None
    still_open = () if ended else tuple(tasks)
    void = () if ended else tuple(dict.fromkeys(closed))
    return Effects(
        closed_tasks=tuple(
            (case_id, step_id) for step_id in void if step_id != finished and isinstance(plan.step(step_id), TaskStep)
        ),
        closed_timers=tuple((case_id, step_id) for step_id in void if _has_timers(plan, step_id)),
        ended=case_id if ended else "",
        tasks=still_open,
        timers=() if ended else tuple(timers),
        notices=tuple(notices),
        facts=tuple(facts),
    )


def _has_timers(plan: Plan, step_id: str) -> bool:
    if step_id == WHOLE_CASE:
        return True
    step = plan.step(step_id)
    return isinstance(step, OwnedStep) and (step.time_limit is not None or step.retry.max > 1)


def owner_of(kind: StepKind) -> str:
    """The service that acts on steps of this kind; empty where the gateway itself or a department does."""
    return {StepKind.VERIFY: "identity", StepKind.FETCH: "exchange", StepKind.LICENSE: "licenses"}.get(kind, "")
