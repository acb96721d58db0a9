# SPDX-License-Identifier: Apache-2.0
"""Demands on the real store: filed, matched, answered within their clocks."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.exchange.config import Settings
from services.exchange.domain.demand import DemandState
from services.exchange.domain.refusals import DemandNotFound, DemandNotOpen, ResourceNotOwned
from services.exchange.service.demands import DemandService, DemandView, FileDemand
from services.exchange.service.search import SearchService
from services.exchange.store import ExchangeStore
from services.kit.calendar import Deadlines, published, read_limits
from services.kit.caller import Caller, CallerKind
from services.kit.errors import PageTokenInvalid, RequestIdReused, RequestInvalid, RightMissing
from services.kit.ids import new_id
from tests.support.exchange_stored import opened
from tests.support.exchange_world import HEALTH, HOSPITAL, HOUSEHOLD, NOW, OPERATOR, POLICE, household


def agency(uscc: str, *rights: str) -> Caller:
    return Caller(CallerKind.AGENCY, uscc, frozenset({"exchange.read", *rights}), agency=uscc)


REQUESTER = agency(HOSPITAL, "exchange.demand")
PROVIDER = agency(POLICE, "exchange.catalogue")
OTHER = agency(HEALTH, "exchange.catalogue", "exchange.demand")
AUTHORITY = agency("11990100000001038L", "exchange.review")


class Office:
    """Demands around one store; time moves as a test says."""

    def __init__(self, store: ExchangeStore) -> None:
        self.now = NOW
        store.clock = lambda: self.now
        self.store = store
        self.deadlines = Deadlines(store, published())
        limits = read_limits(Settings.model_fields["limits"].default)
        self.demands = DemandService(
            store, SearchService(store), self.deadlines, limits, clock=lambda: self.now, region="990100"
        )

    async def file(self, **changes: Any) -> DemandView:
        command = FileDemand(
            new_id(), "新生儿落户地址", "Where the household lives", ("住址",), "birth", "Order 809 art. 19"
        )
        return await self.demands.file(replace(command, **changes), REQUESTER)

    async def told(self) -> list[str]:
        """The facts that were told, oldest first."""
        table = self.store.tables.outbox
        async with self.store.reading() as connection:
            found = await connection.execute(select(table.c.type).order_by(table.c.id))
        return [each.rpartition(".")[2] for each in found.scalars()]


@pytest.fixture
async def office(database: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(database, tmp_path) as store:
        async with store.transaction() as tx:
            address = tuple(replace(each, label_zh="住址") for each in household().fields[:1])
            await tx.save_resource(household(fields=address, revision=1), now=NOW)
        yield Office(store)


async def test_a_demand_goes_from_filing_to_fulfilment(office: Office) -> None:
    filed = await office.file()
    id = filed.demand.demand_id
    assert (filed.demand.state, filed.due) == (DemandState.FILED, datetime(2026, 11, 25, 16, 0, tzinfo=UTC))
    assert filed.derivation
    (hit,) = (await office.demands.suggest(id, AUTHORITY)).rows
    assert hit.resource.code == HOUSEHOLD
    assigned = await office.demands.assign(new_id(), id, POLICE, AUTHORITY)
    assert (assigned.demand.provider, assigned.due) == (POLICE, datetime(2026, 12, 4, 16, 0, tzinfo=UTC))
    accepted = await office.demands.accept(new_id(), id, HOUSEHOLD, PROVIDER)
    assert (accepted.demand.state, accepted.demand.resource) == (DemandState.ACCEPTED, HOUSEHOLD)
    done = await office.demands.fulfil(new_id(), id, REQUESTER)
    assert (done.demand.state, done.due) == (DemandState.FULFILLED, None)
    office.now = datetime(2027, 6, 1, tzinfo=UTC)
    assert not await office.deadlines.ring(), "nothing is awaited any more"
    assert await office.told() == ["DemandMoved"] * 4


async def test_a_declined_demand_goes_to_another_or_is_closed(office: Office) -> None:
    id = (await office.file()).demand.demand_id
    await office.demands.assign(new_id(), id, HEALTH, AUTHORITY)
    declined = await office.demands.decline(new_id(), id, "Not ours.", OTHER)
    assert (declined.demand.state, declined.demand.reason, declined.due) == (DemandState.DECLINED, "Not ours.", None)
    again = await office.demands.assign(new_id(), id, POLICE, AUTHORITY)
    assert (again.demand.provider, again.demand.reason) == (POLICE, "")
    with pytest.raises(DemandNotFound):
        await office.demands.get(id, OTHER)
    closed = await office.demands.close(new_id(), id, "Found elsewhere.", REQUESTER)
    assert closed.demand.state is DemandState.CLOSED
    with pytest.raises(DemandNotOpen):
        await office.demands.assign(new_id(), id, POLICE, AUTHORITY)


async def test_whoever_is_late_is_named_by_the_clock(office: Office) -> None:
    id = (await office.file()).demand.demand_id
    await office.demands.assign(new_id(), id, POLICE, AUTHORITY)
    office.now = datetime(2026, 12, 14, 0, 0, tzinfo=UTC)
    rung = 0
    while await office.deadlines.ring():
        rung += 1
    assert rung == 3, "a warning, the expiry, an escalation"
    assert (await office.told())[2:] == ["DemandClockRang"] * 3
    accepted = await office.demands.accept(new_id(), id, HOUSEHOLD, PROVIDER)
    assert accepted.demand.state is DemandState.ACCEPTED, "late is better than never"


async def test_each_step_is_for_those_it_belongs_to(office: Office) -> None:
    id = (await office.file()).demand.demand_id
    with pytest.raises(RightMissing):
        await office.demands.assign(new_id(), id, POLICE, PROVIDER)
    with pytest.raises(RequestInvalid):
        await office.demands.assign(new_id(), id, HOSPITAL, AUTHORITY)
    await office.demands.assign(new_id(), id, POLICE, OPERATOR)
    with pytest.raises(DemandNotFound):
        await office.demands.accept(new_id(), id, HOUSEHOLD, OTHER)
    with pytest.raises(DemandNotFound):
        await office.demands.decline(new_id(), id, "x", OTHER)
    with pytest.raises(DemandNotFound):
        await office.demands.fulfil(new_id(), id, OTHER)
    with pytest.raises(DemandNotFound):
        await office.demands.close(new_id(), id, "x", OTHER)
    with pytest.raises(DemandNotOpen):
        await office.demands.fulfil(new_id(), id, REQUESTER)
    async with office.store.transaction() as tx:
        await tx.save_resource(household(code="307009/1", provider=HEALTH, revision=1), now=NOW)
    with pytest.raises(ResourceNotOwned):
        await office.demands.accept(new_id(), id, "307009/1", PROVIDER)


async def test_a_repeat_finds_what_the_first_did(office: Office) -> None:
    request = new_id()
    first = await office.file(request_id=request)
    assert (await office.file(request_id=request)).demand == first.demand
    with pytest.raises(RequestIdReused):
        await office.file(request_id=request, title="Something else")
    again = new_id()
    id = first.demand.demand_id
    await office.demands.assign(again, id, POLICE, AUTHORITY)
    await office.demands.assign(again, id, POLICE, AUTHORITY)
    with pytest.raises(RequestIdReused):
        await office.demands.assign(again, id, HEALTH, AUTHORITY)
    assert (await office.demands.get(id, AUTHORITY)).demand.provider == POLICE
    assert await office.told() == ["DemandMoved"] * 2


async def test_words_that_no_catalogue_has_suggest_nothing(office: Office) -> None:
    filed = await office.file(title="！！", needs="…", fields=())
    assert (await office.demands.suggest(filed.demand.demand_id, REQUESTER)).rows == ()


async def test_demands_are_listed_to_those_who_have_a_part_in_them(office: Office) -> None:
    ids = [(await office.file()).demand.demand_id for _ in range(3)]
    await office.demands.assign(new_id(), ids[0], POLICE, AUTHORITY)

    async def listed(caller: Caller, **asked: Any) -> list[str]:
        question: dict[str, Any] = {"providing": False, "state": None, "page_size": 2, "page_token": "", **asked}
        page = await office.demands.list(caller=caller, **question)
        found = [each.demand_id for each in page.rows]
        if page.next_token:
            found += await listed(caller, **{**asked, "page_token": page.next_token})
        return found

    assert sorted(await listed(REQUESTER)) == sorted(await listed(AUTHORITY)) == sorted(ids)
    assert await listed(PROVIDER, providing=True) == [ids[0]]
    assert await listed(PROVIDER) == []
    assert sorted(await listed(OPERATOR, state=DemandState.FILED)) == sorted(ids[1:])
    with pytest.raises(PageTokenInvalid):
        await listed(OPERATOR, page_token="e30")
