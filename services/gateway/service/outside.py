# SPDX-License-Identifier: Apache-2.0
"""Who else may move a case: agencies by signals, co-signers by their signature."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.gateway.domain.case import StepState
from services.gateway.domain.definition import SignStep, canonical_json
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import CaseNotFound, SignalUnknown, SignatureNotAsked
from services.gateway.domain.signals import react_to_signal, react_to_signature, waiting_step
from services.gateway.domain.values import StepInput, input_of, names_of
from services.gateway.service.drafts import citizen
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.once import once
from services.gateway.service.ports import CaseFile
from services.kit.caller import current_caller
from services.kit.text import Text

RIGHT = "gateway.signals"


@dataclass(frozen=True, slots=True)
class SignalCase:
    """An agency tells what a case waits for, or will wait for."""

    request_id: str
    case_id: str
    signal: str
    output: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignStepOf:
    """Another person signs, or declines."""

    request_id: str
    case_id: str
    step_id: str
    signs: bool


@dataclass(frozen=True, slots=True)
class AskedSignature:
    """What a person reads before they sign."""

    case_id: str
    receipt: str
    matter: Text
    step_id: str
    title: Text
    shown: StepInput = field(repr=False)


class OutsideDesk:
    """Each call is for `current_caller()` and is done once under its request id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def signal(self, command: SignalCase) -> CaseFile:
        """For the agency that gives the signal, with the right `gateway.signals`.

        CASE_NOT_FOUND, SIGNAL_UNKNOWN (another agency's too), SIGNAL_NOT_AWAITED, CASE_NOT_UNDER_WAY,
        TASK_OUTPUT_INVALID, REQUEST_ID_REUSED.
        """
        caller = current_caller()
        caller.must(RIGHT)

        async def work(turn: Turn) -> CaseFile:
            file, plan = await turn.load(command.case_id)
            step = waiting_step(plan, command.signal)
            if self._engine.uscc(file.state.step(step.id).role or step.agency or "") != caller.agency:
                raise SignalUnknown("No step of this case waits for such a signal of yours.")
            request = {"signal": command.signal, "case": command.case_id, "output": dict(command.output)}
            if await self._once(turn, command.request_id, request, command.case_id):
                return file
            now = self._engine.clock()
            state, output = file.state, command.output
            events = react_to_signal(plan, command.case_id, state, command.signal, output, by=caller.agency, now=now)
            return await turn.apply(file, plan, events)

        return await self._engine.transact(work)

    async def asked(self, case_id: str, step_id: str) -> AskedSignature:
        """What the caller is asked to sign. SIGNATURE_NOT_ASKED also where there is no such case."""
        signer = citizen().id
        file = await self._engine.store.case_file(case_id)
        if file is None:
            raise SignatureNotAsked("Nobody asks you to sign this.")
        plan = await self._engine.plan_of(file.state.definition)
        record, compiled = file.state.step(step_id), plan.compiled(step_id)
        if compiled is None or record.state is not StepState.RUNNING or record.signer != signer:
            raise SignatureNotAsked("Nobody asks you to sign this.")
        assert isinstance(compiled.step, SignStep)
        shown = input_of(compiled, names_of(plan, case_id, file.state)).get("shown", {})
        given: StepInput = dict(shown) if isinstance(shown, dict) else {}
        return AskedSignature(case_id, file.state.receipt, plan.matter.title, step_id, compiled.step.title, given)

    async def sign(self, command: SignStepOf) -> None:
        """Signs, or declines. SIGNATURE_NOT_ASKED, REQUEST_ID_REUSED."""
        signer = citizen().id

        async def work(turn: Turn) -> None:
            file, plan = await self._loaded(turn, command.case_id, SignatureNotAsked)
            request = {"sign": command.case_id, "step": command.step_id, "signs": command.signs}
            if await self._once(turn, command.request_id, request, command.case_id):
                return
            now = self._engine.clock()
            state, step_id = file.state, command.step_id
            events = react_to_signature(plan, command.case_id, state, step_id, signer, signs=command.signs, now=now)
            await turn.apply(file, plan, events)

        await self._engine.transact(work)

    async def _once(self, turn: Turn, request_id: str, request: Mapping[str, Any], case_id: str) -> bool:
        return await once(turn, request_id, self._engine.store.digest(canonical_json(request)), case_id)

    async def _loaded(self, turn: Turn, case_id: str, refusal: type[SignatureNotAsked]) -> tuple[CaseFile, Plan]:
        try:
            return await turn.load(case_id)
        except CaseNotFound:
            raise refusal("Nobody asks you to sign this.") from None
