# SPDX-License-Identifier: Apache-2.0
"""What an operator may do with a parked step, and what stands in the history about it."""

import pytest

from services.gateway.domain.case import CaseStatus
from services.gateway.domain.history import Outcome, from_body, kind_of, step_of, to_body
from services.gateway.domain.parking import confirm, give_up, hand_over, propose, resume, skip
from services.gateway.domain.refusals import (
    CaseNotParked,
    FourEyes,
    NothingProposed,
    RoleUnknown,
    StepNeeded,
    TaskOutputInvalid,
)
from tests.support.gateway_matters import plan_of, step
from tests.support.gateway_run import Run


@pytest.fixture
def run() -> Run:
    """a is parked; b needs it, c may do without."""
    plan = plan_of(
        step("a", on_failure="park", output={"number": "serial"}, undo={"operation": "undo_a"}),
        step("b", needs=["a"], input={"n": "steps.a.output.number"}),
        step("c", on_failure="park"),
    )
    made = Run(plan)
    made.answer("a", Outcome.UNAVAILABLE, reason="DOWN")
    made.answer("c", Outcome.REFUSED, reason="NO")
    return made


def test_who_acts_and_why_stands_in_the_history(run: Run) -> None:
    run.take(resume(run.parked("a")))
    resumed = next(event for event in run.events if kind_of(event) == "StepResumed")
    assert (resumed.by, resumed.why) == ("operator:op", "because")
    assert "because" not in repr(resumed)
    for event in run.events:
        assert from_body(kind_of(event), event.at, step_of(event), to_body(event)) == event


def test_a_step_is_skipped_only_where_nothing_that_must_happen_needs_it(run: Run) -> None:
    with pytest.raises(StepNeeded):
        skip(run.parked("a"))
    assert run.take(skip(run.parked("c"))) == ["StepSkipped"]
    assert run.state.step("c").reason == "SKIPPED_BY_OPERATOR"
    with pytest.raises(CaseNotParked):
        skip(run.parked("c"))


def test_to_give_up_refuses_the_case_for_the_reason_of_the_step(run: Run) -> None:
    assert run.take(give_up(run.parked("c"))) == ["StepFailed", "CaseGivenUp", "CaseEnded"]
    assert (run.status(), run.state.reason, run.state.reason_step) == (CaseStatus.REFUSED, "NO", "c")


def test_a_step_that_is_handed_over_is_asked_of_the_other_agency(run: Run) -> None:
    assert run.take(hand_over(run.parked("a"), "police")) == ["StepHandedOver", "StepStarted"]
    (task,) = run.effects.tasks
    assert (task.role, task.attempt) == ("police", 2)


def test_only_an_agency_s_step_is_handed_over() -> None:
    decided = step(
        "d", "decide", on_failure="park", rules=[{"test": "false", "reason": "NO", "message": {"zh": "不", "en": "No"}}]
    )
    run = Run(plan_of(decided))
    with pytest.raises(RoleUnknown):
        hand_over(run.parked("d"), "police")


def test_what_was_done_by_hand_takes_two_operators(run: Run) -> None:
    with pytest.raises(NothingProposed):
        confirm(run.parked("a"))
    with pytest.raises(TaskOutputInvalid):
        propose(run.parked("a"), {})
    run.take(propose(run.parked("a"), {"number": "N1", "more": "x"}))
    assert run.status() is CaseStatus.PARKED
    with pytest.raises(FourEyes):
        confirm(run.parked("a"))
    assert run.take(confirm(run.parked("a", "operator:other"))) == ["OutputConfirmed", "StepAnswered", "StepStarted"]
    assert dict(run.effects.tasks[0].input) == {"n": "N1"}


def test_a_proposal_does_not_outlive_what_happens_next(run: Run) -> None:
    run.take(propose(run.parked("a"), {"number": "N1"}))
    run.take(resume(run.parked("a")))
    run.answer("a", Outcome.UNAVAILABLE, reason="DOWN")
    with pytest.raises(NothingProposed):
        confirm(run.parked("a", "operator:other"))
