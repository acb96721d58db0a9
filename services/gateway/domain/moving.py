# SPDX-License-Identifier: Apache-2.0
"""An open case under another version of its definition: whether it can go on there, and what changes for it.

A case's state says of steps only what happened to them, never what a definition makes of it. So to replay a history
under another definition is to ask of every step that something happened to whether it could have come to that there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from services.gateway.domain.advance import follow
from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.definition import AskedStep, Matter, Step, TaskStep
from services.gateway.domain.expected_end import expected_end
from services.gateway.domain.form import check_answers, check_complete
from services.gateway.domain.history import (
    CaseEnded,
    CaseGivenUp,
    CaseOutcome,
    DefinitionMoved,
    Event,
    StepParked,
    StepStarted,
)
from services.gateway.domain.plan import Plan, outputs_of
from services.gateway.domain.reasons import EXPRESSION_FAILED
from services.gateway.domain.record import SETTLED, StepState
from services.kit.errors import Refusal


class Stuck(StrEnum):
    """Why a case can't go on under another definition."""

    STEP_GONE = "STEP_GONE"
    """Something happened to a step that is not there."""
    STEP_CHANGED = "STEP_CHANGED"
    """A step of another kind, or one that is under way is another's or is asked otherwise."""
    ORDER_CHANGED = "ORDER_CHANGED"
    """A step began before one that it waits for there."""
    OUTPUT_MISSING = "OUTPUT_MISSING"
    """A step was done without an output that is needed there."""
    ANSWERS_INVALID = "ANSWERS_INVALID"
    """The resident's answers break the form's rules there."""
    ANSWERS_MISSING = "ANSWERS_MISSING"
    """The form asks there for what was not asked here."""
    EXPRESSION_FAILED = "EXPRESSION_FAILED"
    """What would begin at once can't be evaluated."""
    CASE_ENDING = "CASE_ENDING"
    """It is being undone: it ends under the definition that knows how."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What would become of one case."""

    stuck: Stuck | None = None
    where: str = ""
    """The step or field where it is stuck."""
    starts: tuple[str, ...] = ()
    """Steps that would begin at once."""
    outcome: CaseOutcome | None = None
    """Where the case would end at once."""
    before: date | None = None
    """Its expected end as it is; None where nobody can say, and for drafts."""
    after: date | None = None
    """The same under the other definition."""

    @property
    def fits(self) -> bool:
        """Whether it can be moved."""
        return self.stuck is None

    @property
    def date_changes(self) -> bool:
        """Whether its expected end is another."""
        return self.before != self.after


def replay(rules: ClockRules, old: Plan, new: Plan, case_id: str, state: CaseState, *, now: datetime) -> Replay:
    """What would become of the case under `new`. Nothing is changed."""
    for stuck, where in _obstacles(old.matter, new, state):
        return Replay(stuck, where)
    events = move(new, case_id, state, by="", why="", now=now)
    for event in events:
        if isinstance(event, StepParked) and event.reason == EXPRESSION_FAILED:
            return Replay(Stuck.EXPRESSION_FAILED, event.step_id)
    return Replay(
        starts=tuple(event.step_id for event in events if isinstance(event, StepStarted)),
        outcome=next((event.outcome for event in events if isinstance(event, CaseGivenUp | CaseEnded)), None),
        before=_end(rules, old, replace(state, moved=now)),
        after=_end(rules, new, fold(events, replace(state, moved=now))),
    )


def _end(rules: ClockRules, plan: Plan, state: CaseState) -> date | None:
    found = expected_end(rules, plan, state)
    return found.day if found else None


def move(new: Plan, case_id: str, state: CaseState, *, by: str, why: str, now: datetime) -> tuple[Event, ...]:
    """Pin the case to `new`, with everything that follows there. The case must fit; nothing where it is there already."""
    if state.definition == new.digest:
        return ()
    return follow(new, case_id, state, [DefinitionMoved(now, new.digest, by, why)], now)


def _obstacles(old: Matter, new: Plan, state: CaseState) -> Iterator[tuple[Stuck, str]]:
    if state.ending is not None:
        yield Stuck.CASE_ENDING, ""
    before = {step.id: step for step in old.steps}
    for step_id in state.steps:
        if step_id not in before:
            continue  # What undoes a step; only a case that is ending has some.
        step = new.steps.get(step_id)
        if step is None:
            yield Stuck.STEP_GONE, step_id
        else:
            yield from _step_obstacles(before[step_id], step.step, state)
    yield from _form_obstacles(new.matter, state)


def _step_obstacles(before: Step, step: Step, state: CaseState) -> Iterator[tuple[Stuck, str]]:
    record = state.step(step.id)
    if step.kind is not before.kind:
        yield Stuck.STEP_CHANGED, step.id
    if record.state is StepState.RUNNING and _asked(step) != _asked(before):
        yield Stuck.STEP_CHANGED, step.id
    if record.state in {StepState.DONE, StepState.RUNNING, StepState.RETRYING}:
        late = [one for one in step.needs if state.step(one).state is not StepState.DONE]
        late += [one for one in step.after if state.step(one).state not in SETTLED]
        if late:
            yield Stuck.ORDER_CHANGED, step.id
    if record.state is StepState.DONE and _wanted(step) - record.output.keys():
        yield Stuck.OUTPUT_MISSING, step.id


def _form_obstacles(matter: Matter, state: CaseState) -> Iterator[tuple[Stuck, str]]:
    """Answers that nobody asks for any more stay in the history and are read by nobody."""
    fields = {one.name for one in matter.form if not one.read_only}
    answers = {name: value for name, value in state.answers.items() if name in fields}
    try:
        check_answers(matter, answers, ())
        if state.submitted is not None:
            check_complete(matter, {**state.effective_answers(), **answers})
    except Refusal as refused:
        where = refused.violations[0].field if refused.violations else ""
        yield Stuck(refused.reason), where
    for one in matter.form:
        if one.required and one.read_only and one.name not in state.prefilled:
            yield Stuck.ANSWERS_MISSING, f"answers.{one.name}"


_TOLD = frozenset(
    {"agency", "operation", "input", "output", "resource", "fields", "license_type", "signal", "duration", "until"}
    | {"amount", "matter", "answers", "signer", "shown"}
)
"""What the owner of a step was told when it was asked; titles, budgets and limits may change meanwhile."""


def _asked(step: Step) -> object:
    return step.model_dump(include=set(_TOLD)) if isinstance(step, AskedStep) else None


def _wanted(step: Step) -> frozenset[str]:
    """Outputs that must be there once it is done."""
    if isinstance(step, TaskStep):
        return frozenset(name for name, declared in step.output.items() if not declared.endswith("?"))
    return frozenset() if step.kind.value == "fetch" else outputs_of(step)
