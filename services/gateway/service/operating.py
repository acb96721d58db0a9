# SPDX-License-Identifier: Apache-2.0
"""For operators: what to do with a case that can't go on by itself. Every action is done once, and says who and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.gateway.domain import parking
from services.gateway.domain.canceling import cancel
from services.gateway.domain.definition import canonical_json
from services.gateway.domain.history import CaseOutcome, Event
from services.gateway.domain.parking import Parked
from services.gateway.domain.reasons import TERMINATED_BY_OPERATOR
from services.gateway.domain.refusals import RoleUnknown
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.once import once
from services.gateway.service.ports import CaseFile
from services.kit.caller import current_caller

RIGHT = "gateway.cases"


@dataclass(frozen=True, slots=True)
class OnStep:
    """A parked step, and why the operator does what they do."""

    request_id: str
    case_id: str
    step_id: str
    why: str = field(repr=False)
    """1 to 500 characters; kept sealed in the history."""


class OperatorDesk:
    """Operators come here; every method needs the right `gateway.cases` and answers with the case as it is then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def resume(self, command: OnStep) -> CaseFile:
        """Lets a parked step go on. CASE_NOT_FOUND, CASE_NOT_PARKED."""
        return await self._act("resume", command, parking.resume)

    async def skip(self, command: OnStep) -> CaseFile:
        """Goes on without it. CASE_NOT_FOUND, CASE_NOT_PARKED, STEP_NEEDED."""
        return await self._act("skip", command, parking.skip)

    async def compensate(self, command: OnStep) -> CaseFile:
        """Gives the case up and undoes what was done. CASE_NOT_FOUND, CASE_NOT_PARKED, CASE_PAST_PIVOT."""
        return await self._act("compensate", command, parking.give_up)

    async def hand_over(self, command: OnStep, role: str) -> CaseFile:
        """Gives the step to another agency. CASE_NOT_FOUND, CASE_NOT_PARKED, ROLE_UNKNOWN."""
        if not self._engine.uscc(role):
            raise RoleUnknown("No agency here has this role.")
        return await self._act("hand_over", command, lambda parked: parking.hand_over(parked, role), role)

    async def propose(self, command: OnStep, output: Mapping[str, Any]) -> CaseFile:
        """Says what came of it by hand; another operator confirms. CASE_NOT_FOUND, CASE_NOT_PARKED, TASK_OUTPUT_INVALID."""
        return await self._act("propose", command, lambda parked: parking.propose(parked, output), dict(output))

    async def confirm(self, command: OnStep) -> CaseFile:
        """Confirms it. CASE_NOT_FOUND, CASE_NOT_PARKED, NOTHING_PROPOSED, FOUR_EYES."""
        return await self._act("confirm", command, parking.confirm)

    async def terminate(self, request_id: str, case_id: str, why: str) -> CaseFile:
        """Ends a case before its time and undoes what was done. CASE_NOT_FOUND, CASE_NOT_UNDER_WAY, CASE_PAST_PIVOT."""
        caller = current_caller()
        caller.must(RIGHT)
        digest = self._engine.store.digest(canonical_json({"terminate": case_id, "why": why}))

        async def work(turn: Turn) -> CaseFile:
            file, plan = await turn.load(case_id)
            if await once(turn, request_id, digest, case_id):
                return file
            by, now = caller.label, self._engine.clock()
            outcome = CaseOutcome.TERMINATED
            events = cancel(plan, case_id, file.state, outcome, TERMINATED_BY_OPERATOR, by=by, why=why, now=now)
            return await turn.apply(file, plan, events)

        return await self._engine.transact(work)

    async def _act(
        self, name: str, command: OnStep, action: Callable[[Parked], tuple[Event, ...]], more: object = None
    ) -> CaseFile:
        caller = current_caller()
        caller.must(RIGHT)
        request = {name: command.case_id, "step": command.step_id, "why": command.why, "more": more}
        digest = self._engine.store.digest(canonical_json(request))

        async def work(turn: Turn) -> CaseFile:
            file, plan = await turn.load(command.case_id)
            if await once(turn, command.request_id, digest, command.case_id):
                return file
            now = self._engine.clock()
            parked = Parked(plan, command.case_id, file.state, command.step_id, caller.label, command.why, now)
            return await turn.apply(file, plan, action(parked))

        return await self._engine.transact(work)
