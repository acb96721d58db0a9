# SPDX-License-Identifier: Apache-2.0
"""Applications around the real store, with a clock that a test moves and bells that it rings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tongban.exchange.v1 import applications_events_pb2, exchange_events_pb2

from services.exchange.app import __file__ as app_file
from services.exchange.domain.resource import Resource
from services.exchange.domain.scope import Scope
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.applications import ApplicationService, Apply
from services.exchange.service.rulebook import Rulebook
from services.exchange.store import ExchangeStore
from services.kit.calendar import Deadlines, published, read_limits
from services.kit.caller import Caller, CallerKind
from services.kit.ids import new_id
from tests.support.exchange_stored import opened
from tests.support.exchange_terms import IS_DAUGHTER
from tests.support.exchange_world import HEALTH, HOSPITAL, HOUSEHOLD, NOW, POLICE, household

LIMITS = Path(app_file).parent / "limits"
REQUESTER = Caller(CallerKind.AGENCY, HOSPITAL, frozenset({"exchange.apply", "exchange.read"}), agency=HOSPITAL)
PROVIDER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.decide", "exchange.read"}), agency=POLICE)
COORDINATOR = Caller(CallerKind.AGENCY, HEALTH, frozenset({"exchange.coordinate", "exchange.read"}), agency=HEALTH)


def a_scope(**changes: Any) -> Scope:
    """What the hospital applies for."""
    scope = Scope(
        basis="PIPL art. 13(1)(3)",
        purposes=("birth",),
        fields=("household_number", "address"),
        verify_fields=("head_name",),
        expire_time=NOW + timedelta(days=365),
        daily_quota=0,
        terms=Terms(methods=(Method.VERIFY, Method.QUERY), questions=(IS_DAUGHTER,)),
    )
    return replace(scope, **changes)


class Applying:
    """The service, its store and its time."""

    def __init__(self) -> None:
        self.now = NOW
        self.store: ExchangeStore
        self.rulebook: Rulebook
        self.deadlines: Deadlines
        self.service: ApplicationService

    def clock(self) -> datetime:
        return self.now

    async def later(self, *, days: int) -> None:
        """Let days pass, and ring what is due on the way."""
        for _ in range(days):
            self.now += timedelta(days=1)
            while await self.deadlines.ring():
                pass

    async def put(self, resource: Resource | None = None) -> None:
        """Store a resource."""
        async with self.store.transaction() as tx:
            await tx.save_resource(resource or household(), now=self.now)

    async def facts(self, name: str) -> list[Any]:
        """What was told, by the name of the message, oldest first."""
        outbox = self.store.tables.outbox
        async with self.store.reading() as connection:
            rows = (await connection.execute(select(outbox).order_by(outbox.c.id))).all()
        kinds = {**vars(exchange_events_pb2), **vars(applications_events_pb2)}
        return [kinds[name].FromString(row.value) for row in rows if row.type.endswith(f".{name}")]


def an_application(**changes: Any) -> Apply:
    """The hospital applies."""
    return replace(Apply(new_id(), HOUSEHOLD, "Registering a birth, step 2", a_scope()), **changes)


@asynccontextmanager
async def applying(url: str, folder: Path, resource: Resource | None = None) -> AsyncIterator[Applying]:
    """Everything on a database of the test's own."""
    world = Applying()
    async with opened(url, folder, clock=world.clock) as store:
        calendars = published()
        world.store, world.deadlines = store, Deadlines(store, calendars)
        world.rulebook = Rulebook(
            store,
            clock=world.clock,
            monotonic=lambda: 0.0,
            age_seconds_max=30,
            pairs_max=100,
            is_working_day=lambda day: calendars.of("990100").day(day).works,
        )
        await world.rulebook.refresh()
        world.service = ApplicationService(
            store, world.rulebook, world.deadlines, read_limits(LIMITS), clock=world.clock, region="990100"
        )
        await world.put(resource)
        yield world
