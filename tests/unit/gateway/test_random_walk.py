# SPDX-License-Identifier: Apache-2.0
"""A random walk over generated definitions: whatever comes, in whatever order and however often, no case is stuck."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.domain.advance import Answer
from services.gateway.domain.case import CaseStatus, StepState
from services.gateway.domain.definition import WaitStep
from services.gateway.domain.history import CaseOutcome, Outcome
from services.gateway.domain.parking import confirm, give_up, hand_over, propose, resume, skip
from services.gateway.domain.plan import Plan
from tests.support.gateway_walk import Walk, check, check_kept, plans

OPERATIONS = (
    resume,
    skip,
    give_up,
    confirm,
    lambda parked: hand_over(parked, "police"),
    lambda parked: propose(parked, {}),
)
OUTCOMES = [Outcome.DONE, Outcome.DONE, Outcome.DONE, Outcome.REFUSED, Outcome.UNAVAILABLE]
ACTIONS = (
    "answer",
    "answer",
    "answer",
    "lose",
    "find",
    "repeat",
    "stray",
    "timer",
    "part",
    "signal",
    "cancel",
    "operate",
)


def settings_of(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings_of(120)
@given(st.data())
def test_every_case_ends_waits_or_is_parked_whatever_comes(data: st.DataObject) -> None:
    plan = data.draw(plans())
    optional = [step_id for step_id, compiled in plan.steps.items() if compiled.step.optional]
    without = tuple(data.draw(st.lists(st.sampled_from(optional), unique=True))) if optional else ()
    walk = Walk(plan, data.draw(st.sampled_from([{"x": "yes"}, {"x": "no"}, {}])), without)
    check(walk)
    for _ in range(data.draw(st.integers(0, 30))):
        act(data, walk)
        check(walk)
    bring_to_an_end(walk)
    check_kept(walk)


def act(data: st.DataObject, walk: Walk) -> None:  # noqa: C901, PLR0912 - one arm for each thing
    """One thing that the world may do."""
    asked = walk.with_owner()
    match data.draw(st.sampled_from(ACTIONS)):
        case "answer" if asked and walk.state.running:
            walk.owner_acts(data.draw(st.sampled_from(asked)), data.draw(st.sampled_from(OUTCOMES)))
        case "lose" if asked and walk.state.running:
            walk.owner_acts(data.draw(st.sampled_from(asked)), data.draw(st.sampled_from(list(Outcome))), lost=True)
        case "find" if walk.lost:
            found = walk.lost.pop(data.draw(st.integers(0, len(walk.lost) - 1)))
            walk.told.append(found)
            walk.hear(found)
        case "repeat" if walk.told:
            before = walk.state
            walk.hear(data.draw(st.sampled_from(walk.told)))
            assert walk.state == before
        case "stray":
            before = walk.state
            step_id = data.draw(st.sampled_from([*walk.plan.steps, *walk.plan.undos, "nobody"]))
            walk.hear(Answer(step_id, walk.record(step_id).attempt + 1, Outcome.DONE))
            assert walk.state == before
        case "timer" if walk.timers:
            walk.fire(data.draw(st.sampled_from(list(walk.timers.values()))))
        case "part" if walk.parts:
            walk.part_ends(data.draw(st.sampled_from(list(walk.parts))), data.draw(st.sampled_from(list(Outcome)[:2])))
        case "signal" if walk.plan.signals:
            signal = data.draw(st.sampled_from(list(walk.plan.signals)))
            if walk.signal(signal):
                assert not walk.signal(signal)
        case "cancel":
            outcome = data.draw(st.sampled_from([CaseOutcome.WITHDRAWN, CaseOutcome.TERMINATED]))
            if walk.canceled(outcome):
                assert not walk.canceled(outcome)
        case "operate" if parked := walk.in_state(StepState.PARKED):
            by = data.draw(st.sampled_from(["operator:one", "operator:two"]))
            walk.operate(data.draw(st.sampled_from(OPERATIONS)), data.draw(st.sampled_from(parked)), by)
        case _:
            pass


def bring_to_an_end(walk: Walk) -> None:
    """Whoever is asked answers, clocks run out, operators settle what is parked: then every case ends."""
    for _ in range(200):
        if not walk.state.running:
            return
        if asked := walk.with_owner():
            walk.owner_acts(asked[0], Outcome.DONE)
        elif walk.parts:
            walk.part_ends(next(iter(walk.parts)), Outcome.DONE)
        elif walk.timers:
            walk.fire(next(iter(walk.timers.values())))
        elif parked := walk.in_state(StepState.PARKED):
            step_id = parked[0]
            assert walk.operate(lambda parked: propose(parked, {}), step_id)
            assert walk.operate(confirm, step_id, "operator:two")
        check(walk)
    raise AssertionError("It does not end.")


@settings_of(60)
@given(st.data())
def test_the_order_and_number_of_deliveries_do_not_change_the_end(data: st.DataObject) -> None:
    """Every owner answers DONE; each answer comes once or more, interleaved at will; signals early or late."""
    plan = data.draw(plans())
    ends = [_end(data, plan) for _ in range(2)]
    assert ends[0] == ends[1]


def _end(data: st.DataObject, plan: Plan) -> tuple[CaseStatus, dict[str, tuple[StepState, object]] | None]:
    walk = Walk(plan, {"x": "yes"}, ())
    signals = [name for name, step_id in plan.signals.items() if _only_by_signal(plan, step_id)]
    while walk.state.running:
        moves = [("answer", each) for each in walk.with_owner() if not isinstance(plan.step(each), WaitStep)]
        moves += [("wait", each) for each in walk.with_owner() if (each, "wait") in walk.timers]
        moves += [("part", each) for each in walk.parts]
        moves += [("open", step_id) for step_id, kind in walk.timers if kind == "open"]
        moves += [("signal", each) for each in signals if each not in walk.state.signals]
        if not moves:
            break
        move, chosen = data.draw(st.sampled_from(moves))
        if move == "answer":
            walk.owner_acts(chosen, Outcome.DONE)
        elif move == "part":
            walk.part_ends(chosen, Outcome.DONE)
        elif move == "signal":
            if not walk.signal(chosen):
                signals.remove(chosen)
        else:
            walk.fire(walk.timers[chosen, move])
        if walk.told:
            walk.hear(data.draw(st.sampled_from(walk.told)))
    if walk.state.status is CaseStatus.REFUSED:
        return CaseStatus.REFUSED, None
    return walk.state.status, {each: (walk.record(each).state, dict(walk.record(each).output)) for each in plan.steps}


def _only_by_signal(plan: Plan, step_id: str) -> bool:
    step = plan.step(step_id)
    return isinstance(step, WaitStep) and step.duration is None
