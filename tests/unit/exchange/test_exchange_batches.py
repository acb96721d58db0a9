# SPDX-License-Identifier: Apache-2.0
"""Batches: in order, accounted for before they leave, resumed without asking twice, counted alike by both sides."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.exchange.domain.batches import EMPTY_DIGEST, BatchState, Row, chained
from services.exchange.domain.conditions import Condition
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.domain.terms import PLAIN, Method, Terms
from services.exchange.service import batches
from services.exchange.service.batches import OpenBatch, ReconcileBatch
from services.exchange.service.consents import WithdrawConsent
from services.exchange.service.corrections.ports import Dispute
from services.exchange.service.grants import RevokeGrant
from services.kit.caller import Caller, CallerKind
from services.kit.crypto import sm3
from services.kit.errors import Refusal
from services.kit.ids import new_id
from services.kit.ledger import merkle
from services.kit.ledger.access import blinded, content_digest
from tests.support.exchange_calls import CallsWorld, a_consent, calls_world, number, person
from tests.support.exchange_receiver import Receiver
from tests.support.exchange_world import (
    HOSPITAL_CALLER,
    HOUSEHOLD,
    OPERATOR,
    POLICE,
    asking,
)

PEOPLE = [person(at) for at in range(250)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallsWorld]:
    async with calls_world(tmp_path) as world:
        await world.granted()
        with asking():
            yield world


async def refused(work: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await work
    return refusal.value.reason


def test_the_digest_is_that_of_the_standard() -> None:
    """GB/T 32905-2016, annex A.1."""
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert chained(EMPTY_DIGEST, [Row("answered", b"{}")]) == sm3(EMPTY_DIGEST + b"answered {}\n")


async def test_rows_come_in_order_each_with_its_leaf(world: CallsWorld) -> None:
    world.provider.without = {number(3)}
    receiver = Receiver(world)
    await receiver.open()
    parts = [part async for part in receiver.stream.answer(PEOPLE, received=0)]
    assert [(part.position, len(part.rows)) for part in parts] == [(0, 100), (100, 100), (200, 50)]
    rows = [row for part in parts for row in part.rows]
    assert (rows[3].outcome, rows[3].values) == ("NOT_FOUND", b"")
    assert json.loads(rows[7].values) == {"household_number": "000007", "address": "007"}
    leaves = await world.leaves()
    assert [leaf["outcome"] for leaf in leaves] == [row.outcome for row in rows]
    assert len({leaf["subject"] for leaf in leaves}) == 250
    assert {leaf["operation"] for leaf in leaves} == {"query_batch"}
    hashes = [row.leaf_hash for row in rows]
    for index, leaf in enumerate(leaves):
        body = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert merkle.leaf_hash(body) == hashes[index]
    assert [part.leaf_index for part in parts] == [0, 100, 200]


async def test_a_leaf_is_durable_before_its_row_leaves(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    async for part in receiver.stream.answer(PEOPLE, received=0):
        assert len(await world.leaves()) >= part.end


async def test_both_sides_count_the_same(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    await receiver.ask(PEOPLE[:120])
    closed = await receiver.close()
    assert (closed.state, closed.counted) == (BatchState.CLOSED, receiver.report)
    command = ReconcileBatch(receiver.batch_id, receiver.report)
    for _ in range(2):
        assert (await world.batches.reconcile(command, HOSPITAL_CALLER)).state is BatchState.MATCHED
    assert (await world.told()).count("BatchReconciled") == 1
    other = replace(command, report=replace(receiver.report, rows=119))
    assert await refused(world.batches.reconcile(other, HOSPITAL_CALLER)) == "BATCH_REPORT_REUSED"


async def test_a_difference_stays_on_the_operators_list(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    await receiver.ask(PEOPLE[:5])
    await receiver.close()
    wrong = ReconcileBatch(receiver.batch_id, replace(receiver.report, digest=EMPTY_DIGEST))
    await world.batches.reconcile(wrong, HOSPITAL_CALLER)
    listed = await world.batches.list(
        state=BatchState.DIFFERING, resource="", page_size=10, page_token="", caller=OPERATOR
    )
    (batch,) = listed.rows
    assert (batch.receiver_id, batch.counted, batch.reported) == (receiver.batch_id, receiver.report, wrong.report)


async def test_a_batch_is_reconciled_only_by_its_receiver_and_once_closed(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    command = ReconcileBatch(receiver.batch_id, receiver.report)
    assert await refused(world.batches.reconcile(command, HOSPITAL_CALLER)) == "BATCH_NOT_CLOSED"
    other = Caller(HOSPITAL_CALLER.kind, POLICE, frozenset({"exchange.query"}), agency=POLICE)
    assert await refused(world.batches.reconcile(command, other)) == "BATCH_NOT_FOUND"


async def test_what_was_sent_and_never_held_comes_again_without_asking_anybody(world: CallsWorld) -> None:
    lost = Receiver(world)
    await lost.open()
    async for _ in lost.stream.answer(PEOPLE, received=0):
        pass  # Every part was sent, none arrived.
    receiver = Receiver(world, batch_id=lost.batch_id)
    opened = await receiver.open()
    assert opened.position == len(receiver.rows) == 250
    assert len(world.provider.asked) == len(await world.leaves()) == 250
    await receiver.close()
    async with world.store.reading() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM batch_part")).scalar() == 0


async def test_a_batch_is_named_by_its_receiver_and_by_nobody_else(world: CallsWorld) -> None:
    other = Caller(HOSPITAL_CALLER.kind, POLICE, frozenset({"exchange.query"}), agency=POLICE)
    await world.granted(grantee=POLICE)
    taken = Receiver(world)
    theirs = await world.batches.open(OpenBatch(taken.batch_id, HOUSEHOLD, "birth", "990100/x/1", (), 0), other)
    mine = await taken.open()
    assert (mine.agency, theirs.batch.agency) == (HOSPITAL_CALLER.agency, POLICE)
    assert mine.receiver_id == theirs.batch.receiver_id
    assert mine.batch_id != theirs.batch.batch_id


async def test_who_holds_a_row_proves_it_against_its_leaf_even_where_it_came_again(world: CallsWorld) -> None:
    """docs/ledger.md: digest = HMAC-SHA-256(blinding, lower-case hexadecimal SHA-256(values))."""
    world.provider.without = {number(3)}
    lost = Receiver(world)
    await lost.open()
    first = [row async for part in lost.stream.answer(PEOPLE[:120], received=0) for row in part.rows]
    again = Receiver(world, batch_id=lost.batch_id)
    await again.open()
    assert again.rows == first
    for row, leaf in zip(first, await world.leaves(), strict=True):
        if row.values:
            assert leaf["digest"] == blinded(content_digest(row.values), row.blinding)
        else:
            assert (leaf["digest"], row.blinding) == ("", b"")


async def test_rows_tell_what_is_in_dispute_by_the_time_they_are_sent(world: CallsWorld) -> None:
    lost = Receiver(world)
    await lost.open()
    await lost.ask(PEOPLE[:3])
    assert {row.disputed for row in lost.rows} == {()}
    subject = world.store.pseudonym(person(1).value)
    world.disputes.apply(Dispute(new_id(), HOUSEHOLD, subject, "address", disputed=True))
    again = Receiver(world, batch_id=lost.batch_id)
    await again.open()
    await again.ask(PEOPLE[:2])
    assert [row.disputed for row in again.rows] == [(), ("address",), (), (), ("address",)]


async def test_rows_of_a_grant_that_was_replaced_are_not_sent_again(world: CallsWorld) -> None:
    lost = Receiver(world)
    await lost.open()
    await lost.ask(PEOPLE[:150])
    (grant,) = await world.store.grants_of(HOSPITAL_CALLER.id, HOUSEHOLD)
    nobody = Condition("record.address == 'abroad'", "境外", "Abroad")
    await world.granted(terms=Terms(methods=(Method.BATCH,), predicate=nobody))
    await world.grants.revoke(RevokeGrant(new_id(), grant.grant_id, "Narrowed."), OPERATOR)
    again = Receiver(world, batch_id=lost.batch_id)
    assert await refused(again.open()) == "BATCH_ROWS_WITHDRAWN"
    assert again.rows == []
    assert (await world.leaves())[-1]["outcome"] == "NO_GRANT"
    opened = await again.open()
    assert (opened.position, opened.counted) == (0, again.report)
    await again.ask(PEOPLE[:150])
    assert {row.outcome for row in again.rows} == {"NOT_FOUND"}
    assert (await again.close()).counted == again.report


async def test_a_newer_grant_beside_it_takes_nothing_from_kept_rows(world: CallsWorld) -> None:
    lost = Receiver(world)
    await lost.open()
    await lost.ask(PEOPLE[:5])
    world.later(1)
    await world.granted()
    again = Receiver(world, batch_id=lost.batch_id)
    await again.open()
    assert len(again.rows) == len(world.provider.asked) == 5


async def test_a_newer_stream_takes_the_batch_over(world: CallsWorld) -> None:
    first = Receiver(world)
    await first.open()
    await first.ask(PEOPLE[:10])
    second = Receiver(world, batch_id=first.batch_id)
    await second.open()
    assert await refused(first.ask(PEOPLE[10:20])) == "BATCH_TAKEN_OVER"
    assert await refused(first.close()) == "BATCH_TAKEN_OVER"
    await second.ask(PEOPLE[10:20])
    outcomes = [leaf["outcome"] for leaf in await world.leaves()]
    assert outcomes.count("answered") == 20
    assert outcomes.count("CANCELLED") == 10  # Asked for the stream that lost it, and never sent.


async def test_a_provider_that_fails_ends_the_stream_after_the_rows_before(world: CallsWorld) -> None:
    async def failing(inquiry: Inquiry) -> Any:
        if inquiry.subject_key == number(42):
            raise ProviderUnavailable("Down.")
        return world.provider.record_of(inquiry)

    receiver = Receiver(world)
    await receiver.open()
    world.provider.answer = failing
    assert await refused(receiver.ask(PEOPLE)) == "PROVIDER_UNAVAILABLE"
    assert len(receiver.rows) == 42
    outcomes = [leaf["outcome"] for leaf in await world.leaves()]
    assert outcomes[:42] == ["answered"] * 42
    assert outcomes[42] == "PROVIDER_UNAVAILABLE"
    assert set(outcomes[43:]) <= {"CANCELLED"}
    world.provider.answer = None
    await receiver.open()
    await receiver.ask(PEOPLE[42:])
    assert len(receiver.rows) == 250


async def test_what_concerns_one_subject_is_that_rows_outcome(world: CallsWorld) -> None:
    async def odd(inquiry: Inquiry) -> Any:
        return {"address": ["nested"]} if inquiry.subject_key == number(1) else world.provider.record_of(inquiry)

    world.provider.answer = odd
    receiver = Receiver(world)
    await receiver.open()
    await receiver.ask(PEOPLE[:3])
    assert [row.outcome for row in receiver.rows] == ["answered", "PROVIDER_ANSWER_INVALID", "answered"]


async def test_every_row_counts_against_the_quota(world: CallsWorld) -> None:
    world.later(1)
    await world.granted(daily_quota=30)
    receiver = Receiver(world)
    await receiver.open()
    assert await refused(receiver.ask(PEOPLE[:40])) == "QUOTA_EXCEEDED"
    assert len(receiver.rows) == len(world.provider.asked) == 30
    world.later(8 * 3600)  # past midnight in China
    await receiver.open()
    await receiver.ask(PEOPLE[30:40])
    assert len(receiver.rows) == 40


async def test_a_grant_taken_back_ends_a_batch_that_runs(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    await receiver.ask(PEOPLE[:10])
    grants = await world.store.grants_of(HOSPITAL_CALLER.id, HOUSEHOLD)
    await world.grants.revoke(RevokeGrant(new_id(), grants[0].grant_id, "Misuse."), OPERATOR)
    assert await refused(receiver.ask(PEOPLE[10:])) == "NO_GRANT"
    assert len(world.provider.asked) == 10
    assert (await world.leaves())[-1]["outcome"] == "NO_GRANT"
    assert await refused(receiver.open()) == "NO_GRANT"


async def test_a_receiver_who_goes_away_leaves_nothing_asked_without_a_leaf(world: CallsWorld) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(inquiry: Inquiry) -> Any:
        begun.set()
        await go_on.wait()
        return world.provider.record_of(inquiry)

    world.provider.answer = slow
    receiver = Receiver(world)
    await receiver.open()
    asking_ = asyncio.create_task(receiver.ask(PEOPLE))
    await begun.wait()
    asking_.cancel()
    with suppress(asyncio.CancelledError):
        await asking_
    go_on.set()
    asked = len(world.provider.asked)
    assert asked < 250
    async with asyncio.timeout(5):
        while len(await world.leaves()) < asked:
            await asyncio.sleep(0)
    world.provider.answer = None
    await receiver.open()
    assert len(receiver.rows) == asked
    await receiver.ask(PEOPLE[asked:])
    assert world.provider.keys == [number(at) for at in range(250)]
    assert len(await world.leaves()) == 250


async def test_positions_and_questions_must_fit_the_batch(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    await receiver.ask(PEOPLE[:10])
    assert await refused(receiver.open(received=11)) == "BATCH_POSITION_WRONG"
    assert await refused(receiver.open(purpose="school")) == "REQUEST_ID_REUSED"
    assert await refused(receiver.open(fields=("address",))) == "REQUEST_ID_REUSED"
    await receiver.open()
    await receiver.ask(PEOPLE[10:11])
    assert await refused(receiver.stream.close(received=10)) == "BATCH_POSITION_WRONG"
    await receiver.close()
    assert await refused(receiver.open()) == "BATCH_NOT_OPEN"


async def test_a_batch_that_nobody_goes_on_with_is_forgotten(world: CallsWorld) -> None:
    receiver = Receiver(world)
    await receiver.open()
    await receiver.ask(PEOPLE[:10])
    world.later(24 * 3600 + 1)
    assert await refused(receiver.open()) == "BATCH_NOT_OPEN"
    assert await world.batches.drop_expired() == 1
    assert await world.batches.drop_expired() == 0


async def test_batches_that_nobody_goes_on_with_do_not_lock_the_receiver_out(
    world: CallsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "OPEN_MAX", 1)
    await Receiver(world).open()
    assert await refused(Receiver(world).open()) == "TOO_MANY_BATCHES"
    world.later(24 * 3600 + 1)
    await Receiver(world).open()


def test_parts_stay_below_a_message(tmp_path: Path) -> None:
    async def run() -> list[int]:
        async with calls_world(tmp_path) as world:
            await world.granted()
            world.provider.padding = "x" * 300_000
            receiver = Receiver(world)
            with asking():
                await receiver.open()
                return [part.size async for part in receiver.stream.answer(PEOPLE[:20], received=0)]

    sizes = asyncio.run(run())
    assert max(sizes) <= 1 << 20
    assert sum(sizes) > 20 * 300_000


async def test_a_batch_needs_a_grant_that_allows_batches(tmp_path: Path) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=PLAIN)
        with asking():
            assert await refused(Receiver(world).open()) == "METHOD_NOT_GRANTED"
            (leaf,) = await world.leaves()
    assert (leaf["operation"], leaf["outcome"], leaf["subject"]) == ("query_batch", "METHOD_NOT_GRANTED", "")


async def test_a_consent_withdrawn_while_a_batch_runs_ends_what_rests_on_it(tmp_path: Path) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=Terms(methods=(Method.BATCH,), consent=True), fields=("address",))
        consents = {}
        for at in range(6):
            with asking(Caller(CallerKind.CITIZEN, person(at).value)) as resident:
                if at != 2:
                    consents[at] = await world.consents.give(a_consent(world.now), resident)
        receiver = Receiver(world)
        with asking():
            await receiver.open()
            await receiver.ask(PEOPLE[:3])
        assert [row.outcome for row in receiver.rows] == ["answered", "answered", "CONSENT_MISSING"]
        with asking(Caller(CallerKind.CITIZEN, person(4).value)) as resident:
            await world.consents.withdraw(WithdrawConsent(new_id(), consents[4].consent_id), resident)
        with asking():
            await receiver.ask(PEOPLE[3:6])
    assert [row.outcome for row in receiver.rows[3:]] == ["answered", "CONSENT_MISSING", "answered"]
    assert world.provider.keys == [number(at) for at in (0, 1, 3, 5)]


async def test_a_grants_rate_makes_a_batch_slower_and_does_not_end_it(tmp_path: Path) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=Terms(methods=(Method.BATCH,), rate_per_second=5))
        receiver = Receiver(world)
        with asking():
            await receiver.open()
            asking_ = asyncio.create_task(receiver.ask(PEOPLE[:8]))
            async with asyncio.timeout(5):
                while not asking_.done():
                    world.later(0.1)
                    await asyncio.sleep(0.05)
            await asking_
    assert len(receiver.rows) == 8


async def test_who_only_needs_to_compare_is_told_to_verify_and_who_asks_for_many_to_query(tmp_path: Path) -> None:
    """Verification before query before batch (Order 809)."""
    async with calls_world(tmp_path) as world:
        await world.granted(terms=Terms(methods=(Method.VERIFY,)), purposes=("check",))
        await world.granted(terms=PLAIN, purposes=("look",))
        asked = {}
        for purpose, method in (("check", Method.QUERY), ("look", Method.BATCH)):
            with pytest.raises(Refusal) as refusal:
                await world.rulebook.permit_query(
                    HOSPITAL_CALLER.id, HOUSEHOLD, purpose=purpose, fields=("address",), method=method
                )
            asked[purpose] = (refusal.value.reason, refusal.value.remedy)
    assert asked["check"] == ("METHOD_NOT_GRANTED", "Use Verify, or ask the provider for more.")
    assert asked["look"] == ("METHOD_NOT_GRANTED", "Use Verify or Query, or ask the provider for more.")


async def test_rows_whose_consent_was_withdrawn_are_not_sent_again_and_the_batch_goes_on_before_them(
    tmp_path: Path,
) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=Terms(methods=(Method.BATCH,), consent=True), fields=("address",))
        residents = [Caller(CallerKind.CITIZEN, person(at).value) for at in range(250)]
        consents = []
        for resident in residents:
            with asking(resident):
                consents.append(await world.consents.give(a_consent(world.now), resident))
        lost = Receiver(world)
        with asking():
            await lost.open()
            await lost.ask(PEOPLE)
        with asking(residents[130]):
            await world.consents.withdraw(WithdrawConsent(new_id(), consents[130].consent_id), residents[130])
        receiver = Receiver(world, batch_id=lost.batch_id)
        with asking():
            assert await refused(receiver.open()) == "BATCH_ROWS_WITHDRAWN"
            assert len(receiver.rows) == 100  # The part before it was given.
            leaf = (await world.leaves())[-1]
            assert (leaf["outcome"], leaf["subject"]) == ("CONSENT_MISSING", world.store.pseudonym(person(130).value))
            opened = await receiver.open()
            assert (opened.position, opened.counted) == (100, receiver.report)
            await receiver.ask(PEOPLE[100:])
            closed = await receiver.close()
        assert closed.counted == receiver.report
        assert {at: row.outcome for at, row in enumerate(receiver.rows) if row.outcome != "answered"} == {
            130: "CONSENT_MISSING"
        }
        assert world.provider.keys.count(number(130)) == 1
