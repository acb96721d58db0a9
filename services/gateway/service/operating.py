# SPDX-License-Identifier: Apache-2.0
"""For operators: what to do with a case that can't go on by itself. Every action is done once, and says who and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.gateway.domain import parking
from services.gateway.domain.canceling import cancel
from services.gateway.domain.case import CaseStatus, StepState
from services.gateway.domain.definition import canonical_json
from services.gateway.domain.history import CaseOutcome, Event
from services.gateway.domain.parking import Parked
from services.gateway.domain.reasons import TERMINATED_BY_OPERATOR
from services.gateway.domain.refusals import RoleUnknown
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.once import once
from services.gateway.service.places import place_after, read_place
from services.gateway.service.ports import CaseFile
from services.kit.caller import current_caller
from services.kit.paging import Page
from services.kit.text import Text

RIGHT = "gateway.cases"
PAGE_DEFAULT = 50
PAGE_MAX = 100


@dataclass(frozen=True, slots=True)
class OnStep:
    """A parked step, and why the operator does what they do."""

    request_id: str
    case_id: str
    step_id: str
    why: str = field(repr=False)
    """1 to 500 characters; kept sealed in the history."""


@dataclass(frozen=True, slots=True)
class ParkedView:
    """A step that needs an operator."""

    step_id: str
    title: Text
    reason: str
    attempt: int
    proposed_by: str


@dataclass(frozen=True, slots=True)
class StandingOfCase:
    """How a case stands, for an operator; no personal data."""

    case_id: str
    receipt: str
    matter: str
    status: CaseStatus
    version: int
    submitted: datetime | None
    parked: tuple[ParkedView, ...]


class OperatorDesk:
    """Operators come here; every method needs the right `gateway.cases` and answers with the case as it is then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def parked(self, page_size: int, page_token: str) -> Page[StandingOfCase]:
        """Cases that need an operator, those that were opened first before the others."""
        current_caller().must(RIGHT)
        limit = min(page_size or PAGE_DEFAULT, PAGE_MAX)
        rows = await self._engine.store.parked_cases(limit + 1, read_place(page_token))
        files = [await self._engine.store.case_file(row.case_id) for row in rows[:limit]]
        found = [await self._standing(file) for file in files if file is not None]
        token = place_after(rows[limit - 1]) if len(rows) > limit else ""
        return Page(tuple(found), token)

    async def resume(self, command: OnStep) -> StandingOfCase:
        """Lets a parked step go on. CASE_NOT_FOUND, CASE_NOT_PARKED."""
        return await self._act("resume", command, parking.resume)

    async def skip(self, command: OnStep) -> StandingOfCase:
        """Goes on without it. CASE_NOT_FOUND, CASE_NOT_PARKED, STEP_NEEDED."""
        return await self._act("skip", command, parking.skip)

    async def compensate(self, command: OnStep) -> StandingOfCase:
        """Gives the case up and undoes what was done. CASE_NOT_FOUND, CASE_NOT_PARKED, CASE_PAST_PIVOT."""
        return await self._act("compensate", command, parking.give_up)

    async def hand_over(self, command: OnStep, role: str) -> StandingOfCase:
        """Gives the step to another agency. CASE_NOT_FOUND, CASE_NOT_PARKED, ROLE_UNKNOWN."""
        if not self._engine.uscc(role):
            raise RoleUnknown("No agency here has this role.")
        return await self._act("hand_over", command, lambda parked: parking.hand_over(parked, role), role)

    async def propose(self, command: OnStep, output: Mapping[str, Any]) -> StandingOfCase:
        """Says what came of it by hand; another operator confirms. CASE_NOT_FOUND, CASE_NOT_PARKED, TASK_OUTPUT_INVALID."""
        return await self._act("propose", command, lambda parked: parking.propose(parked, output), dict(output))

    async def confirm(self, command: OnStep) -> StandingOfCase:
        """Confirms it. CASE_NOT_FOUND, CASE_NOT_PARKED, NOTHING_PROPOSED, FOUR_EYES."""
        return await self._act("confirm", command, parking.confirm)

    async def terminate(self, request_id: str, case_id: str, why: str) -> StandingOfCase:
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

        return await self._standing(await self._engine.transact(work))

    async def _act(
        self, name: str, command: OnStep, action: Callable[[Parked], tuple[Event, ...]], more: object = None
    ) -> StandingOfCase:
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

        return await self._standing(await self._engine.transact(work))

    async def _standing(self, file: CaseFile) -> StandingOfCase:
        state, plan = file.state, await self._engine.plan_of(file.state.definition)
        parked = tuple(
            ParkedView(
                step_id,
                step.title if (step := plan.step(step_id)) else Text(step_id, step_id),
                record.reason,
                record.attempt,
                record.proposed.by if record.proposed else "",
            )
            for step_id, record in state.steps.items()
            if state.running and record.state is StepState.PARKED
        )
        return StandingOfCase(
            file.case_id, state.receipt, state.matter, state.status, state.version, state.submitted, parked
        )
