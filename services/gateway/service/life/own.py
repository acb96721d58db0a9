# SPDX-License-Identifier: Apache-2.0
"""What an applicant does with an own case after it is submitted."""

from collections.abc import Mapping

from services.gateway.domain.correcting import correct
from services.gateway.domain.history import Event
from services.gateway.domain.plan import Plan
from services.gateway.domain.withdrawing import withdraw
from services.gateway.service.drafts import citizen
from services.gateway.service.engine import Engine
from services.gateway.service.owning import OnCase, changed_by_owner
from services.gateway.service.ports import CaseFile
from services.gateway.service.present import case_view
from services.gateway.service.views import CaseView


class OwnCases:
    """Every method answers with the case as it is then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def withdraw(self, command: OnCase, why: str = "") -> CaseView:
        """Takes a case back; what was done is undone.

        CASE_NOT_FOUND, CASE_NOT_UNDER_WAY (says what is so), CASE_PAST_PIVOT, VERSION_CONFLICT, IDEMPOTENCY_KEY_REUSED.
        """
        by, now = citizen().label, self._engine.clock()

        def events(plan: Plan, file: CaseFile) -> tuple[Event, ...]:
            return withdraw(plan, file.case_id, file.state, by=by, why=why, now=now)

        return await self._view(await changed_by_owner(self._engine, command, {"withdraw": why}, events))

    async def correct(self, command: OnCase, answers: Mapping[str, str]) -> CaseView:
        """Corrects everything that was asked for, at once; whoever asked goes on with it.

        CASE_NOT_FOUND, CORRECTION_NOT_ASKED (says what is so), ANSWERS_INVALID, ANSWERS_MISSING, VERSION_CONFLICT,
        IDEMPOTENCY_KEY_REUSED.
        """
        now = self._engine.clock()

        def events(plan: Plan, file: CaseFile) -> tuple[Event, ...]:
            return correct(plan, file.case_id, file.state, answers, now)

        return await self._view(await changed_by_owner(self._engine, command, {"correct": dict(answers)}, events))

    async def _view(self, file: CaseFile) -> CaseView:
        return case_view(file, await self._engine.plan_of(file.state.definition), self._engine.workflows)
