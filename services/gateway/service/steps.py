# SPDX-License-Identifier: Apache-2.0
"""For the owners of steps: what a step needs, and what came of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from services.gateway.domain.advance import Answer, awaits, react_to_answer
from services.gateway.domain.case import CaseState
from services.gateway.domain.definition import LicenseStep, OwnedStep, StepKind
from services.gateway.domain.effects import owner_of
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import Outcome
from services.gateway.domain.plan import Plan, outputs_of
from services.gateway.domain.refusals import CaseNotFound, StepNotOpen, StepNotYours
from services.gateway.domain.values import StepInput, input_of, names_of
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.ports import ExchangeSource
from services.kit import logs
from services.kit.errors import Refusal

ANSWER_GONE = "ANSWER_GONE"


@dataclass(frozen=True, slots=True)
class OpenStep:
    """What the owner of a step needs to act on it."""

    case_id: str
    step_id: str
    attempt: int
    kind: StepKind
    purpose: str
    basis: str
    agency: str
    applicant_id: str
    undoes: str
    """The step whose effect is to be undone; empty where one is to be had."""
    ends_licenses: bool
    """A license step that ends what is held, and issues nothing."""
    input: StepInput = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToldAnswer:
    """What the owner of a step told; `teller` is the service on whose topic it stood."""

    teller: str
    case_id: str
    step_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    output: Mapping[str, str] = field(default_factory=dict)
    answer_id: str = ""


class StepDesk:
    """Owners of steps come here."""

    def __init__(self, engine: Engine, exchange: ExchangeSource) -> None:
        self._engine = engine
        self._exchange = exchange

    async def input(self, case_id: str, step_id: str, attempt: int, *, owner: str) -> OpenStep:
        """What a step needs, for its owner while it is open.

        Raises:
            StepNotOpen: answered, overtaken, or of no case of ours.
            StepNotYours: steps of this kind are another service's.
        """
        file = await self._engine.store.case_file(case_id)
        if file is None:
            raise StepNotOpen("There is no such step to act on.")
        plan = await self._engine.plan_of(file.state.definition)
        compiled = plan.compiled(step_id)
        if compiled is None or not isinstance(compiled.step, OwnedStep):
            raise StepNotOpen("There is no such step to act on.")
        step = compiled.step
        if owner_of(step.kind) != owner:
            raise StepNotYours(f"A step of kind {step.kind.value} is not for {owner}.")
        if not awaits(file.state, step_id, attempt):
            raise StepNotOpen("The step is answered or overtaken.")
        return OpenStep(
            case_id=case_id,
            step_id=step_id,
            attempt=attempt,
            kind=step.kind,
            purpose=plan.matter.purpose,
            basis=step.basis or plan.matter.basis,
            agency=self._engine.uscc(file.state.step(step_id).role or step.agency),
            undoes=compiled.undoes,
            ends_licenses=isinstance(step, LicenseStep) and step.ends,
            applicant_id=file.state.applicant_id,
            input=input_of(compiled, names_of(plan, case_id, file.state)),
        )

    async def answered(self, told: ToldAnswer, *, delivery_id: str) -> None:
        """Take an answer into the case and go on. Told twice, late, or by the wrong service: nothing changes.

        Raises:
            CaseNotFound: of no case of ours.
            Unavailable: exchange does not give the answer that it announced; come again.
        """
        answer = await self._complete(told) if told.answer_id else None

        async def work(turn: Turn) -> None:
            if not await turn.tx.first_sight(delivery_id):
                return
            file, plan = await turn.load(told.case_id)
            if self._belongs(plan, file.state, told):
                taken = answer or _kept(plan, told, told.output)
                now = self._engine.clock()
                await turn.apply(file, plan, react_to_answer(plan, told.case_id, file.state, taken, now))

        await self._engine.transact(work)

    def _belongs(self, plan: Plan, state: CaseState, told: ToldAnswer) -> bool:
        step = plan.step(told.step_id)
        if step is None or owner_of(step.kind) != told.teller:
            logs.get_logger().warning(
                "step_answer_ignored", case_id=told.case_id, step_id=told.step_id, teller=told.teller
            )
            return False
        return awaits(state, told.step_id, told.attempt)

    async def _complete(self, told: ToldAnswer) -> Answer | None:
        """The answer with its values; None where nobody waits for it, so that nothing is fetched for nothing."""
        file = await self._engine.store.case_file(told.case_id)
        if file is None:
            raise CaseNotFound("There is no such case.")
        plan = await self._engine.plan_of(file.state.definition)
        if told.outcome is not Outcome.DONE or not self._belongs(plan, file.state, told):
            return None
        try:
            source = await self._exchange.answer(told.answer_id)
            return _kept(plan, told, source.values, source.disputed)
        except Refusal:  # No longer kept, or no longer granted: the next attempt asks the department, or says why not.
            return Answer(told.step_id, told.attempt, Outcome.UNAVAILABLE, ANSWER_GONE)


def _kept(
    plan: Plan, told: ToldAnswer, values: Mapping[str, Scalar], disputed: Collection[str] = frozenset()
) -> Answer:
    """Only names that the step declares are taken."""
    step = plan.step(told.step_id)
    names = outputs_of(step) if step else frozenset()
    output = {name: value for name, value in values.items() if name in names}
    in_dispute = tuple(name for name in output if name in disputed)
    return Answer(told.step_id, told.attempt, told.outcome, told.reason, output, disputed=in_dispute)
