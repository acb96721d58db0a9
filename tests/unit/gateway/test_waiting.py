# SPDX-License-Identifier: Apache-2.0
"""Waits, payments, signatures: what is asked of somebody outside, and what they may say."""

from datetime import timedelta

import pytest

from services.gateway.domain.advance import react_to_limit, react_to_time
from services.gateway.domain.case import CaseStatus
from services.gateway.domain.effects import TimerKind
from services.gateway.domain.history import Outcome
from services.gateway.domain.refusals import (
    CaseNotUnderWay,
    SignalNotAwaited,
    SignalUnknown,
    SignatureNotAsked,
    TaskOutputInvalid,
)
from services.gateway.domain.signals import react_to_signature
from tests.support.gateway_matters import CASE, FATHER, MOTHER, NOW, definition, field, plan_of, step
from tests.support.gateway_run import Run
from tests.unit.gateway.test_definitions import codes_of

WAIT = step("w", "wait", signal="inspected", output={"grade": "text", "note": "text?"})


def test_a_signal_ends_the_wait_and_brings_what_the_step_declares() -> None:
    run = Run(plan_of(WAIT, step("z", needs=["w"], input={"g": "steps.w.output.grade"})))
    assert run.states == {"w": "running"}
    with pytest.raises(TaskOutputInvalid):
        run.signal("inspected")
    with pytest.raises(SignalUnknown):
        run.signal("other", {"grade": "A"})
    assert run.signal("inspected", {"grade": "A", "more": "x"}) == ["SignalReceived", "StepAnswered", "StepStarted"]
    assert dict(run.state.step("w").output) == {"grade": "A", "came": "signal"}
    assert dict(run.effects.tasks[0].input) == {"g": "A"}
    with pytest.raises(SignalNotAwaited):
        run.signal("inspected", {"grade": "B"})


def test_a_signal_that_comes_early_is_kept_for_its_step_and_ends_the_same() -> None:
    plan = plan_of(step("a"), {**WAIT, "needs": ["a"]})
    early, late = Run(plan), Run(plan)
    assert early.signal("inspected", {"grade": "A"}) == ["SignalReceived"]
    assert early.answer("a") == ["StepAnswered", "StepStarted", "StepAnswered", "CaseEnded"]
    late.answer("a")
    late.signal("inspected", {"grade": "A"})
    assert early.states == late.states
    assert early.state.step("w").output == late.state.step("w").output
    with pytest.raises(CaseNotUnderWay):
        late.signal("inspected", {"grade": "A"})


def test_a_time_ends_the_wait_by_itself() -> None:
    run = Run(plan_of(step("w", "wait", duration="P3D")))
    (timer,) = run.effects.timers
    assert (timer.kind, timer.due) == (TimerKind.WAIT, NOW + timedelta(days=3))
    assert run.state.step("w").due == timer.due
    run.take(react_to_time(run.plan, CASE, run.state, "w", 1, now=timer.due))
    assert run.status() is CaseStatus.COMPLETED
    assert run.state.step("w").output == {"came": "time"}


@pytest.mark.parametrize(
    ("until", "due"),
    [("2026-12-01", "2026-11-30T16:00:00+00:00"), ("2026-12-01T09:30:00+08:00", "2026-12-01T01:30:00+00:00")],
)
def test_a_wait_lasts_until_a_day_in_china_or_a_moment(until: str, due: str) -> None:
    run = Run(plan_of(step("w", "wait", until="answers.day"), form=(field("day"),)), {"day": until})
    assert [timer.due.isoformat() for timer in run.effects.timers] == [due]


def test_a_wait_until_no_moment_is_parked() -> None:
    run = Run(plan_of(step("w", "wait", until="answers.day"), form=(field("day"),)), {"day": "soon"})
    assert (run.status(), run.state.step("w").reason) == (CaseStatus.PARKED, "EXPRESSION_FAILED")


def test_of_signal_and_time_the_first_one_ends_the_wait() -> None:
    plan = plan_of({**WAIT, "duration": "P3D"})
    first, second = Run(plan), Run(plan)
    first.signal("inspected", {"grade": "A"})
    assert first.take(react_to_time(plan, CASE, first.state, "w", 1, now=NOW)) == []
    second.take(react_to_time(plan, CASE, second.state, "w", 1, now=NOW))
    assert (first.state.step("w").output["came"], second.state.step("w").output["came"]) == ("signal", "time")


def test_a_signal_that_does_not_come_in_time_parks_the_case_and_may_still_come() -> None:
    run = Run(plan_of({**WAIT, "time_limit": "P1D"}))
    run.take(react_to_limit(run.plan, CASE, run.state, "w", 1, now=NOW))
    assert run.status() is CaseStatus.PARKED


def test_two_waits_for_one_signal_and_waits_for_nothing_are_refused() -> None:
    twice = definition(WAIT, step("v", "wait", signal="inspected"))
    assert [code.value for code in codes_of(twice)] == ["SIGNAL_DUPLICATE"]
    assert codes_of(definition({**WAIT, "agency": None}))
    assert codes_of(definition(step("w", "wait", duration="P1D", until="answers.x")))


def test_a_fee_is_asked_for_in_whole_fen_and_nothing_is_to_pay_where_it_is_none() -> None:
    plan = plan_of(step("p", "pay", amount="int(answers.fee)"), form=(field("fee"),))
    run = Run(plan, {"fee": "2500"})
    assert [fact.kind.value for fact in run.effects.facts if hasattr(fact, "kind")] == ["pay"]
    run.answer("p", output={"payment_id": "P1", "paid_fen": 2500})
    assert run.status() is CaseStatus.COMPLETED
    free = Run(plan, {"fee": "0"})
    assert (free.status(), free.state.step("p").output) == (CaseStatus.COMPLETED, {"paid_fen": 0})
    for fee in ("-1", "x"):
        assert Run(plan, {"fee": fee}).state.step("p").reason == "EXPRESSION_FAILED"


def test_another_person_signs_and_nobody_else() -> None:
    run = Run(plan_of(step("s", "sign", shown={"name": "answers.name"}), form=(field("name"),)))
    for who in (MOTHER, "nobody"):
        with pytest.raises(SignatureNotAsked):
            react_to_signature(run.plan, CASE, run.state, "s", who, signs=True, now=NOW)
    run.take(react_to_signature(run.plan, CASE, run.state, "s", FATHER, signs=True, now=NOW))
    assert run.status() is CaseStatus.COMPLETED
    assert run.state.step("s").output == {"signer_id": FATHER, "sign_date": "2026-11-23"}
    with pytest.raises(SignatureNotAsked):
        react_to_signature(run.plan, CASE, run.state, "s", FATHER, signs=True, now=NOW)


def test_who_is_asked_to_sign_may_decline() -> None:
    run = Run(plan_of(step("s", "sign")))
    run.take(react_to_signature(run.plan, CASE, run.state, "s", FATHER, signs=False, now=NOW))
    assert (run.status(), run.state.reason) == (CaseStatus.REFUSED, "SIGNATURE_DECLINED")


@pytest.mark.parametrize(("signer", "reason"), [("applicant.id", "SIGNER_IS_APPLICANT"), ("'x'", "SIGNER_UNKNOWN")])
def test_an_applicant_can_not_be_their_own_co_signer(signer: str, reason: str) -> None:
    run = Run(plan_of(step("s", "sign", signer=signer)))
    assert (run.status(), run.state.reason) == (CaseStatus.REFUSED, reason)
    assert run.answer("s", Outcome.DONE) == []
