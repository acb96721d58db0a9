# SPDX-License-Identifier: Apache-2.0
"""One case, driven by hand through the pure core."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.gateway.domain.advance import Answer, react_to_answer, submit
from services.gateway.domain.canceling import cancel
from services.gateway.domain.case import CaseState, CaseStatus, fold
from services.gateway.domain.effects import Effects, effects_of
from services.gateway.domain.history import CaseOutcome, Outcome
from services.gateway.domain.parking import Parked
from services.gateway.domain.plan import Plan
from services.gateway.domain.signals import react_to_signal
from tests.support.gateway_matters import CASE, HOSPITAL, NOW, draft, kinds, states


class Run:
    """Takes what comes from outside; every call tells what happened, by name."""

    def __init__(self, plan: Plan, answers: dict[str, str] | None = None, *, without: tuple[str, ...] = ()) -> None:
        self.plan = plan
        self.now: datetime = NOW
        self.state: CaseState = draft(plan, answers, without=without)
        self.events: list[Any] = []
        self.effects = Effects()
        self.take(submit(plan, CASE, self.state, NOW))

    def take(self, events: tuple[Any, ...]) -> list[str]:
        self.events += events
        before, self.state = self.state, fold(events, self.state)
        if events:
            self.effects = effects_of(self.plan, CASE, before, self.state, events)
        return kinds(events)

    def answer(self, step_id: str, outcome: Outcome = Outcome.DONE, *, attempt: int = 0, **more: Any) -> list[str]:
        told = Answer(step_id, attempt or self.state.step(step_id).attempt, outcome, **more)
        return self.take(react_to_answer(self.plan, CASE, self.state, told, self.now))

    def signal(self, name: str, output: Mapping[str, Any] | None = None) -> list[str]:
        return self.take(react_to_signal(self.plan, CASE, self.state, name, output or {}, by=HOSPITAL, now=self.now))

    def cancel(self, outcome: CaseOutcome = CaseOutcome.WITHDRAWN) -> list[str]:
        return self.take(cancel(self.plan, CASE, self.state, outcome, "BECAUSE", by="citizen:x", why="", now=self.now))

    def parked(self, step_id: str, by: str = "operator:op") -> Parked:
        return Parked(self.plan, CASE, self.state, step_id, by, "because", self.now)

    def status(self) -> CaseStatus:
        return self.state.status

    @property
    def states(self) -> dict[str, str]:
        return states(self.state)
