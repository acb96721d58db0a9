# SPDX-License-Identifier: Apache-2.0
"""One suite for identity's stores: what holds in memory holds in SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.identity.domain.agency import Agency, AgencyChanged
from services.identity.domain.numbers import NumberKind, PersonalNumber, personal_number
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person, PersonRegistered, register
from services.identity.domain.persona import Persona, Role
from services.identity.domain.use import Use
from services.identity.events import to_wire
from services.identity.service.ports import Request, Store
from services.identity.store import IdentityStore
from services.identity.store.tables import METADATA, PERSON_NUMBER
from services.kit.caller import acting_as
from services.kit.crypto import Keyring, SigningKey
from services.kit.errors import RequestIdReused, VersionConflict
from services.kit.ids import new_id
from tests.support.identity_memory import MemoryStore
from tests.support.identity_world import HOSPITAL_CODE, NUMBER, OTHER_NUMBER, POLICE, new_person
from tests.support.postgres import fresh_database

NOW = datetime(2026, 11, 3, 4, 0, tzinfo=UTC)


class FixedClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Settings:
    """As much as a store wants to know."""

    database: str


@dataclass(frozen=True)
class Resources:
    """As much of the runtime as a store wants."""

    settings: Settings
    clock: FixedClock
    keyring: Keyring
    signing_key: SigningKey


@dataclass(frozen=True)
class Bench:
    """A store and ways to look at it from outside."""

    store: Store
    clock: FixedClock

    async def facts(self) -> int:
        """How many facts were told."""
        if isinstance(self.store, MemoryStore):
            return len(self.store.rows.facts)
        return await self._count("outbox")

    async def leaves(self) -> int:
        """How many leaves there are."""
        if isinstance(self.store, MemoryStore):
            return len(self.store.rows.uses)
        return await self._count("ledger_leaf")

    async def _count(self, table: str) -> int:
        assert isinstance(self.store, IdentityStore)
        query = select(func.count()).select_from(METADATA.tables[table])
        async with self.store.reading() as connection:
            return int((await connection.execute(query)).scalar_one())


@pytest.fixture
async def bench(opened: AbstractAsyncContextManager[Bench]) -> AsyncIterator[Bench]:
    async with opened as bench:
        with acting_as(POLICE):
            yield bench


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractAsyncContextManager[Bench]:
    if request.param == "memory":
        return memory_bench()
    if request.param == "sqlite":
        return sql_bench(nullcontext(f"sqlite:///{tmp_path}/identity.sqlite"), tmp_path)
    return sql_bench(fresh_database(request.getfixturevalue("postgres")), tmp_path)


@asynccontextmanager
async def memory_bench() -> AsyncIterator[Bench]:
    clock = FixedClock()
    yield Bench(MemoryStore(clock=clock), clock)


@asynccontextmanager
async def sql_bench(url: AbstractAsyncContextManager[str], tmp_path: Path) -> AsyncIterator[Bench]:
    clock = FixedClock()
    async with url as database, open_store(database, clock, tmp_path) as store:
        yield Bench(store, clock)


@asynccontextmanager
async def open_store(database: str, clock: FixedClock, tmp_path: Path) -> AsyncIterator[IdentityStore]:
    resources = Resources(
        Settings(database), clock, Keyring.open(tmp_path / "keys"), SigningKey.open(tmp_path / "keys", "ledger")
    )
    async with IdentityStore.open(resources, encode=to_wire) as store:
        yield store


def person(number: str = NUMBER, **changed: str) -> Person:
    return register(new_person(number, **changed), subject_id=new_id(), now=NOW)[0]


def number(value: str = NUMBER) -> PersonalNumber:
    return personal_number(NumberKind.CITIZEN, value, today=NOW.date())


async def add(bench: Bench, *persons: Person) -> frozenset[str]:
    async with bench.store.transaction() as tx:
        return await tx.add_persons(persons)


async def test_a_person_comes_back_as_it_was(bench: Bench) -> None:
    first = person(phone="", address="")
    assert await add(bench, first) == {first.subject_id}
    assert await bench.store.person(first.subject_id) == first
    assert await bench.store.person_by_number(number()) == first
    assert await bench.store.person(new_id()) is None
    assert await bench.store.person_by_number(number(OTHER_NUMBER)) is None


async def test_an_old_card_comes_back_without_a_birth_date(bench: Bench) -> None:
    new = replace(new_person("KAZ110000123108"), number_kind=NumberKind.PERMANENT_RESIDENT)
    foreigner, _ = register(new, subject_id=new_id(), now=NOW)
    await add(bench, foreigner)
    assert await bench.store.person(foreigner.subject_id) == foreigner


async def test_a_number_belongs_to_the_first(bench: Bench) -> None:
    first, second, other = person(), person(name="别人"), person(OTHER_NUMBER)
    await add(bench, first)
    assert await add(bench, second, other) == {other.subject_id}
    assert await bench.store.person_by_number(number()) == first
    assert await bench.store.person(second.subject_id) is None


async def test_the_same_digits_of_another_kind_are_another_number(bench: Bench) -> None:
    permit = replace(new_person("810000190001010026"), number_kind=NumberKind.RESIDENCE_PERMIT)
    first, _ = register(permit, subject_id=new_id(), now=NOW)
    second, _ = register(replace(permit, number_kind=NumberKind.CITIZEN), subject_id=new_id(), now=NOW)
    assert len(await add(bench, first, second)) == 2
    async with bench.store.transaction() as tx:
        found = await tx.persons_by_number([first.number, second.number])
    assert {key[0]: row.subject_id for key, row in found.items()} == {
        NumberKind.RESIDENCE_PERMIT: first.subject_id,
        NumberKind.CITIZEN: second.subject_id,
    }


async def test_many_are_found_at_once_and_nobody_by_nothing(bench: Bench) -> None:
    first, second = person(), person(OTHER_NUMBER)
    await add(bench, first, second)
    async with bench.store.transaction() as tx:
        assert set(await tx.persons([first.subject_id, second.subject_id, new_id()])) == {
            first.subject_id,
            second.subject_id,
        }
        assert await tx.persons([]) == {}
        assert await tx.persons_by_number([]) == {}
        assert await tx.add_persons([]) == frozenset()


async def test_two_who_register_the_same_numbers_at_once_end_with_one_person_each(bench: Bench) -> None:
    batches = [[person(), person(OTHER_NUMBER)], [person(OTHER_NUMBER), person()], [person()]]
    added = await asyncio.gather(*(add(bench, *batch) for batch in batches))
    assert sum(map(len, added)) == 2
    async with bench.store.transaction() as tx:
        found = await tx.persons_by_number([number(), number(OTHER_NUMBER)])
    assert {row.subject_id for row in found.values()} == frozenset().union(*added)


async def test_what_fails_leaves_nothing_behind(bench: Bench) -> None:
    first = person()

    async def failing() -> None:
        async with bench.store.transaction() as tx:
            assert await tx.first_sight("delivery-1")
            await tx.add_persons([first])
            await tx.record(PersonRegistered(first.subject_id, "110101"))
            await tx.account_for([Use("identity.Test", "test", "test", first.subject_id)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await bench.store.person(first.subject_id) is None
    assert (await bench.facts(), await bench.leaves()) == (0, 0)
    async with bench.store.transaction() as tx:
        assert await tx.first_sight("delivery-1")


async def test_facts_and_leaves_come_with_their_change(bench: Bench) -> None:
    async with bench.store.transaction() as tx:
        assert await tx.first_sight("delivery-1")
        await tx.record(AgencyChanged(HOSPITAL_CODE, 1))
        await tx.account_for([Use("identity.Test", "test", "test"), Use("identity.Test", "test", "test")])
    assert (await bench.facts(), await bench.leaves()) == (1, 2)
    async with bench.store.transaction() as tx:
        assert not await tx.first_sight("delivery-1")
        await tx.account_for([])


async def test_a_request_is_answered_as_the_first_time(bench: Bench) -> None:
    request = Request("agency:a", "identity.RegisterPersons", new_id(), "f" * 64)
    async with bench.store.transaction() as tx:
        assert await tx.earlier_answer(request) is None
        await tx.keep_answer(request, ["one", "two"])
    async with bench.store.transaction() as tx:
        assert await tx.earlier_answer(request) == ("one", "two")
        assert await tx.earlier_answer(replace(request, caller="agency:b")) is None
        assert await tx.earlier_answer(replace(request, operation="identity.RegisterOrganizations")) is None
        with pytest.raises(RequestIdReused):
            await tx.earlier_answer(replace(request, fingerprint="0" * 64))


async def test_the_same_request_at_the_same_time_has_one_effect(bench: Bench) -> None:
    request = Request("agency:a", "identity.RegisterPersons", new_id(), "f" * 64)

    async def once(answer: str) -> tuple[str, ...] | None:
        async with bench.store.transaction() as tx:
            earlier = await tx.earlier_answer(request)
            if earlier is None:
                await asyncio.sleep(0.01)
                await tx.keep_answer(request, [answer])
            return earlier

    answers = await asyncio.gather(*(once(str(place)) for place in range(5)))
    assert answers.count(None) == 1
    assert len(set(answers)) == 2


async def test_answers_are_forgotten_after_their_days(bench: Bench) -> None:
    request = Request("agency:a", "identity.RegisterPersons", new_id(), "f" * 64)
    async with bench.store.transaction() as tx:
        await tx.earlier_answer(request)
    bench.clock.now += timedelta(days=30, seconds=1)
    async with bench.store.transaction() as tx:
        assert await tx.forget_requests(days=31) == 0
        assert await tx.forget_requests(days=30) == 1
        assert await tx.earlier_answer(request) is None


async def test_organizations_are_kept_once(bench: Bench) -> None:
    first = Organization(new_id(), "91110000MA00000152", "甲", NOW)
    other = Organization(new_id(), "92440300MA0000023R", "乙", NOW)
    async with bench.store.transaction() as tx:
        await tx.add_organizations([first, replace(first, subject_id=new_id()), other])
        await tx.add_organizations([replace(first, subject_id=new_id(), name="丙")])
        assert await tx.organizations([first.uscc, other.uscc, HOSPITAL_CODE]) == {
            first.uscc: first,
            other.uscc: other,
        }
    assert await bench.store.organization(first.uscc) == first
    assert await bench.store.organization(HOSPITAL_CODE) is None


async def test_an_organization_is_struck_off_once(bench: Bench) -> None:
    firm = Organization(new_id(), "91110000MA00000152", "甲", NOW)
    ended = replace(firm, deregister_time=NOW + timedelta(days=1))
    async with bench.store.transaction() as tx:
        await tx.add_organizations([firm])
    for organization in (ended, replace(firm, deregister_time=NOW + timedelta(days=2))):
        async with bench.store.transaction() as tx:
            await tx.end_organization(organization)
    assert await bench.store.organization(firm.uscc) == ended


AGENCY = Agency(
    HOSPITAL_CODE, "第一医院", "First Hospital", ("gateway.tasks", "identity.verify"), active=True, version=1
)


async def test_an_agency_is_kept_version_by_version(bench: Bench) -> None:
    async with bench.store.transaction() as tx:
        assert await tx.agency(HOSPITAL_CODE) is None
        await tx.save_agency(AGENCY)
    barred = replace(AGENCY, active=False, rights=(), version=2)
    async with bench.store.transaction() as tx:
        assert await tx.agency(HOSPITAL_CODE) == AGENCY
        await tx.save_agency(barred)
    assert await bench.store.agency(HOSPITAL_CODE) == barred


async def test_a_version_that_somebody_else_overtook_is_refused(bench: Bench) -> None:
    async with bench.store.transaction() as tx:
        await tx.save_agency(AGENCY)
    with pytest.raises(VersionConflict):
        async with bench.store.transaction() as tx:
            await tx.save_agency(replace(AGENCY, name_en="Other"))
    assert await bench.store.agency(HOSPITAL_CODE) == AGENCY


async def test_agencies_come_by_code(bench: Bench) -> None:
    codes = ["11990100000001011X", "1299010000000102XJ", "12990100000001038J"]
    async with bench.store.transaction() as tx:
        for code in reversed(codes):
            await tx.save_agency(replace(AGENCY, uscc=code))
    assert [row.uscc for row in await bench.store.agencies(after="", limit=2)] == codes[:2]
    assert [row.uscc for row in await bench.store.agencies(after=codes[1], limit=2)] == codes[2:]


PERSONA = Persona("mother-1", Role.CITIZEN, "subject-1", "", (), "母亲", "Mother", '{"birth":{"child_name":"小明"}}')


async def test_what_can_be_no_key_names_nobody(bench: Bench) -> None:
    assert await bench.store.person("\0") is None
    assert await bench.store.agency("\0") is None
    assert await bench.store.persona("\0") is None


async def test_personas_are_replaced_by_key_and_listed_by_key(bench: Bench) -> None:
    clerk = Persona("clerk-1", Role.CLERK, "", HOSPITAL_CODE, ("gateway.tasks",), "窗口", "Clerk", "{}")
    changed = replace(PERSONA, title_en="Changed")
    async with bench.store.transaction() as tx:
        await tx.save_personas([PERSONA, clerk])
    async with bench.store.transaction() as tx:
        await tx.save_personas([PERSONA, changed])
    assert await bench.store.personas() == (clerk, changed)
    assert await bench.store.persona("mother-1") == changed
    assert await bench.store.persona("nobody") is None


@pytest.mark.parametrize("opened", ["sqlite", "postgresql"], indirect=True)
async def test_a_former_number_still_finds_its_person_under_the_present_one(bench: Bench) -> None:
    """The police corrected a number; there is no method for that yet, so the rows are written here."""
    assert isinstance(bench.store, IdentityStore)
    former = person()
    await add(bench, former)
    present = replace(former, number=number("110101190001010014"))
    rows = bench.store._rows
    async with bench.store.transaction() as tx:
        await tx.connection.execute(PERSON_NUMBER.update().values(until_time=NOW))
        await tx.connection.execute(PERSON_NUMBER.insert(), [rows.number_values(present)])
    assert await bench.store.person_by_number(number()) == present
    assert await bench.store.person_by_number(number("110101190001010014")) == present
    assert await bench.store.person(former.subject_id) == present
