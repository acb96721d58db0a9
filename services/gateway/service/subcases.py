# SPDX-License-Identifier: Apache-2.0
"""Cases within cases: opened, answered and let go of by timers that are due at once, each in a transaction of its own case."""

from collections.abc import Mapping
from contextlib import suppress

from services.gateway.domain.advance import Answer, awaits, react_to_answer, submit
from services.gateway.domain.canceling import cancel
from services.gateway.domain.case import CaseState
from services.gateway.domain.definition import SubCaseStep
from services.gateway.domain.effects import Timer
from services.gateway.domain.expressions import ExpressionFailed, Scalar
from services.gateway.domain.form import check_answers, check_complete
from services.gateway.domain.history import (
    CaseOpened,
    CaseOutcome,
    Outcome,
    Parent,
    Prefilled,
    PrefillState,
    SubCaseOpened,
)
from services.gateway.domain.materials import must_be_complete
from services.gateway.domain.plan import CompiledStep, Plan
from services.gateway.domain.reasons import (
    EXPRESSION_FAILED,
    PARENT_GIVEN_UP,
    SUB_CASE_INVALID,
    SUB_CASE_NOT_OFFERED,
    SUB_CASE_TERMINATED,
    SUB_CASE_WITHDRAWN,
)
from services.gateway.domain.refusals import CaseNotUnderWay, CasePastPivot, MatterNotFound
from services.gateway.domain.values import input_of, names_of
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.ports import CaseFile
from services.gateway.service.receipts import next_receipt
from services.kit.errors import Refusal
from services.kit.ids import derived_id

_REASONS = {CaseOutcome.WITHDRAWN: SUB_CASE_WITHDRAWN, CaseOutcome.TERMINATED: SUB_CASE_TERMINATED}


class SubCases:
    """What one case asks of another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open(self, turn: Turn, timer: Timer) -> None:
        """Open the case that a step asks for, submitted at once, and note it in the case that waits for it."""
        file, plan = await turn.load(timer.case_id)
        compiled = plan.compiled(timer.step_id)
        if compiled is None or not awaits(file.state, timer.step_id, timer.attempt):
            return
        step = compiled.step
        assert isinstance(step, SubCaseStep)
        try:
            other = self._engine.workflows.current(step.matter)
            answers = _answers(file, plan, compiled)
            _must_fit(other, answers)
        except Refusal as refusal:
            reason = SUB_CASE_NOT_OFFERED if isinstance(refusal, MatterNotFound) else SUB_CASE_INVALID
            await self._answer(turn, file, plan, Answer(timer.step_id, timer.attempt, Outcome.UNAVAILABLE, reason))
            return
        opened = await self._opened(turn, timer, file, other, answers)
        now = self._engine.clock()
        await turn.apply(file, plan, (SubCaseOpened(now, timer.step_id, opened.case_id, opened.state.receipt),))

    async def ended(self, turn: Turn, timer: Timer) -> None:
        """The sub-case has ended: that is the step's answer."""
        file, plan = await turn.load(timer.case_id)
        compiled = plan.compiled(timer.step_id)
        if compiled is None or not awaits(file.state, timer.step_id, timer.attempt):
            return
        ended = await self._engine.store.case_file(file.state.step(timer.step_id).sub_case_id)
        assert ended is not None
        other = await self._engine.plan_of(ended.state.definition)
        await self._answer(turn, file, plan, _answer(timer, compiled, ended, other))

    async def let_go(self, turn: Turn, timer: Timer) -> None:
        """Nobody waits for the sub-case any more: it is given up too, unless something in it must not be undone."""
        file, plan = await turn.load(timer.case_id)
        by = f"case:{file.state.parent.case_id}" if file.state.parent else ""
        with suppress(CasePastPivot, CaseNotUnderWay):
            events = cancel(
                plan,
                file.case_id,
                file.state,
                CaseOutcome.TERMINATED,
                PARENT_GIVEN_UP,
                by=by,
                why="",
                now=self._engine.clock(),
            )
            await turn.apply(file, plan, events)

    async def _opened(
        self, turn: Turn, timer: Timer, file: CaseFile, other: Plan, answers: Mapping[str, str]
    ) -> CaseFile:
        case_id = derived_id("sub-case", timer.case_id, timer.step_id, str(timer.attempt))
        now = self._engine.clock()
        locked = {one.name for one in other.matter.form if one.read_only}
        told = tuple(
            Prefilled(name, PrefillState.FILLED, value, source="case", basis=other.matter.basis)
            for name, value in answers.items()
            if name in locked
        )
        first = CaseOpened(
            now,
            await next_receipt(self._engine, turn, other),
            other.matter.code,
            other.digest,
            file.state.applicant_id,
            {name: value for name, value in answers.items() if name not in locked},
            prefilled=told,
            parent=Parent(timer.case_id, timer.step_id, timer.attempt),
        )
        await turn.tx.open_case(case_id, other, first)
        draft, _ = await turn.load(case_id)
        return await turn.apply(draft, other, submit(other, case_id, draft.state, now), traceparent=file.traceparent)

    async def _answer(self, turn: Turn, file: CaseFile, plan: Plan, answer: Answer) -> None:
        await turn.apply(file, plan, react_to_answer(plan, file.case_id, file.state, answer, self._engine.clock()))


def _answers(file: CaseFile, plan: Plan, compiled: CompiledStep) -> dict[str, str]:
    given = input_of(compiled, names_of(plan, file.case_id, file.state)).get("answers", {})
    return {name: str(value) for name, value in given.items()} if isinstance(given, dict) else {}


def _must_fit(other: Plan, answers: Mapping[str, str]) -> None:
    """A field that only its source fills may be filled by the case that asks: it has been through a source there.

    Nobody is there to hand anything in.
    """
    matter = other.matter
    locked = {one.name for one in matter.form if one.read_only}
    check_answers(matter, {name: value for name, value in answers.items() if name not in locked}, ())
    check_complete(matter, answers)
    must_be_complete(other, CaseState(answers=answers))


def _answer(timer: Timer, compiled: CompiledStep, ended: CaseFile, other: Plan) -> Answer:
    state: CaseState = ended.state
    assert state.outcome is not None
    if state.outcome is not CaseOutcome.COMPLETED:
        reason = _REASONS.get(state.outcome, state.reason)
        return Answer(timer.step_id, timer.attempt, Outcome.REFUSED, reason, message=state.message)
    names = names_of(other, ended.case_id, state)
    output: dict[str, Scalar] = {"case_id": ended.case_id, "receipt": state.receipt}
    try:
        output |= {name: expression.value(names) for name, expression in compiled.output.items()}
    except ExpressionFailed:
        return Answer(timer.step_id, timer.attempt, Outcome.UNAVAILABLE, EXPRESSION_FAILED)
    return Answer(timer.step_id, timer.attempt, Outcome.DONE, output=output)
