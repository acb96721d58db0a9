# SPDX-License-Identifier: Apache-2.0
"""A department without a system, its clerks, and a case that waits for them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from services.gateway.domain.inbox import Clerk, Queue
from services.gateway.domain.plan import Plan
from services.gateway.events import to_wire
from services.gateway.rest.app import build_app
from services.gateway.rest.limits import Limits
from services.gateway.service import CaseView, CreateCase, SubmitCase
from services.gateway.service.inbox import Inbox
from services.gateway.store import SqlGatewayStore
from services.gateway.workflows import Agency, Workflows
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_desks import nothing_counted, refusing
from tests.support.gateway_fake import FakeVerifier
from tests.support.gateway_matters import AGENCIES, HOSPITAL, POLICE, field, plan_of, step
from tests.support.gateway_opendata import FakeOpenData
from tests.support.gateway_voices import no_voices
from tests.support.gateway_world import RESIDENT, MovingClock, World
from tests.support.probe import resources

PLAN = plan_of(
    step(
        "answer",
        agency="police",
        input={"about": "answers.about", "place": "answers.place"},
        output={"number": "serial", "days": "number?"},
        time_limit="P5D",
    ),
    step("told", "notify", after=["answer"]),
    form=(field("about", required=True), field("place")),
)
QUEUE = Queue("complaints", Text("投诉", "Complaints"), "complaints", frozenset({"answer"}), region="place")
REGION = POLICE[2:8]
ALICE, BOB, CAROL = "clerk-alice", "clerk-bob", "clerk-carol"
"""Two who answer complaints in the whole city, and one who does so in one district alone."""
HEAD = "head-1"


def clerk(name: str, region: str = "9901", skill: str = "complaints", *, agency: str = POLICE) -> Clerk:
    """One of the roster."""
    return Clerk(agency, name, Text(name, name), region, frozenset({skill}))


ROSTER = (clerk(ALICE), clerk(BOB), clerk(CAROL, "990102"))


def caller(name: str, *rights: str, agency: str = POLICE) -> Caller:
    """A clerk, signed in."""
    return Caller(CallerKind.CLERK, name, frozenset({"gateway.tasks", *rights}), agency=agency, token="t")


def bearer(name: str, *rights: str, agency: str = POLICE) -> dict[str, str]:
    """The same at the REST door; a new idempotency key each time."""
    held = ",".join(("gateway.tasks", *rights))
    return {"authorization": f"Bearer clerk:{name}:{held}:{agency}", "idempotency-key": new_id()}


@dataclass
class Desk:
    """One gateway with a department of clerks."""

    world: World
    inbox: Inbox
    clock: MovingClock
    app: FastAPI
    client: httpx.AsyncClient
    store: SqlGatewayStore

    async def case(self, **answers: str) -> CaseView:
        """A case whose task waits for a clerk."""
        with acting_as(RESIDENT):
            draft = await self.world.service.create_case(CreateCase("sample", {"about": "路灯不亮", **answers}))
            return await self.world.service.submit_case(SubmitCase(draft.id))

    async def seen(self, case: CaseView) -> CaseView:
        """As its applicant sees it now."""
        with acting_as(RESIDENT):
            return await self.world.service.case(case.id)

    async def tasks(self, name: str = ALICE, *rights: str, **query: str | int | bool) -> list[dict[str, Any]]:
        """What a clerk's list shows."""
        answer = await self.client.get("/api/v1/tasks", headers=bearer(name, *rights), params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["tasks"]
        return found

    async def task(self, **answers: str) -> str:
        """The id of the task of a new case."""
        case = await self.case(**answers)
        every = await self.tasks(HEAD, "gateway.supervise", page_size=200)
        return next(str(one["id"]) for one in every if one["case_id"] == case.id)

    async def act(
        self,
        task_id: str,
        action: str,
        body: Mapping[str, Any] | None = None,
        *,
        by: Mapping[str, str],
        if_match: str = "",
    ) -> httpx.Response:
        """Do something with a task."""
        headers = {**by, **({"if-match": if_match} if if_match else {})}
        return await self.client.post(f"/api/v1/tasks/{task_id}/{action}", json=body, headers=headers)


@asynccontextmanager
async def desk(
    database: str, folder: Path, *, plan: Plan = PLAN, clock: MovingClock | None = None
) -> AsyncIterator[Desk]:
    """Open it over a database of its own."""
    clock = clock or MovingClock()
    async with SqlGatewayStore.open(resources(database, folder, clock=clock), encode=to_wire) as store:
        police = Agency("police", POLICE, Text("警", "Police"), queues=[QUEUE], clerks=ROSTER)
        workflows = Workflows({plan.matter.code: plan}, {**AGENCIES, "police": police})
        async with store.transaction() as tx:
            await tx.found_roster(police.clerks)
        world = World(store, workflows, clock)
        inbox = Inbox(world.engine, store)
        app = inbox_app(world, inbox)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield Desk(world, inbox, clock, app, client, store)


def inbox_app(world: World, inbox: Inbox) -> FastAPI:
    """The REST door over real use cases."""

    async def ready() -> Mapping[str, str]:
        return {}

    return build_app(
        world.service,
        FakeVerifier(),
        open_data=FakeOpenData(),
        inbox=inbox,
        life=world.life,
        webhooks=refusing(),
        statistics=nothing_counted(),
        voices=no_voices(),
        telemetry=world.telemetry,
        ready=ready,
        limits=Limits(per_second=1e6, burst=1_000_000),
        clock=world.clock,
    )


__all__ = ["ALICE", "BOB", "CAROL", "HEAD", "HOSPITAL", "PLAN", "REGION", "Desk", "bearer", "caller", "clerk", "desk"]
