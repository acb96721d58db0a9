# SPDX-License-Identifier: Apache-2.0
"""What a person sees of the ledger, what is hidden from them and for how long, and what is left when their key is erased."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tongban.ledger.v1 import ledger_events_pb2

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind, acting_as
from services.kit.errors import NotFound, RequestIdReused, RequestInvalid, RightMissing
from services.kit.ids import new_id
from services.kit.ledger import ProvenLeaf, merkle
from services.kit.ledger.access import Access, blinded, content_digest
from services.kit.ledger.orders import Order, OrderNotFound, OrderNotOpen, SameOfficer, Wanted
from services.kit.ledger.own import Narrow
from tests.support.probe import Probe, opened

HEALTH = "11990100000001011X"
POLICE = "11990100000001046G"
ME = "subject-of-mine"
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
FIRST = Caller(CallerKind.CLERK, "officer-1", frozenset({"ledger.hide", "ledger.countersign"}), agency=POLICE)
SECOND = Caller(CallerKind.CLERK, "officer-2", frozenset({"ledger.hide", "ledger.countersign"}), agency=POLICE)
OPERATOR = Caller(CallerKind.OPERATOR, "operator-1", frozenset({EVERY_RIGHT}))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


@dataclass
class Place:
    database: str
    folder: Path
    clock: Clock

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Probe]:
        async with opened(self.database, self.folder / "keys", self.clock) as store:
            yield store


@pytest.fixture
def place(database: str, tmp_path: Path) -> Iterator[Place]:
    with acting_as(agency(HEALTH)):
        yield Place(database, tmp_path, Clock())


def agency(uscc: str) -> Caller:
    return Caller(CallerKind.AGENCY, uscc, actor=f"spiffe://tongban/agency/{uscc}")


def use(subject: str = ME, *, case_id: str = "", resource: str = "307002/000001", outcome: str = "answered") -> Access:
    return Access("query", subject, "birth", "art. 19", ("status",), resource, "", case_id, outcome)


async def used(store: Probe, by: str, **more: str) -> None:
    with acting_as(agency(by)):
        await store.ledger.append(use(**more))


async def ordered(store: Probe, *, case_id: str = "", days: int = 30, end_told: bool = True) -> Order:
    end = store.clock() + timedelta(days=days)
    with acting_as(FIRST):
        wanted = Wanted(new_id(), POLICE, case_id, "Criminal Procedure Law art. 152", end, end_told)
        return await store.ledger.orders.create(wanted, store.ledger.name(ME))


async def hidden(store: Probe, **more: object) -> Order:
    order = await ordered(store, **more)  # type: ignore[arg-type]
    with acting_as(SECOND):
        return await store.ledger.orders.countersign(new_id(), order.order_id)


async def mine(store: Probe, narrow: Narrow | None = None, page_size: int = 0) -> list[ProvenLeaf]:
    found: list[ProvenLeaf] = []
    token = ""
    while True:
        page = await store.ledger.own.page(ME, narrow, page_size, token)
        found += page.rows
        token = page.next_token
        if not token:
            return found


def holds(proven: ProvenLeaf) -> bool:
    leaf = proven.leaf
    if leaf.body and merkle.leaf_hash(leaf.body) != leaf.leaf_hash:
        return False
    return merkle.verify_inclusion(
        leaf.leaf_hash, leaf.index, proven.head.tree_size, proven.path, proven.head.root_hash
    )


async def about_me(store: Probe) -> list[int]:
    """The indexes of all leaves about me, as an auditor counts them."""
    leaves, _ = await store.ledger.leaves(0, 1000)
    return [leaf.index for leaf in leaves if json.loads(leaf.body)["subject"] == store.ledger.name(ME)]


async def test_a_list_is_filtered_and_says_how_many_there_are(place: Place) -> None:
    async with place.opened() as store:
        for number in range(12):
            place.clock.now = NOW + timedelta(hours=number)
            await used(
                store,
                POLICE if number % 3 == 0 else HEALTH,
                resource=f"r{number % 2}",
                outcome="answered" if number % 4 else "NO_GRANT",
            )
        every = [row.leaf.index for row in await mine(store)]
        assert every == list(range(11, -1, -1))
        filters = {
            Narrow(agency=POLICE): [9, 6, 3, 0],
            Narrow(resource="r1"): [11, 9, 7, 5, 3, 1],
            Narrow(outcome="NO_GRANT"): [8, 4, 0],
            Narrow(purpose="tax"): [],
            Narrow(from_time=NOW + timedelta(hours=9), to_time=NOW + timedelta(hours=11)): [10, 9],
            Narrow(agency=POLICE, resource="r1"): [9, 3],
        }
        for narrow, expected in filters.items():
            for size in (1, 2, 50):
                assert [row.leaf.index for row in await mine(store, narrow, size)] == expected
        page = await store.ledger.own.page(ME, Narrow(outcome="NO_GRANT"))
        assert (page.total, page.hidden) == (12, 0)


async def test_an_order_hides_nothing_until_another_officer_countersigns(place: Place) -> None:
    async with place.opened() as store:
        await used(store, POLICE)
        order = await ordered(store)
        assert all(row.leaf.body for row in await mine(store))
        with acting_as(FIRST), pytest.raises(SameOfficer):
            await store.ledger.orders.countersign(new_id(), order.order_id)
        with acting_as(Caller(CallerKind.OPERATOR, FIRST.id, frozenset({EVERY_RIGHT}))), pytest.raises(SameOfficer):
            await store.ledger.orders.countersign(new_id(), order.order_id)
        request = new_id()
        with acting_as(SECOND):
            signed = await store.ledger.orders.countersign(request, order.order_id)
            assert await store.ledger.orders.countersign(request, order.order_id) == signed
            with pytest.raises(OrderNotOpen):
                await store.ledger.orders.countersign(new_id(), order.order_id)
            with pytest.raises(OrderNotFound):
                await store.ledger.orders.countersign(new_id(), new_id())
        assert (signed.ordered_by, signed.countersigned_by) == ("clerk:officer-1", "clerk:officer-2")
        assert not any(row.leaf.body for row in await mine(store))


async def test_what_is_hidden_is_counted_and_proven_and_shown_when_the_order_ends(place: Place) -> None:
    async with place.opened() as store:
        for by in (HEALTH, POLICE, HEALTH, POLICE):
            await used(store, by)
        order = await hidden(store)
        page = await store.ledger.own.page(ME)
        assert all(holds(row) for row in page.rows)
        assert (page.total, page.hidden) == (5, 3)  # two uses, and the leaf of the countersignature
        without = [row for row in page.rows if row.withheld]
        assert [row.leaf.index for row in without] == [5, 3, 1]
        assert {(row.withheld.order_id, row.withheld.end_time) for row in without if row.withheld} == {
            (order.order_id, order.end_time)
        }
        assert not any(row.leaf.body for row in without)
        assert (await store.ledger.own.one(ME, 3)).leaf.body == b""
        narrowed = await mine(store, Narrow(agency=HEALTH, resource="nothing of it"))
        assert [row.leaf.index for row in narrowed] == [5, 3, 1]  # a filter tells nothing about what is hidden
        place.clock.now = order.end_time
        page = await store.ledger.own.page(ME)
        assert (page.total, page.hidden) == (5, 0)
        assert all(row.leaf.body and holds(row) for row in page.rows)
        words = json.loads(page.rows[0].leaf.body)
        assert (words["operation"], words["resource"], words["caller"]) == (
            "ledger.countersign",
            order.order_id,
            "clerk:officer-2",
        )


async def test_an_end_that_may_not_be_told_is_not_told(place: Place) -> None:
    async with place.opened() as store:
        await used(store, POLICE)
        await hidden(store, end_told=False)
        [withheld] = {row.withheld for row in await mine(store)}
        assert withheld is not None
        assert withheld.end_time is None


async def test_an_order_of_one_case_hides_that_case_alone(place: Place) -> None:
    async with place.opened() as store:
        await used(store, POLICE, case_id="c1")
        await used(store, POLICE, case_id="c2")
        await hidden(store, case_id="c1")
        assert [row.leaf.index for row in await mine(store) if row.withheld] == [3, 0]


async def test_a_lifted_order_hides_nothing(place: Place) -> None:
    async with place.opened() as store:
        await used(store, POLICE)
        order = await hidden(store)
        with acting_as(FIRST):
            request = new_id()
            lifted = await store.ledger.orders.lift(request, order.order_id, "The case is closed.")
            assert await store.ledger.orders.lift(request, order.order_id, "The case is closed.") == lifted
            with pytest.raises(OrderNotOpen):
                await store.ledger.orders.lift(new_id(), order.order_id, "Again.")
        rows = await mine(store)
        assert all(row.leaf.body for row in rows)
        assert json.loads(rows[0].leaf.body)["operation"] == "ledger.lift"


async def test_a_request_id_of_something_else_shows_and_changes_no_order(place: Place) -> None:
    async with place.opened() as store:
        mine, stranger = new_id(), Caller(CallerKind.CLERK, "c", frozenset({"ledger.hide"}), agency=HEALTH)
        end = store.clock() + timedelta(days=3)
        with acting_as(stranger):
            await store.ledger.orders.create(Wanted(mine, HEALTH, "", "law", end, end_told=True), "s" * 64)
            with pytest.raises(RequestIdReused):
                await store.ledger.orders.create(Wanted(mine, HEALTH, "c2", "law", end, end_told=True), "s" * 64)
        order = await hidden(store)
        with acting_as(stranger), pytest.raises(RightMissing):
            await store.ledger.orders.lift(mine, order.order_id, "Let me see it.")
        with acting_as(FIRST):
            first = Wanted(mine, POLICE, "", "law", end, end_told=True)
            own = await store.ledger.orders.create(first, "t" * 64)
            assert own.agency == POLICE, "another's request under the same id is another request"
            assert await store.ledger.orders.create(first, "t" * 64) == own
            with pytest.raises(RequestIdReused):
                await store.ledger.orders.lift(mine, order.order_id, "The case is closed.")
        with acting_as(OPERATOR):
            reused = new_id()
            await store.ledger.orders.countersign(reused, own.order_id)
            with pytest.raises(RequestIdReused):
                await store.ledger.erase(reused, ME, "law")


async def test_orders_have_bounds(place: Place) -> None:
    async with place.opened() as store:
        for days in (0, 367):
            with pytest.raises(RequestInvalid):
                await ordered(store, days=days)
        with acting_as(Caller(CallerKind.CLERK, "c", frozenset({"ledger.hide"}), agency=HEALTH)):
            wanted = Wanted(new_id(), POLICE, "", "law", store.clock() + timedelta(days=1), end_told=True)
            with pytest.raises(RightMissing):
                await store.ledger.orders.create(wanted, store.ledger.name(ME))
        order = await ordered(store)
        place.clock.now += timedelta(days=8)
        with acting_as(SECOND), pytest.raises(OrderNotOpen):
            await store.ledger.orders.countersign(new_id(), order.order_id)
        with acting_as(Caller(CallerKind.CLERK, "c", frozenset(), agency=POLICE)), pytest.raises(RightMissing):
            await store.ledger.orders.newest()
        orders = [await ordered(store) for _ in range(3)]
        with acting_as(OPERATOR):
            first = await store.ledger.orders.newest(2)
            second = await store.ledger.orders.newest(2, first.next_token)
        assert [each.order_id for each in (*first.rows, *second.rows)] == [
            each.order_id for each in (*reversed(orders), order)
        ]
        with acting_as(Caller(CallerKind.CLERK, "c", frozenset({"ledger.hide"}), agency=HEALTH)):
            assert not (await store.ledger.orders.newest()).rows


async def test_every_step_of_an_order_is_told_without_the_person(place: Place) -> None:
    async with place.opened() as store:
        await used(store, POLICE)
        order = await hidden(store)
        table = store.tables.outbox
        async with store.reading() as connection:
            rows = (await connection.execute(select(table.c.type, table.c.value).order_by(table.c.id))).all()
        told = [
            ledger_events_pb2.HidingOrderChanged.FromString(row.value)
            for row in rows
            if row.type.endswith(".HidingOrderChanged")
        ]
        assert [(fact.order_id, fact.in_force) for fact in told] == [(order.order_id, False), (order.order_id, True)]
        assert not any(store.ledger.name(ME).encode() in row.value for row in rows)


DEEDS = st.lists(st.sampled_from(["health", "police", "other", "hide", "case", "lift", "later"]), max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS, page_size=st.integers(1, 7))
def test_entries_and_hidden_ones_are_always_all_leaves_about_a_person(
    tmp_path: Path, deeds: list[str], page_size: int
) -> None:
    async def walk() -> None:
        clock = Clock()
        database = f"sqlite:///{tmp_path}/{new_id()}.sqlite"
        async with opened(database, tmp_path / "keys", clock) as store:
            orders: list[Order] = []
            for deed in deeds:
                match deed:
                    case "health" | "police":
                        await used(store, HEALTH if deed == "health" else POLICE, case_id="c1")
                    case "other":
                        await used(store, POLICE, subject="somebody else")
                    case "hide":
                        orders.append(await hidden(store, days=3))
                    case "case":
                        orders.append(await hidden(store, days=5, case_id="c1"))
                    case "lift" if orders:
                        with acting_as(FIRST):
                            order = orders.pop()
                            if order.end_time > clock.now:
                                await store.ledger.orders.lift(new_id(), order.order_id, "done")
                    case _:
                        clock.now += timedelta(days=2)
                rows = await mine(store, page_size=page_size)
                page = await store.ledger.own.page(ME)
                expected = await about_me(store)
                assert sorted(row.leaf.index for row in rows) == expected
                assert page.total == len(expected)
                assert page.hidden == sum(row.withheld is not None for row in rows)
                assert all(bool(row.leaf.body) == (row.withheld is None) and holds(row) for row in rows)

    with acting_as(agency(HEALTH)):
        asyncio.run(walk())


async def test_who_holds_an_answer_can_prove_it_and_nobody_else_can(place: Place) -> None:
    async with place.opened() as store:
        async with store.ledger.account(use()) as account:
            receipt = await account.answered(digest=content_digest(b'{"status":"married"}'))
        [row] = await mine(store)
        told = json.loads(row.leaf.body)["digest"]
        assert told == blinded(content_digest(b'{"status":"married"}'), receipt.blinding)
        assert told != blinded(content_digest(b'{"status":"single"}'), receipt.blinding)
        assert await store.ledger.own.blinding(ME, row.leaf.index) == receipt.blinding
        with pytest.raises(NotFound):
            await store.ledger.own.blinding("somebody else", row.leaf.index)
        with pytest.raises(NotFound):
            await store.ledger.own.one("somebody else", row.leaf.index)
        await used(store, HEALTH)
        with pytest.raises(NotFound):
            await store.ledger.own.blinding(ME, 1)  # it has no digest


async def test_erasing_a_key_leaves_every_proof_whole_and_no_way_back_to_the_person(place: Place) -> None:
    async with place.opened() as store, place.opened() as other:
        for subject in (ME, "somebody else", ME):
            async with store.ledger.account(use(subject)) as account:
                await account.answered(digest=content_digest(b"content"))
        name, theirs = store.ledger.name(ME), store.ledger.name("somebody else")
        before = await store.ledger.head()
        request = new_id()
        with acting_as(OPERATOR):
            receipt = await store.ledger.erase(request, ME, "PIPL art. 47")
            again = await store.ledger.erase(request, ME, "PIPL art. 47")
        assert (receipt.index, receipt.leaf_hash) == (again.index, again.leaf_hash)
        await other.ledger._keys.refresh()
        for each in (store, other):
            assert (await each.ledger.own.page(ME)).total == 0
            assert name != each.ledger.name(ME) != each.ledger.name(ME)
            assert each.ledger.name("somebody else") == theirs
            assert (await each.ledger.own.page("somebody else")).total == 1
            with pytest.raises(NotFound):
                await each.ledger.own.blinding(ME, 0)
        leaves, size = await store.ledger.leaves()
        head = await store.ledger.head()
        assert size == 4
        for leaf in leaves:
            assert holds(await store.ledger.inclusion(leaf.index))
        path = await store.ledger.consistency(before.tree_size, head.tree_size)
        assert merkle.verify_consistency(before.tree_size, 4, before.root_hash, head.root_hash, path)
        assert [json.loads(leaf.body)["subject"] for leaf in leaves] == [name, theirs, name, name]
    async with place.opened() as store:  # and after a start
        assert (await store.ledger.own.page(ME)).total == 0
        assert (await store.ledger.own.page("somebody else")).total == 1


async def test_only_who_has_the_right_erases(place: Place) -> None:
    async with place.opened() as store:
        with pytest.raises(RightMissing):
            await store.ledger.erase(new_id(), ME, "PIPL art. 47")


async def test_leaves_from_before_keys_could_be_erased_are_still_found(place: Place) -> None:
    async with place.opened() as store:
        async with store.transaction() as tx:
            await tx.leaf(use(""), subject=store.keyring.pseudonym(ME))
        assert (await store.ledger.own.page(ME)).total == 1
