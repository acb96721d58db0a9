# SPDX-License-Identifier: Apache-2.0
"""A gateway whose days can be turned, for tests of clocks: in memory, or over a store that is given."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from services.gateway.domain.plan import Plan
from services.gateway.service import CaseView, ClockView, CountedView, CreateCase, SubmitCase, TimelineEntry
from services.gateway.service.ports import GatewayStore
from services.gateway.service.tasks import CompleteTask
from services.gateway.workflows import clock_rules
from services.kit.calendar import CHINA, Calendars
from services.kit.caller import acting_as
from services.kit.ids import new_id
from tests.support.gateway_matters import plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import CLINIC, RESIDENT, MovingClock, World

NINE = timedelta(hours=9)
LAW = {
    "acceptance": {"terms": "acceptance"},
    "decision": {"terms": "decision", "promise": 5},
    "delivery": {"terms": "delivery"},
}


def matter(*steps: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> Plan:
    """A matter with the clocks of the law: a department's part, and a license after it."""
    made = steps or (step("work"), step("paper", "license", needs=["work"]))
    return plan_of(*made, limits=LAW if limits is None else limits)


def nine(day: str) -> datetime:
    """Nine o'clock in China."""
    return datetime.fromisoformat(day).replace(tzinfo=CHINA) + NINE


class Days:
    """One gateway and the days that pass."""

    def __init__(
        self, plan: Plan, day: str, *, store: GatewayStore | None = None, calendars: Calendars | None = None
    ) -> None:
        self.clock = MovingClock(nine(day))
        workflows = workflows_of(plan)
        if calendars is not None:
            rules = clock_rules()
            workflows.clocks = type(rules)(rules.limits, calendars, rules.region)
        self.world = World(store or MemoryGatewayStore(self.clock), workflows, self.clock)
        self.case_id = ""

    async def submit(self) -> CaseView:
        """Submit a case."""
        with acting_as(RESIDENT):
            draft = await self.world.service.create_case(CreateCase("sample", {}))
            self.case_id = draft.id
            return await self.world.service.submit_case(SubmitCase(draft.id))

    async def turn_to(self, day: str) -> None:
        """Go to nine o'clock of a day; what rings meanwhile rings when it is due."""
        goal = nine(day)
        while (due := await self.world.store.next_due()) is not None and due <= goal:
            self.clock.now = max(self.clock.now, due)
            while await self.world.timers.fire():
                pass
        self.clock.now = goal

    async def work(self, **output: Any) -> None:
        """A department does its part."""
        with acting_as(CLINIC):
            async for task in self.world.tasks.take((), 1):
                done = CompleteTask(
                    request_id=new_id(), task_id=task.task_id, lease_token=task.lease_token, output=output
                )
                await self.world.tasks.complete(done)
                return

    async def view(self) -> CaseView:
        """The case as its applicant sees it."""
        with acting_as(RESIDENT):
            return await self.world.service.case(self.case_id)

    async def timeline(self) -> tuple[TimelineEntry, ...]:
        """What happened."""
        with acting_as(RESIDENT):
            return await self.world.service.timeline(self.case_id)

    async def kinds(self) -> list[str]:
        """What happened, by kind."""
        return [entry.kind for entry in await self.timeline()]

    async def shown(self, clock: str) -> ClockView:
        """One clock."""
        return next(each for each in (await self.view()).clocks if each.clock == clock)

    async def limit(self, clock: str, bound: str = "statutory") -> CountedView:
        """One of its limits."""
        return next(each for each in (await self.shown(clock)).limits if each.bound == bound)

    async def due(self, clock: str, bound: str = "statutory") -> date | None:
        """The last day of it."""
        return (await self.limit(clock, bound)).due_date
