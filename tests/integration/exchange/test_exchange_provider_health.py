# SPDX-License-Identifier: Apache-2.0
"""What providers promise, what is measured, and when they said that they would not answer."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tongban.exchange.v1 import providers_pb2 as nouns
from tongban.exchange.v1 import providers_service_pb2 as pb

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.providers import WINDOWS_MAX, AnswerPolicy, Maintenance, ServiceLevel
from services.exchange.domain.refusals import (
    MaintenanceNotFound,
    MaintenanceNotPossible,
    ProviderNotFound,
    ProviderUnavailable,
    ResourceNotFound,
    ResourceNotOwned,
)
from services.exchange.domain.settings import AdapterKind
from services.exchange.service.providers import Limits, Providers, Terms
from services.exchange.service.providers.desk import AnnounceMaintenance, ProviderDesk
from services.exchange.service.providers.health import ProviderState, ProviderWatch
from services.exchange.store import ExchangeStore
from services.kit.caller import Caller, CallerKind
from services.kit.errors import RemoteRefusal, RequestIdReused, RequestInvalid
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.exchange_city import OPERATOR as OPERATOR_ID
from tests.support.exchange_city import city, query
from tests.support.exchange_stored import opened
from tests.support.exchange_world import (
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NOW,
    NUMBER,
    OPERATOR,
    POLICE,
    ProviderFake,
    household,
)
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

INQUIRY = Inquiry(HOUSEHOLD, NUMBER, ("address",), timeout_seconds=5)
POLICE_CALLER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.provide"}), agency=POLICE)
TAX = "11990100000001070K"


class Place:
    """The use cases of this area around a real store."""

    def __init__(self, store: ExchangeStore) -> None:
        self.store = store
        self.now = NOW
        self.provider = ProviderFake()
        self.terms = Terms(lambda: self.now)
        self.providers = Providers(
            dict.fromkeys(AdapterKind, lambda _: self.provider),
            monotonic=time.monotonic,
            limits=Limits(failures_max=3),
            terms=self.terms,
        )
        self.watch = ProviderWatch(store, self.providers, self.terms, clock=lambda: self.now)
        self.desk = ProviderDesk(store, self.terms, clock=lambda: self.now, notice_hours=24)

    async def stocked(self, *resources: Any) -> None:
        async with self.store.transaction() as tx:
            for each in resources or (household(),):
                await tx.save_resource(each, now=self.now)

    def announcement(self, **changes: Any) -> AnnounceMaintenance:
        command = AnnounceMaintenance(
            request_id=new_id(),
            provider=POLICE,
            resource="",
            begin_time=self.now + timedelta(hours=25),
            end_time=self.now + timedelta(hours=27),
            grounds="Moving house.",
        )
        return replace(command, **changes)


@pytest.fixture
async def place(database: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(database, tmp_path) as store:
        yield Place(store)


async def test_a_day_is_published_as_it_was_measured_beside_the_promise(place: Place) -> None:
    await place.stocked()
    await place.desk.put_level(ServiceLevel(POLICE, 99.5, 500), new_id(), POLICE_CALLER)
    for _ in range(9):
        await place.providers.ask(household(), INQUIRY)
    await place.watch.flush()  # Several processes, or turns, add up.

    async def down(_: Inquiry) -> None:
        raise ProviderUnavailable("down")

    place.provider.answer = down
    with pytest.raises(ProviderUnavailable):
        await place.providers.ask(household(), INQUIRY)
    await place.watch.flush()
    health = await place.watch.health(POLICE, days=7, caller=HOSPITAL_CALLER)
    (day,) = health.days
    assert (day.questions, day.counts["answered"], day.counts["failed"]) == (10, 9, 1)
    assert day.availability_percent == 90.0
    assert 0 < day.latency_ms(0.95) <= 500
    assert not day.met(health.level)
    assert day.met(replace(health.level, availability_percent=90))
    assert health.state is ProviderState.UP


async def test_a_provider_that_rests_is_down_and_its_refusals_count(place: Place) -> None:
    await place.stocked()

    async def down(_: Inquiry) -> None:
        raise ProviderUnavailable("down")

    place.provider.answer = down
    for _ in range(6):
        with pytest.raises(ProviderUnavailable):
            await place.providers.ask(household(), INQUIRY)
    assert len(place.provider.asked) == 3
    await place.watch.flush()
    health = await place.watch.health(POLICE, days=1, caller=HOSPITAL_CALLER)
    assert health.state is ProviderState.DOWN
    assert health.days[0].counts == {"failed": 6}


class Looked(ProviderFake):
    """A provider that can be looked at."""

    there = True

    async def probe(self) -> None:
        if not self.there:
            raise OSError


async def test_a_probe_tells_that_a_provider_is_there_without_asking_about_anybody(place: Place) -> None:
    await place.stocked()
    looked = place.provider = Looked()
    await place.providers.ask(household(), INQUIRY)
    for there, state in ((True, ProviderState.UP), (False, ProviderState.DOWN)):
        looked.there = there
        await place.watch.probe()
        health = await place.watch.health(POLICE, days=1, caller=HOSPITAL_CALLER)
        assert (health.state, health.probe_time) == (state, NOW)
    assert len(looked.asked) == 1
    place.now += timedelta(minutes=11)
    assert (await place.watch.health(POLICE, days=1, caller=HOSPITAL_CALLER)).state is ProviderState.UNKNOWN


async def test_providers_are_listed_by_code_page_by_page(place: Place) -> None:
    codes = [f"119901000000{number:05d}X" for number in range(7)]
    resources = [
        household(code=f"307002/{index}{each}", provider=code) for index, code in enumerate(codes) for each in range(3)
    ]
    await place.stocked(*resources)
    seen: list[str] = []
    token = ""
    while True:
        page = await place.watch.list(page_size=3, page_token=token, caller=HOSPITAL_CALLER)
        seen += [each.provider for each in page.rows]
        token = page.next_token
        if not token:
            break
    assert seen == codes
    with pytest.raises(ProviderNotFound):
        await place.watch.health(POLICE, days=1, caller=HOSPITAL_CALLER)


async def test_an_agency_speaks_for_itself(place: Place) -> None:
    await place.stocked(household(), household(code="307002/000002", provider=TAX))
    policy = AnswerPolicy("307002/000002", idempotent=True)
    with pytest.raises(ResourceNotOwned):
        await place.desk.put_policy(policy, new_id(), POLICE_CALLER)
    with pytest.raises(ResourceNotOwned):
        await place.desk.put_level(ServiceLevel(TAX), new_id(), POLICE_CALLER)
    with pytest.raises(ResourceNotOwned):
        await place.desk.announce(place.announcement(provider=TAX), POLICE_CALLER)
    with pytest.raises(ResourceNotOwned):
        await place.desk.announce(place.announcement(resource="307002/000002"), POLICE_CALLER)
    with pytest.raises(ResourceNotFound):
        await place.desk.put_policy(AnswerPolicy("307002/000003"), new_id(), OPERATOR)
    await place.desk.put_policy(policy, new_id(), OPERATOR)
    assert place.terms.policies == {"307002/000002": policy}
    await place.desk.put_policy(replace(policy, idempotent=False), new_id(), OPERATOR)
    assert place.terms.policies == {}


@pytest.mark.parametrize(
    "level", [ServiceLevel(POLICE, 49.9), ServiceLevel(POLICE, float("nan")), ServiceLevel(POLICE, 99, 30_001)]
)
async def test_a_promise_that_can_not_be_measured_is_refused(place: Place, level: ServiceLevel) -> None:
    with pytest.raises(RequestInvalid):
        await place.desk.put_level(level, new_id(), OPERATOR)
    with pytest.raises(RequestInvalid):
        await place.desk.put_policy(AnswerPolicy(HOUSEHOLD, cache_seconds=86_401), new_id(), OPERATOR)


async def test_maintenance_is_announced_a_day_ahead_but_for_operators(place: Place) -> None:
    await place.stocked()
    soon = place.announcement(begin_time=NOW + timedelta(hours=23))
    with pytest.raises(MaintenanceNotPossible):
        await place.desk.announce(soon, POLICE_CALLER)
    long = place.announcement(end_time=NOW + timedelta(hours=98))
    with pytest.raises(MaintenanceNotPossible):
        await place.desk.announce(long, POLICE_CALLER)
    with pytest.raises(MaintenanceNotPossible):
        await place.desk.announce(place.announcement(end_time=NOW), OPERATOR)
    await place.desk.announce(replace(soon, request_id=new_id()), OPERATOR)
    health = await place.watch.health(POLICE, days=1, caller=HOSPITAL_CALLER)
    assert [window.begin_time for window in health.windows] == [soon.begin_time]


async def test_a_provider_has_so_many_windows_to_come(place: Place) -> None:
    for _ in range(WINDOWS_MAX):
        await place.desk.announce(place.announcement(), POLICE_CALLER)
    with pytest.raises(MaintenanceNotPossible):
        await place.desk.announce(place.announcement(), POLICE_CALLER)


async def test_the_same_announcement_twice_is_one_and_can_be_called_off(place: Place) -> None:
    command = place.announcement()
    first = await place.desk.announce(command, POLICE_CALLER)
    assert await place.desk.announce(command, POLICE_CALLER) == first
    with pytest.raises(RequestIdReused):
        await place.desk.announce(command, replace(OPERATOR, id="operator-2"))
    off = new_id()
    assert (await place.desk.cancel(first.maintenance_id, off, POLICE_CALLER)).cancelled
    assert (await place.desk.cancel(first.maintenance_id, off, POLICE_CALLER)).cancelled
    assert place.terms.windows == {}
    with pytest.raises(MaintenanceNotFound):
        await place.desk.cancel(new_id(), new_id(), POLICE_CALLER)


async def test_another_process_learns_of_terms_and_windows(place: Place) -> None:
    await place.stocked()
    other = Terms(lambda: place.now)
    await other.refresh(place.store)
    await place.desk.put_policy(AnswerPolicy(HOUSEHOLD, cache_seconds=60), new_id(), POLICE_CALLER)
    window: Maintenance = await place.desk.announce(place.announcement(), POLICE_CALLER)
    await other.refresh(place.store)
    assert other.policies == {HOUSEHOLD: AnswerPolicy(HOUSEHOLD, cache_seconds=60)}
    assert other.windows == {POLICE: {window.maintenance_id: window}}
    await place.desk.cancel(window.maintenance_id, new_id(), POLICE_CALLER)
    await other.refresh(place.store)
    assert other.windows == {}


async def test_old_days_are_forgotten(place: Place) -> None:
    await place.stocked()
    await place.providers.ask(household(), INQUIRY)
    await place.watch.flush()
    place.now += timedelta(days=401)
    await place.watch.drop_old()
    place.now -= timedelta(days=401)
    assert (await place.watch.health(POLICE, days=1, caller=HOSPITAL_CALLER)).days == ()


async def test_the_doors_tell_health_and_refuse_within_maintenance(profile: Profile) -> None:
    async with city(profile) as town:
        await town.stock()
        await town.call(HOSPITAL, "Query", query())
        policy = nouns.AnswerPolicy(resource=HOUSEHOLD, cache_seconds=1)
        put = pb.PutAnswerPolicyRequest(request_id=new_id(), policy=policy)
        assert (await town.call(POLICE, "PutAnswerPolicy", put)).policy == policy
        level = nouns.ServiceLevel(provider=POLICE, availability_percent=99.9, latency_ms=100)
        await town.call(POLICE, "PutServiceLevel", pb.PutServiceLevelRequest(request_id=new_id(), service_level=level))
        request = pb.AnnounceMaintenanceRequest(request_id=new_id(), provider=POLICE, grounds="Now.")
        request.begin_time.GetCurrentTime()
        request.begin_time.seconds += 1
        request.end_time.seconds = request.begin_time.seconds + 3600
        with pytest.raises(RemoteRefusal) as early:
            await town.call(POLICE, "AnnounceMaintenance", request)
        assert early.value.reason == "MAINTENANCE_NOT_POSSIBLE"
        window = (await town.call(OPERATOR_ID, "AnnounceMaintenance", request)).maintenance

        async def refused() -> bool:
            try:
                await town.call(HOSPITAL, "Query", query())
            except RemoteRefusal:
                return True
            return False

        await eventually(refused)
        with pytest.raises(RemoteRefusal) as closed:
            await town.call(HOSPITAL, "Query", query())
        assert closed.value.reason == "PROVIDER_IN_MAINTENANCE"
        assert closed.value.metadata["end_time"].startswith("20")
        assert (await town.leaves())[-1]["outcome"] == "PROVIDER_IN_MAINTENANCE"
        health = (await town.call(HOSPITAL, "GetProviderHealth", pb.GetProviderHealthRequest(provider=POLICE))).health
        assert health.state == nouns.PROVIDER_STATE_MAINTENANCE
        assert health.service_level == level
        assert [each.maintenance_id for each in health.maintenance] == [window.maintenance_id]
        cancel = pb.CancelMaintenanceRequest(request_id=new_id(), maintenance_id=window.maintenance_id)
        assert (await town.call(OPERATOR_ID, "CancelMaintenance", cancel)).maintenance.cancelled
        await town.call(HOSPITAL, "Query", query())
        listed = await town.call(HOSPITAL, "ListProviders", pb.ListProvidersRequest())
        assert [each.provider for each in listed.providers] == [POLICE]
