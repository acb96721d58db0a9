# SPDX-License-Identifier: Apache-2.0
"""What events ask of the world: facts to tell, tasks to open or close, timers to set or clear. The store does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.gateway.domain.case import CaseState, StepState
from services.gateway.domain.dealings import fact_of
from services.gateway.domain.definition import AskedStep, NotifyStep, StepKind, SubCaseStep, TaskStep, WaitStep
from services.gateway.domain.facts import (
    CaseEndedFact,
    CaseParkedFact,
    CaseSubmittedFact,
    Fact,
    StepRequestedFact,
)
from services.gateway.domain.history import (
    CaseEnded,
    CaseGivenUp,
    CaseSubmitted,
    CorrectionMade,
    CorrectionRequested,
    Event,
    ExtensionDecided,
    ExtensionRequested,
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
    WAIT = "wait"
    """A wait is over by itself."""
    OPEN = "open"
    """A sub-case is to be opened. What one case asks of another goes over a timer that is due at once: it leaves with
    the transaction, is done once whoever dies, and no transaction ever locks two cases."""
    CHILD = "child"
    """The sub-case that the step waits for has ended."""
    PARENT = "parent"
    """Of a sub-case as a whole: nobody waits for it any more."""
    CORRECTION = "correction"
    """The time that the applicant has for corrections which a step asked for."""
    DRAFT = "draft"
    """Of the case as a whole, whose step is empty: nobody has touched it for too long."""
    CLOCK = "clock"
    """Of the case as a whole: one of its clocks rings."""


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
class ClockRow:
    """How a clock of a case stands, for lists and figures; the truth is the case's history."""

    case_id: str
    clock: str
    step_id: str
    state: str
    started: datetime
    ended: datetime | None
    promised: datetime | None
    """The first moment that is later than promised; None where nothing is, or while it is paused."""
    due: datetime | None
    """The same by law."""
    calendar: str
    calendar_version: int


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
    renewed: tuple[NewTask, ...] = ()
    """Open tasks that need something else now; whoever has one keeps it."""
    timers: tuple[Timer, ...] = ()
    notices: tuple[Notice, ...] = ()
    facts: tuple[Fact, ...] = ()
    clocks: tuple[ClockRow, ...] = ()

    def and_those_of(self, more: "Effects") -> "Effects":
        """With timers, notices, facts and clocks of an area that adds its own."""
        return replace(
            self,
            timers=(*self.timers, *more.timers),
            notices=(*self.notices, *more.notices),
            facts=(*self.facts, *more.facts),
            clocks=(*self.clocks, *more.clocks),
        )


def effects_of(
    plan: Plan, case_id: str, before: CaseState, after: CaseState, events: Sequence[Event], *, finished: str = ""
) -> Effects:
    """What these events ask for. `after` is the state with them; inputs are read from it; the task of `finished` is closed already."""
    gathered = _Gathered(plan, case_id, after)
    for event in events:
        gathered.take(event)
    ended = after.ended is not None and before.ended is None
    void = () if ended else tuple(dict.fromkeys(gathered.closed))
    live = [task for task in gathered.tasks if after.step(task.step_id).state is StepState.RUNNING]
    own = [timer for timer in gathered.timers if not ended and _still_meant(timer, after)]
    return Effects(
        closed_tasks=tuple(
            (case_id, step_id) for step_id in void if step_id != finished and isinstance(plan.step(step_id), TaskStep)
        ),
        closed_timers=tuple((case_id, step_id) for step_id in void if _has_timers(plan, step_id)),
        ended=case_id if ended else "",
        tasks=tuple(live),
        renewed=tuple(gathered.renewed),
        timers=(*own, *_between_cases(plan, before, after, events)),
        notices=tuple(gathered.notices),
        facts=tuple(gathered.facts),
    )


class _Gathered:
    """What one event after the other asks for."""

    def __init__(self, plan: Plan, case_id: str, after: CaseState) -> None:
        self._plan = plan
        self._case_id = case_id
        self._after = after
        self._names: Mapping[str, Any] | None = None
        self.closed: list[str] = []
        self.tasks: list[NewTask] = []
        self.renewed: list[NewTask] = []
        self.timers: list[Timer] = []
        self.notices: list[Notice] = []
        self.facts: list[Fact] = []

    def take(self, event: Event) -> None:
        """One event."""
        match event:
            case CaseSubmitted():
                self.closed.append(WHOLE_CASE)
                self.facts.append(CaseSubmittedFact(self._case_id, self._after.matter, self._after.definition))
            case StepStarted():
                self._start(event)
            case StepAnswered() | StepSkipped() | StepFailed():
                self.closed.append(event.step_id)
                step = self._plan.step(event.step_id)
                if isinstance(step, NotifyStep) and isinstance(event, StepAnswered) and event.outcome is Outcome.DONE:
                    self.notices.append(Notice(self._case_id, step.id, self._after.applicant_id, step.message))
            case RetryPlanned():
                self._timer(event.step_id, TimerKind.RETRY, event.attempt, event.due)
            case StepParked():
                self.closed.append(event.step_id)
                self.facts.append(CaseParkedFact(self._case_id, event.step_id, event.reason))
            case CaseGivenUp():
                steps = self._after.steps.items()
                self.closed += [step_id for step_id, one in steps if one.state is StepState.CANCELED]
            case CorrectionMade() | CorrectionRequested() | ExtensionRequested() | ExtensionDecided():
                self._deal(event)
            case CaseEnded():
                self.facts.append(CaseEndedFact(self._case_id, event.outcome.value))
            case _:
                pass

    def _deal(self, event: CorrectionMade | CorrectionRequested | ExtensionRequested | ExtensionDecided) -> None:
        if isinstance(event, CorrectionMade):
            for step_id in event.steps:
                task = self._task(step_id)
                self.renewed.append(task)
                step = self._plan.step(step_id)
                if isinstance(step, AskedStep) and step.time_limit is not None:  # It has not run meanwhile.
                    self._timer(step_id, TimerKind.LIMIT, task.attempt, event.at + step.time_limit)
            return
        self.facts.append(fact_of(self._case_id, event))
        if isinstance(event, CorrectionRequested):
            due = event.at + self._plan.matter.correction_limit
            self._timer(event.step_id, TimerKind.CORRECTION, self._after.step(event.step_id).attempt, due)

    def _start(self, event: StepStarted) -> None:
        compiled = self._plan.compiled(event.step_id)
        assert compiled is not None
        step = compiled.step
        if owner_of(step.kind) or isinstance(step, TaskStep):
            fact = StepRequestedFact(self._case_id, step.id, event.attempt, step.kind, self._after.matter)
            self.facts.append(fact)
        if isinstance(step, AskedStep) and step.time_limit is not None:
            self._timer(step.id, TimerKind.LIMIT, event.attempt, event.at + step.time_limit)
        if event.until is not None:
            self._timer(step.id, TimerKind.WAIT, event.attempt, event.until)
        if isinstance(step, SubCaseStep):
            self._timer(step.id, TimerKind.OPEN, event.attempt, event.at)
        if isinstance(step, TaskStep):
            self.tasks.append(self._task(step.id, event.attempt))

    def _task(self, step_id: str, attempt: int = 0) -> NewTask:
        compiled = self._plan.compiled(step_id)
        assert compiled is not None
        step = compiled.step
        assert isinstance(step, TaskStep)
        self._names = self._names or names_of(self._plan, self._case_id, self._after)
        made, record = input_of(compiled, self._names), self._after.step(step.id)
        return NewTask(
            self._case_id,
            step.id,
            attempt or record.attempt,
            record.role or step.agency,
            step.operation or step.id,
            self._after.matter,
            step.title,
            made,
        )

    def _timer(self, step_id: str, kind: TimerKind, attempt: int, due: datetime) -> None:
        self.timers.append(Timer(self._case_id, step_id, kind, attempt, due))


def _still_meant(timer: Timer, after: CaseState) -> bool:
    """Whether the step still waits for it after everything that happened in one go."""
    record = after.step(timer.step_id)
    wanted = StepState.RETRYING if timer.kind is TimerKind.RETRY else StepState.RUNNING
    return record.state is wanted


def _between_cases(plan: Plan, before: CaseState, after: CaseState, events: Sequence[Event]) -> list[Timer]:
    """A sub-case that nobody waits for any more is told so, and the case that waits for this one that it has ended."""
    if not events:
        return []
    now = events[-1].at
    timers = [
        Timer(record.sub_case_id, WHOLE_CASE, TimerKind.PARENT, record.attempt, now)
        for step_id, record in before.steps.items()
        if record.state is StepState.RUNNING
        and record.sub_case_id
        and isinstance(plan.step(step_id), SubCaseStep)
        and after.step(step_id).state not in {StepState.RUNNING, StepState.DONE}
    ]
    if after.ended is not None and before.ended is None and after.parent is not None:
        parent = after.parent
        timers.append(Timer(parent.case_id, parent.step_id, TimerKind.CHILD, parent.attempt, now))
    return timers


def _has_timers(plan: Plan, step_id: str) -> bool:
    if step_id == WHOLE_CASE:
        return True
    step = plan.step(step_id)
    if isinstance(step, WaitStep | SubCaseStep):
        return True
    return isinstance(step, AskedStep) and (step.time_limit is not None or step.retry.max > 1)


_OWNERS = {
    StepKind.VERIFY: "identity",
    StepKind.FETCH: "exchange",
    StepKind.LICENSE: "licenses",
    StepKind.PAY: "payments",
}


def owner_of(kind: StepKind) -> str:
    """Who acts on steps of this kind: a service, or the port of payments; empty where the gateway itself, a department or a person does."""
    return _OWNERS.get(kind, "")
