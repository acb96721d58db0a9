# SPDX-License-Identifier: Apache-2.0
"""A random walk over generated definitions: whatever comes, in whatever order and however often, no case is stuck."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.domain.advance import (
    Answer,
    advance,
    react_to_answer,
    react_to_limit,
    react_to_retry,
    submit,
)
from services.gateway.domain.case import SETTLED, CaseState, CaseStatus, StepState, fold
from services.gateway.domain.effects import Timer, TimerKind, effects_of
from services.gateway.domain.history import Event, Outcome
from services.gateway.domain.parking import Parked, resume
from services.gateway.domain.plan import Plan
from tests.support.gateway_matters import CASE, NOW, definition, draft, opened, plan_of, step

KINDS = ["verify", "fetch", "license", "task", "decide", "notify"]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Definitions of 1 to 8 steps that pass the checks, with every kind and every way to fail."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 8))):
        before = [one["id"] for one in steps]
        chosen = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        kind = draw(st.sampled_from(KINDS))
        more: dict[str, Any] = {"optional": draw(st.booleans())}
        more["on_failure"] = draw(st.sampled_from(["refuse", "park", "continue"]))
        if draw(st.booleans()):
            more["when"] = draw(st.sampled_from(["answers.x == 'yes'", "answers.x != 'yes'", "answers.x[7] == 1"]))
        if kind in {"verify", "fetch", "license", "task"}:
            more["retry"] = {"max": draw(st.integers(1, 3)), "waits": ["PT1S"]}
            if draw(st.booleans()):
                more["time_limit"] = "PT1H"
        if kind == "decide":
            test = draw(st.sampled_from(["true", "answers.x == 'yes'"]))
            more["rules"] = [{"test": test, "reason": "NO", "message": {"zh": "不", "en": "No"}}]
        free = more["optional"] or "when" in more or more["on_failure"] == "continue"
        skippable = {one["id"] for one in steps if one["optional"] or "when" in one or one["on_failure"] == "continue"}
        needs = [one for one in chosen if free or one not in skippable]
        more |= {"needs": needs, "after": [one for one in chosen if one not in needs]}
        steps.append(step(f"s{number}", kind, **more))
    raw = definition(*steps)
    return plan_of(*raw["steps"], form=({"name": "x", "type": "text", "title": {"zh": "问", "en": "X"}},))


class Walk:
    """One case and the world around it: what was asked for, what was answered, what is due."""

    def __init__(self, plan: Plan, answers: dict[str, str], without: tuple[str, ...]) -> None:
        self.plan = plan
        self.state: CaseState = draft(plan, answers, without=without)
        self.history: list[Event] = [opened(plan, answers, without=without)]
        self.told: list[Answer] = []
        self.timers: dict[tuple[str, str], Timer] = {}
        self.take(submit(plan, CASE, self.state, NOW))

    def take(self, events: tuple[Event, ...]) -> None:
        before, self.state = self.state, fold(events, self.state)
        self.history += events
        effects = effects_of(self.plan, CASE, before, self.state, events)
        closed = {step_id for _, step_id in effects.closed_timers}
        self.timers = {key: timer for key, timer in self.timers.items() if key[0] not in closed and not effects.ended}
        self.timers |= {(timer.step_id, timer.kind.value): timer for timer in effects.timers}

    def hear(self, answer: Answer) -> None:
        self.take(react_to_answer(self.plan, CASE, self.state, answer, NOW))

    def fire(self, timer: Timer) -> None:
        del self.timers[timer.step_id, timer.kind.value]
        react = react_to_retry if timer.kind is TimerKind.RETRY else react_to_limit
        self.take(react(self.plan, CASE, self.state, timer.step_id, timer.attempt, now=NOW))

    def in_state(self, wanted: StepState) -> list[str]:
        return [step_id for step_id in self.plan.steps if self.state.step(step_id).state is wanted]


def check(walk: Walk) -> None:
    """Invariants at every moment."""
    assert fold(walk.history) == walk.state
    assert advance(walk.plan, CASE, walk.state, NOW) == ()
    running, retrying = walk.in_state(StepState.RUNNING), walk.in_state(StepState.RETRYING)
    assert not walk.in_state(StepState.REFUSED)
    assert not walk.in_state(StepState.UNAVAILABLE)
    match walk.state.status:
        case CaseStatus.COMPLETED:
            assert all(walk.state.step(step_id).state in SETTLED for step_id in walk.plan.steps)
        case CaseStatus.REFUSED:
            assert walk.state.reason
            assert not running
            assert not walk.timers
        case CaseStatus.PARKED:
            assert walk.in_state(StepState.PARKED)
        case _:
            # Not ended and not parked: somebody is asked, or a clock runs.
            assert running or retrying
    assert all((step_id, "retry") in walk.timers for step_id in retrying if walk.state.running)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_case_ends_waits_or_is_parked_whatever_comes(data: st.DataObject) -> None:
    plan = data.draw(plans())
    optional = [step_id for step_id, compiled in plan.steps.items() if compiled.step.optional]
    without = tuple(data.draw(st.lists(st.sampled_from(optional), unique=True))) if optional else ()
    walk = Walk(plan, data.draw(st.sampled_from([{"x": "yes"}, {"x": "no"}, {}])), without)
    check(walk)
    for _ in range(data.draw(st.integers(0, 25))):
        do = data.draw(st.sampled_from(["answer", "repeat", "stray", "timer", "resume"]))
        running, parked = walk.in_state(StepState.RUNNING), walk.in_state(StepState.PARKED)
        if do == "answer" and running and walk.state.running:
            step_id = data.draw(st.sampled_from(running))
            outcome = data.draw(st.sampled_from(list(Outcome)))
            answer = Answer(step_id, walk.state.step(step_id).attempt, outcome, "WHY", {"status": "x"})
            walk.told.append(answer)
            walk.hear(answer)
        elif do == "repeat" and walk.told:
            before = walk.state
            walk.hear(data.draw(st.sampled_from(walk.told)))
            assert walk.state == before
        elif do == "stray":
            before = walk.state
            step_id = data.draw(st.sampled_from([*plan.steps, "nobody"]))
            walk.hear(Answer(step_id, walk.state.step(step_id).attempt + 1, Outcome.DONE))
            assert walk.state == before
        elif do == "timer" and walk.timers:
            walk.fire(data.draw(st.sampled_from(list(walk.timers.values()))))
        elif do == "resume" and parked:
            chosen = data.draw(st.sampled_from(parked))
            walk.take(resume(Parked(plan, CASE, walk.state, chosen, "operator:op", "because", NOW)))
        check(walk)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_order_and_number_of_deliveries_do_not_change_the_end(data: st.DataObject) -> None:
    """Every owner answers DONE; each answer comes once or more, interleaved at will."""
    plan = data.draw(plans())
    ends = []
    for _ in range(2):
        walk = Walk(plan, {"x": "yes"}, ())
        told: list[Answer] = []
        while walk.state.running and (running := walk.in_state(StepState.RUNNING)):
            chosen = data.draw(st.sampled_from(running))
            told.append(Answer(chosen, walk.state.step(chosen).attempt, Outcome.DONE, output={"status": "x"}))
            for answer in (told[-1], data.draw(st.sampled_from(told))):
                walk.hear(answer)
        outcome = {step_id: walk.state.step(step_id).state for step_id in plan.steps}
        ends.append((walk.state.status, outcome if walk.state.status is not CaseStatus.REFUSED else None))
    assert ends[0][0] == ends[1][0]
    assert ends[0] == ends[1]
