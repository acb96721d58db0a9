# SPDX-License-Identifier: Apache-2.0
"""What comes from outside by name: signals of agencies, and signatures of other persons."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.gateway.domain.advance import Answer, awaits, follow, react_to_answer
from services.gateway.domain.case import SETTLED, CaseState, StepState
from services.gateway.domain.definition import SignStep, WaitStep
from services.gateway.domain.form import check_output
from services.gateway.domain.history import Event, Outcome, SignalReceived
from services.gateway.domain.plan import Plan
from services.gateway.domain.reasons import SIGNATURE_DECLINED
from services.gateway.domain.refusals import CaseNotUnderWay, SignalNotAwaited, SignalUnknown, SignatureNotAsked
from services.gateway.domain.values import china_date


def waiting_step(plan: Plan, signal: str) -> WaitStep:
    """The step that waits for a signal. Raises SignalUnknown."""
    step = plan.step(plan.signals.get(signal, ""))
    if not isinstance(step, WaitStep):
        raise SignalUnknown("No step of this case waits for such a signal.")
    return step


def react_to_signal(
    plan: Plan, case_id: str, state: CaseState, signal: str, output: Mapping[str, Any], *, by: str, now: datetime
) -> tuple[Event, ...]:
    """A signal has come; one that comes before its step begins is kept for it.

    Raises:
        SignalUnknown: no step waits for it.
        CaseNotUnderWay: the case is a draft, has ended or is given up.
        SignalNotAwaited: it is there already, or the step is over.
        TaskOutputInvalid: what it brings is not what the step declares.
    """
    step = waiting_step(plan, signal)
    if not state.running or state.ending is not None:
        raise CaseNotUnderWay("The case is not under way.")
    if signal in state.signals or state.step(step.id).state in SETTLED:
        raise SignalNotAwaited("The signal is there already, or nobody waits for it any more.")
    received = SignalReceived(now, signal, by, check_output(step, output))
    return follow(plan, case_id, state, [received], now)


def react_to_signature(
    plan: Plan, case_id: str, state: CaseState, step_id: str, signer: str, *, signs: bool, now: datetime
) -> tuple[Event, ...]:
    """The person who is asked signs, or declines: that is a refusal of the step.

    Raises:
        SignatureNotAsked: it is not asked of this person, or not any more.
    """
    record = state.step(step_id)
    asked = isinstance(plan.step(step_id), SignStep) and record.state is StepState.RUNNING and record.signer == signer
    if not asked or not awaits(state, step_id, record.attempt):
        raise SignatureNotAsked("Nobody asks you to sign this.")
    if not signs:
        declined = Answer(step_id, record.attempt, Outcome.REFUSED, SIGNATURE_DECLINED)
        return react_to_answer(plan, case_id, state, declined, now)
    signed = Answer(step_id, record.attempt, Outcome.DONE, output={"signer_id": signer, "sign_date": china_date(now)})
    return react_to_answer(plan, case_id, state, signed, now)
