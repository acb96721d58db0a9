# SPDX-License-Identifier: Apache-2.0
"""Made-up matters of every kind of step, and a case of one with the world around it: what was asked, told, lost, and is due."""

from typing import Any

from hypothesis import strategies as st

from services.gateway.domain.advance import (
    Answer,
    advance,
    react_to_answer,
    react_to_limit,
    react_to_retry,
    react_to_time,
    submit,
)
from services.gateway.domain.canceling import cancel
from services.gateway.domain.case import SETTLED, CaseState, CaseStatus, StepRecord, StepState, fold
from services.gateway.domain.definition import AskedStep, SignStep, SubCaseStep, UndoableStep
from services.gateway.domain.effects import WHOLE_CASE, Timer, TimerKind, effects_of
from services.gateway.domain.history import (
    CaseOutcome,
    Event,
    Outcome,
    StepStarted,
    SubCaseOpened,
    from_body,
    kind_of,
    step_of,
    to_body,
)
from services.gateway.domain.parking import Parked
from services.gateway.domain.plan import Plan
from services.gateway.domain.signals import react_to_signal
from services.kit.errors import Refusal
from tests.support.gateway_matters import CASE, HOSPITAL, NOW, definition, draft, opened, plan_of, step

# Tasks more often than others: most of what is done and undone is theirs.
KINDS = [
    "task",
    "task",
    "task",
    "verify",
    "fetch",
    "license",
    "task",
    "decide",
    "notify",
    "wait",
    "pay",
    "sub_case",
    "sign",
]
ASKED = {"verify", "fetch", "license", "task", "wait", "pay", "sub_case", "sign"}
UNDOABLE = {"license", "task", "pay", "sub_case"}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Definitions of 1 to 8 steps that pass the checks, with every kind and every way to fail."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 8))):
        before = [one["id"] for one in steps]
        chosen = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        kind = draw(st.sampled_from(KINDS))
        more: dict[str, Any] = {"optional": draw(st.integers(0, 3)) == 0}
        more["on_failure"] = draw(st.sampled_from(["refuse", "refuse", "park", "continue"]))
        if draw(st.integers(0, 3)) == 0:
            more["when"] = draw(st.sampled_from(["answers.x == 'yes'", "answers.x != 'yes'", "answers.x[7] == 1"]))
        if kind in ASKED:
            more |= draw(_asked(kind))
        if kind == "decide":
            test = draw(st.sampled_from(["true", "answers.x == 'yes'"]))
            more["rules"] = [{"test": test, "reason": "NO", "message": {"zh": "不", "en": "No"}}]
        free = more["optional"] or "when" in more or more["on_failure"] == "continue"
        skippable = {one["id"] for one in steps if one["optional"] or "when" in one or one["on_failure"] == "continue"}
        needs = [one for one in chosen if free or one not in skippable]
        more |= {"needs": needs, "after": [one for one in chosen if one not in needs]}
        steps.append(step(f"s{number}", kind, **more))
    raw = definition(*steps)
    form = ({"name": "x", "type": "text", "title": {"zh": "问", "en": "X"}},)
    return plan_of(*raw["steps"], form=form, retries_max=draw(st.sampled_from([0, 2, 500])))


@st.composite
def _asked(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    more: dict[str, Any] = {"retry": {"max": draw(st.integers(1, 3)), "waits": ["PT1S"]}}
    if draw(st.booleans()):
        more["time_limit"] = "PT1H"
    if kind == "wait" and draw(st.booleans()):
        more["duration"] = "P1D"  # With or without the signal: `step` leaves it out beside a time.
        if draw(st.booleans()):
            more |= {"signal": f"signal_{draw(st.integers(0, 10**6))}", "agency": "hospital"}
    how = draw(st.sampled_from(["pivot", "undo", "undo", "undo", "neither"]))
    if how == "pivot":
        more["pivot"] = True
    if how == "undo" and kind in UNDOABLE:
        more["undo"] = {"retry": {"max": draw(st.integers(1, 2)), "waits": ["PT1S"]}}
        if kind in {"task", "sub_case"}:
            more["undo"] |= {"operation": "take_back", "agency": "police"}
    return more


class Walk:
    """One case and the world around it."""

    def __init__(self, plan: Plan, answers: dict[str, str], without: tuple[str, ...]) -> None:
        self.plan = plan
        self.state: CaseState = draft(plan, answers, without=without)
        self.history: list[Event] = [opened(plan, answers, without=without)]
        self.told: list[Answer] = []
        self.lost: list[Answer] = []
        self.timers: dict[tuple[str, str], Timer] = {}
        self.parts: dict[str, tuple[str, int]] = {}
        """Sub-cases under way, with step and attempt."""
        self.let_go: set[str] = set()
        self.take(submit(plan, CASE, self.state, NOW))

    def take(self, events: tuple[Event, ...]) -> None:
        before, self.state = self.state, fold(events, self.state)
        self.history += events
        effects = effects_of(self.plan, CASE, before, self.state, events)
        closed = {step_id for _, step_id in effects.closed_timers}
        self.timers = {key: timer for key, timer in self.timers.items() if key[0] not in closed and not effects.ended}
        for timer in effects.timers:
            if timer.case_id == CASE:
                self.timers[timer.step_id, timer.kind.value] = timer
            else:
                self.let_go.add(timer.case_id)

    # ---- what may come ----------------------------------------------------------------------------------------------

    def owner_acts(self, step_id: str, outcome: Outcome, *, lost: bool = False) -> None:
        """The owner of a running step tells its answer; one that is lost comes later, or never."""
        answer = Answer(step_id, self.record(step_id).attempt, outcome, "WHY", {"status": "x"})
        (self.lost if lost else self.told).append(answer)
        if not lost:
            self.hear(answer)

    def hear(self, answer: Answer) -> None:
        self.take(react_to_answer(self.plan, CASE, self.state, answer, NOW))

    def fire(self, timer: Timer) -> None:
        del self.timers[timer.step_id, timer.kind.value]
        if timer.kind is TimerKind.OPEN:
            self.open_part(timer)
            return
        reactions = {
            TimerKind.RETRY: react_to_retry,
            TimerKind.LIMIT: react_to_limit,
            TimerKind.WAIT: react_to_time,
        }
        self.take(reactions[timer.kind](self.plan, CASE, self.state, timer.step_id, timer.attempt, now=NOW))

    def open_part(self, timer: Timer) -> None:
        record = self.record(timer.step_id)
        assert (record.state, record.attempt) == (StepState.RUNNING, timer.attempt)
        part = f"{timer.step_id}-{timer.attempt}"
        self.parts[part] = (timer.step_id, timer.attempt)
        self.take((SubCaseOpened(NOW, timer.step_id, part, "receipt"),))

    def part_ends(self, part: str, outcome: Outcome) -> None:
        step_id, attempt = self.parts.pop(part)
        self.told.append(Answer(step_id, attempt, outcome, "PART", {"case_id": part}))
        self.hear(self.told[-1])

    def signal(self, name: str) -> bool:
        """Whether it was taken."""
        try:
            self.take(react_to_signal(self.plan, CASE, self.state, name, {}, by=HOSPITAL, now=NOW))
        except Refusal:
            return False
        return True

    def canceled(self, outcome: CaseOutcome) -> bool:
        try:
            self.take(cancel(self.plan, CASE, self.state, outcome, "BECAUSE", by="x", why="y", now=NOW))
        except Refusal:
            return False
        return True

    def operate(self, action: Any, step_id: str, by: str = "operator:one") -> bool:
        try:
            self.take(action(Parked(self.plan, CASE, self.state, step_id, by, "because", NOW)))
        except Refusal:
            return False
        return True

    # ---- what is there ----------------------------------------------------------------------------------------------

    def record(self, step_id: str) -> StepRecord:
        return self.state.step(step_id)

    def in_state(self, wanted: StepState) -> list[str]:
        return [each for each in (*self.plan.steps, *self.plan.undos) if self.record(each).state is wanted]

    def with_owner(self) -> list[str]:
        """Running steps that somebody answers; sub-cases end by themselves."""
        return [each for each in self.in_state(StepState.RUNNING) if not isinstance(self.plan.step(each), SubCaseStep)]


def check(walk: Walk) -> None:
    """Invariants at every moment."""
    state, plan = walk.state, walk.plan
    assert fold(walk.history) == state
    assert advance(plan, CASE, state, NOW) == ()
    assert not walk.in_state(StepState.REFUSED)
    assert not walk.in_state(StepState.UNAVAILABLE)
    _check_status(walk)
    _check_clocks(walk)
    _check_undoing(walk)
    for part, (step_id, attempt) in walk.parts.items():
        record = walk.record(step_id)
        awaited = record.state is StepState.RUNNING and record.attempt == attempt and state.running
        assert awaited or part in walk.let_go


def check_kept(walk: Walk) -> None:
    """What is kept of the history comes to the same state."""
    kept = [from_body(kind_of(one), one.at, step_of(one), to_body(one)) for one in walk.history]
    assert fold(kept) == walk.state


def _check_status(walk: Walk) -> None:
    running, retrying = walk.in_state(StepState.RUNNING), walk.in_state(StepState.RETRYING)
    match walk.state.status:
        case CaseStatus.COMPLETED:
            assert all(walk.record(step_id).state in SETTLED for step_id in walk.plan.steps)
        case CaseStatus.REFUSED | CaseStatus.WITHDRAWN | CaseStatus.TERMINATED:
            assert walk.state.reason
        case CaseStatus.PARKED:
            assert walk.in_state(StepState.PARKED)
        case _:
            # Not ended and not parked: somebody is asked, or a clock runs.
            assert running or retrying
    if walk.state.ended:
        assert not running
        assert not retrying
        assert not walk.timers


def _check_clocks(walk: Walk) -> None:
    if not walk.state.running:
        return
    for step_id in walk.in_state(StepState.RETRYING):
        assert (step_id, "retry") in walk.timers
    for step_id in walk.in_state(StepState.RUNNING):
        step, record = walk.plan.step(step_id), walk.record(step_id)
        assert isinstance(step, AskedStep)
        assert step.time_limit is None or (step_id, "limit") in walk.timers
        assert record.due is None or (step_id, "wait") in walk.timers
        if isinstance(step, SubCaseStep):
            assert record.sub_case_id in walk.parts or (step_id, "open") in walk.timers
        if isinstance(step, SignStep):
            assert record.signer != walk.state.applicant_id
    assert WHOLE_CASE not in {step_id for step_id, _ in walk.timers}


def _check_undoing(walk: Walk) -> None:
    state, plan = walk.state, walk.plan
    begun = [event.step_id for event in walk.history if isinstance(event, StepStarted)]
    undone = list(dict.fromkeys(step_id for step_id in begun if step_id in plan.undos))
    for step_id, compiled in plan.steps.items():
        step = compiled.step
        if isinstance(step, AskedStep) and step.pivot and walk.record(step_id).state is StepState.DONE:
            assert state.ending is None
            assert not undone
        if isinstance(step, AskedStep) and step.pivot and state.ending is not None:
            # Nobody but an operator who answers for the step itself gives up what may be done.
            record = walk.record(step_id)
            assert not (record.state is StepState.CANCELED and record.unsure)
    if state.ending is None:
        assert not undone
        return
    under_way = [step_id for step_id in undone if walk.record(step_id).state not in SETTLED]
    assert len(under_way) <= 1
    marks = [(one.unsure, one.mark) for one in (walk.record(plan.undos[each].undoes) for each in undone)]
    assert marks == sorted(marks, reverse=True)
    if state.ended:
        for step_id in plan.steps:
            record = walk.record(step_id)
            step_of_plan = plan.step(step_id)
            if isinstance(step_of_plan, UndoableStep) and step_of_plan.undo is not None:
                left = record.state is StepState.DONE or (record.unsure and record.state is not StepState.UNDONE)
                assert not left or walk.record(f"{step_id}.undo").state is StepState.SKIPPED
