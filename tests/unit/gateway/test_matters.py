# SPDX-License-Identifier: Apache-2.0
"""Every matter that ships, through the pure core to each of its ends, with the answers of the sandbox's own registers."""

from collections.abc import Iterator

import pytest

from sandbox.office import offices
from sandbox.scripts import Script, ScriptCase, Told, scripts
from services.gateway.domain.case import CaseState, CaseStatus, StepState
from services.gateway.domain.definition import DecideStep, OnFailure, OwnedStep, TaskStep
from services.gateway.domain.plan import Plan
from services.gateway.domain.reasons import DESELECTED
from tests.support.matter_runs import AWAY, Run, matters

TRIED_ELSEWHERE = {"birth"}
"""It has tests of its own (test_birth.py and the end-to-end journeys)."""


def every_case() -> Iterator[tuple[Plan, ScriptCase]]:
    return ((plan(script), case) for script in scripts().values() for case in script.cases)


def every_step() -> Iterator[tuple[Script, str]]:
    return ((script, step_id) for script in scripts().values() for step_id in plan(script).steps)


def plan(script: Script) -> Plan:
    return matters().current(script.matter)


def reached(state: CaseState, step_id: str) -> bool:
    return state.step(step_id).attempt > 0


def not_done(state: CaseState) -> set[str]:
    return {step_id for step_id, one in state.steps.items() if one.state in {StepState.SKIPPED, StepState.FAILED}}


def test_every_matter_has_a_script() -> None:
    assert {one.matter.code for one in matters().offered} - TRIED_ELSEWHERE == scripts().keys()


@pytest.mark.parametrize(
    ("plan", "case"), [pytest.param(*each, id=f"{each[0].matter.code}: {each[1].name}") for each in every_case()]
)
def test_a_case_ends_as_its_script_says(plan: Plan, case: ScriptCase) -> None:
    state = Run(plan, case).end()
    reason = state.step(state.parked_step).reason if state.parked_step else state.reason
    assert (state.status, reason) == (case.ends, case.reason)
    if case.ends == "completed":
        assert not_done(state) == {*case.not_done, *case.without}


@pytest.mark.parametrize("script", scripts().values(), ids=lambda one: one.matter)
def test_every_reason_of_a_matter_and_its_departments_is_tried(script: Script) -> None:
    steps = [one.step for one in plan(script).steps.values()]
    ends = {rule.reason for step in steps if isinstance(step, DecideStep) for rule in step.rules}
    for step in steps:
        if isinstance(step, TaskStep):
            act = offices()[step.agency].file.does[step.operation or step.id]
            ends |= {rule.reason for rule in act.rules} if not lenient(step) else set()
    tried = {case.reason for case in script.cases} | {one.reason for case in script.cases for one in case.told.values()}
    assert ends - tried == set()


def lenient(step: OwnedStep) -> bool:
    return step.optional or step.on_failure is OnFailure.CONTINUE


def past_pivot(plan: Plan, state: CaseState) -> bool:
    """From there on a refusal is for an operator to mend."""
    pivots = {step_id for step_id, one in plan.steps.items() if isinstance(one.step, OwnedStep) and one.step.pivot}
    return any(state.step(step_id).state is StepState.DONE for step_id in pivots)


@pytest.mark.parametrize("script", scripts().values(), ids=lambda one: one.matter)
def test_without_its_optional_steps_a_case_is_completed(script: Script) -> None:
    optional = [step_id for step_id, one in plan(script).steps.items() if one.step.optional]
    for without in [*((one,) for one in optional), tuple(optional)]:
        state = Run(plan(script), script.cases[0], without=without).end()
        assert state.status is CaseStatus.COMPLETED, without
        for step_id in without:
            assert state.step(step_id).state is StepState.SKIPPED
        assert any(state.step(step_id).reason == DESELECTED for step_id in without) or not without


@pytest.mark.parametrize(
    ("script", "step_id"), [pytest.param(*each, id=f"{each[0].matter}.{each[1]}") for each in every_step()]
)
def test_an_owner_who_stays_away_parks_the_case_or_is_done_without(script: Script, step_id: str) -> None:
    step = plan(script).steps[step_id].step
    state = Run(plan(script), script.cases[0], told={step_id: AWAY}).end()
    if not isinstance(step, OwnedStep) or not reached(state, step_id):
        assert state.status is CaseStatus.COMPLETED
    elif lenient(step):
        assert state.step(step_id).state is StepState.FAILED
        assert state.ended is not None
    else:
        assert (state.status, state.parked_step) == (CaseStatus.PARKED, step_id)


@pytest.mark.parametrize(
    ("script", "step_id"), [pytest.param(*each, id=f"{each[0].matter}.{each[1]}") for each in every_step()]
)
def test_a_refusal_of_any_owner_has_the_end_that_the_definition_says(script: Script, step_id: str) -> None:
    step = plan(script).steps[step_id].step
    state = Run(plan(script), script.cases[0], told={step_id: Told(outcome="refused", reason="SAID_NO")}).end()
    if not isinstance(step, OwnedStep) or not reached(state, step_id):
        assert state.status is CaseStatus.COMPLETED
    elif lenient(step):
        assert state.step(step_id).state is StepState.FAILED
        assert state.ended is not None
    elif step.on_failure is OnFailure.PARK or past_pivot(plan(script), state):
        assert (state.status, state.parked_step) == (CaseStatus.PARKED, step_id)
    else:
        assert (state.status, state.reason, state.reason_step) == (CaseStatus.REFUSED, "SAID_NO", step_id)
        undone = {one.undoes for one in plan(script).undos.values()}
        assert not [other for other in undone if state.step(other).state is StepState.DONE], "what was done is undone"
