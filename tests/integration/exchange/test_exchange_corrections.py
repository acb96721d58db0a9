# SPDX-License-Identifier: Apache-2.0
"""Disputed values on both databases: claims, answers, recalls, clocks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tongban.exchange.v1 import corrections_events_pb2 as facts

from services.exchange.domain.corrections import FORGOTTEN, CorrectionState, Proof, ProofKind, RecallMeasure
from services.exchange.domain.refusals import (
    CorrectionNotFound,
    CorrectionNotOpen,
    CorrectionOpenAlready,
    NotOwnRecord,
    RecallAcknowledged,
    RecallNotFound,
    ResourceNotFound,
    TooManyCorrections,
    ValueNotReceived,
)
from services.exchange.service.corrections import Disputes, Reply
from services.exchange.service.corrections.claims import OPEN_MAX
from services.kit.calendar import ExtensionNotAllowed
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RequestIdReused, RequestInvalid, RightMissing, VersionConflict
from services.kit.ids import new_id
from services.kit.ledger import merkle
from tests.support.exchange_disputes import (
    ABOUT_NUMBER,
    PROVIDER,
    RECEIVER,
    SCHOOL,
    START,
    TAX,
    Disputed,
    agency,
    claim,
    disputed,
)
from tests.support.exchange_world import CITIZEN, HOSPITAL, HOUSEHOLD, NUMBER, OPERATOR, POLICE, SUBJECT_ID

OTHER = Caller(CallerKind.CITIZEN, "7a0c5e05-2b1c-4b6f-9a35-5d2f7b1f9a02")
WARNING, EXPIRY, ESCALATION = (
    facts.CORRECTION_BELL_WARNING,
    facts.CORRECTION_BELL_EXPIRY,
    facts.CORRECTION_BELL_ESCALATION,
)
ANSWER, ACKNOWLEDGE = facts.CORRECTION_DUTY_ANSWER, facts.CORRECTION_DUTY_ACKNOWLEDGE


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[Disputed]:
    async with disputed(database, tmp_path) as world:
        yield world


async def state(world: Disputed, correction_id: str) -> CorrectionState:
    counted = await world.store.read_correction(correction_id)
    assert counted is not None
    return counted.correction.state


async def acknowledged(world: Disputed, correction_id: str, by: Caller) -> None:
    with acting_as(by):
        await world.recalls.acknowledge(new_id(), correction_id, RecallMeasure.CORRECTED, by)


# ---- claims ------------------------------------------------------------------------------------------------------------


async def test_a_resident_disputes_a_value_and_the_provider_sees_the_claim_and_by_when(world: Disputed) -> None:
    correction_id = await world.opened()
    with acting_as(PROVIDER):
        view = await world.claims.read(correction_id, PROVIDER)
    assert (view.subject_key, view.counted.correction.claim.claimed) == (NUMBER, "2 Autumn Road")
    assert view.due is not None
    assert str(view.due.astimezone(START.tzinfo)) == "2026-03-17 00:00:00+08:00"
    assert view.derivation[-1].en == "Due by the end of 2026-03-16 (Beijing time; calendar cn 1)."
    assert [each.state for each in await world.told(facts.CorrectionChanged)] == [1]
    leaves, _ = await world.store.ledger.leaves(0, 10)
    assert [b'"correction_opened"' in leaves[0].body, b'"correction_read"' in leaves[1].body] == [True, True]


async def test_a_department_disputes_a_value_about_somebody(world: Disputed) -> None:
    correction_id = await world.opened(RECEIVER, subject=ABOUT_NUMBER)
    assert world.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ("address",)
    with acting_as(RECEIVER):
        mine = await world.claims.list(RECEIVER, claiming=True, state=None, late=False, page_size=0, page_token="")
    assert [each.correction.correction_id for each in mine.rows] == [correction_id]


async def test_what_can_not_be_disputed_is_refused(world: Disputed) -> None:
    with pytest.raises(ResourceNotFound):
        await world.opened(resource="307009/000009")
    with pytest.raises(RequestInvalid):
        await world.opened(field_name="shoe_size")
    with pytest.raises(RequestInvalid):
        await world.opened(proofs=(Proof(ProofKind.DOCUMENT, "not-a-digest"),))
    with pytest.raises(NotOwnRecord):
        await world.opened(subject=ABOUT_NUMBER)
    with pytest.raises(RequestInvalid):
        await world.opened(RECEIVER)
    with pytest.raises(RightMissing):
        await world.opened(agency(SCHOOL, "exchange.read"), subject=ABOUT_NUMBER)


async def test_a_department_disputes_what_it_may_see_or_has_received_and_nothing_else(world: Disputed) -> None:
    with acting_as(RECEIVER):
        with pytest.raises(ValueNotReceived):
            await world.claims.open(claim(subject=ABOUT_NUMBER), RECEIVER)
        await world.gave(HOSPITAL, fields=("head_name",))
        with pytest.raises(ValueNotReceived):
            await world.claims.open(claim(subject=ABOUT_NUMBER), RECEIVER)
        await world.gave(HOSPITAL)
        await world.claims.open(claim(subject=ABOUT_NUMBER), RECEIVER)
    await world.granted(SCHOOL)
    school = agency(SCHOOL)
    with acting_as(school):
        await world.claims.open(claim(subject=ABOUT_NUMBER), school)
        with pytest.raises(ValueNotReceived):
            await world.claims.open(claim(subject=ABOUT_NUMBER, field_name="relation"), school)


async def test_the_same_value_is_disputed_once_at_a_time_and_again_after_the_answer(world: Disputed) -> None:
    first = await world.opened()
    with pytest.raises(CorrectionOpenAlready):
        await world.opened()
    await world.opened(RECEIVER, subject=ABOUT_NUMBER)
    await world.rejected(first)
    assert await world.opened() != first


async def test_a_repeated_request_has_one_effect_and_another_under_its_id_is_refused(world: Disputed) -> None:
    request_id = new_id()
    first = await world.opened(request_id=request_id)
    assert await world.opened(request_id=request_id) == first
    with pytest.raises(RequestIdReused):
        await world.opened(request_id=request_id, claimed="3 Winter Way")
    assert len(await world.told(facts.CorrectionChanged)) == 1
    confirm = new_id()
    await world.confirmed(first, request_id=confirm)
    assert (await world.confirmed(first, request_id=confirm)).counted.correction.state is CorrectionState.CONFIRMED
    with pytest.raises(CorrectionNotOpen):
        await world.rejected(first)


async def test_an_id_that_did_something_else_never_reads_as_done(world: Disputed) -> None:
    for to in (HOSPITAL, SCHOOL):
        await world.gave(to)
    first, second, request_id = await world.opened(), await world.opened(field_name="head_name"), new_id()
    with acting_as(PROVIDER):
        await world.claims.extend(Reply(request_id, first), PROVIDER)
    for correction_id in (first, second):
        with pytest.raises(RequestIdReused):
            await world.confirmed(correction_id, request_id=request_id)
    await world.confirmed(first)
    with acting_as(RECEIVER):
        await world.recalls.acknowledge(request_id, first, RecallMeasure.CORRECTED, RECEIVER)
        with pytest.raises(RequestIdReused):
            await world.recalls.acknowledge(request_id, first, RecallMeasure.DELETED, RECEIVER)


async def test_a_resident_can_not_flood_the_providers(world: Disputed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPEN_MAX, CallerKind.CITIZEN, 2)
    await world.opened()
    await world.opened(field_name="head_name")
    with pytest.raises(TooManyCorrections):
        await world.opened(field_name="relation")


async def test_nobody_else_sees_or_changes_a_correction(world: Disputed) -> None:
    correction_id = await world.opened()
    for other in (OTHER, RECEIVER):
        with acting_as(other), pytest.raises(CorrectionNotFound):
            await world.claims.read(correction_id, other)
        with acting_as(other), pytest.raises(CorrectionNotFound):
            await world.claims.withdraw(Reply(new_id(), correction_id), other)
    with acting_as(RECEIVER), pytest.raises(CorrectionNotFound):
        await world.claims.confirm(Reply(new_id(), correction_id), RECEIVER)
    view = await world.claims.read(correction_id, OPERATOR)
    assert (view.content, view.subject_key) == (False, "")
    with acting_as(OTHER):
        theirs = await world.claims.list(OTHER, claiming=False, state=None, late=False, page_size=0, page_token="")
    assert theirs.rows == ()


async def test_lists_are_paged_newest_first(world: Disputed) -> None:
    opened = []
    for name in ("address", "head_name", "relation"):
        opened.append(await world.opened(field_name=name))
        world.later(minutes=1)
    found, token = [], ""
    while True:
        page = await world.claims.list(
            PROVIDER, claiming=False, state=CorrectionState.OPEN, late=False, page_size=1, page_token=token
        )
        found += [each.correction.correction_id for each in page.rows]
        assert all(each.due is not None for each in page.rows)
        if not (token := page.next_token):
            break
    assert found == opened[::-1]


async def test_words_are_sealed_where_they_are_kept(world: Disputed) -> None:
    await world.rejected(await world.opened())
    await world.opened(RECEIVER, subject=ABOUT_NUMBER)
    async with world.store.reading() as connection:
        rows = (await connection.execute(text("SELECT * FROM correction"))).all()
        sent = (await connection.execute(text("SELECT value FROM outbox"))).all()
        bodies = (await connection.execute(text("SELECT body FROM ledger_leaf"))).all()
    kept = repr([tuple(row) for row in (*rows, *sent, *bodies)])
    for word in ("Autumn", "moved in March", NUMBER, SUBJECT_ID, "The register is right"):
        assert word not in kept


# ---- the marker on queries ---------------------------------------------------------------------------------------------


async def test_a_value_is_marked_while_it_is_disputed_and_for_that_subject_only(world: Disputed) -> None:
    assert world.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ()
    correction_id = await world.opened()
    assert world.disputes.among(HOUSEHOLD, SUBJECT_ID, ("head_name", "address")) == ("address",)
    assert world.disputes.among(HOUSEHOLD, OTHER.id, ("address",)) == ()
    second = await world.opened(RECEIVER, subject=ABOUT_NUMBER)
    await world.confirmed(correction_id)
    assert world.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ("address",)
    await world.rejected(second)
    assert world.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ()


async def test_another_process_learns_of_disputes_by_event_and_by_looking_again(world: Disputed) -> None:
    other = Disputed(world.store)
    correction_id = await world.opened()
    await other.disputes.hear(correction_id)
    assert other.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ("address",)
    late = Disputed(world.store)
    await late.disputes.refresh()
    assert late.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ("address",)
    await world.rejected(correction_id)
    await late.disputes.refresh()
    assert late.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ()
    await other.disputes.hear(correction_id)
    assert other.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ()


# ---- clocks ------------------------------------------------------------------------------------------------------------


async def test_a_provider_is_warned_marked_late_and_escalated_and_may_answer_all_the_same(world: Disputed) -> None:
    correction_id = await world.opened()
    world.later(days=10)
    await world.rung()
    assert await world.clocks() == [(POLICE, ANSWER, WARNING, 1)]
    world.later(days=10)
    await world.rung()
    assert await world.clocks() == [
        (POLICE, ANSWER, WARNING, 1),
        (POLICE, ANSWER, EXPIRY, 1),
        (POLICE, ANSWER, ESCALATION, 1),
    ]
    late = await world.claims.list(OPERATOR, claiming=False, state=None, late=True, page_size=0, page_token="")
    assert [each.correction.correction_id for each in late.rows] == [correction_id]
    await world.confirmed(correction_id)
    world.later(days=30)
    await world.rung()
    assert len([each for each in await world.clocks() if each[1] == ANSWER]) == 3


async def test_a_provider_may_take_more_time_once(world: Disputed) -> None:
    correction_id = await world.opened()
    with acting_as(PROVIDER):
        view = await world.claims.extend(Reply(new_id(), correction_id), PROVIDER)
        assert view.counted.correction.extended
        assert view.derivation[-1].en.startswith("Due by the end of 2026-03-30")
        with pytest.raises(ExtensionNotAllowed):
            await world.claims.extend(Reply(new_id(), correction_id), PROVIDER)


async def test_a_claim_that_is_withdrawn_stops_its_clock(world: Disputed) -> None:
    correction_id = await world.opened()
    with acting_as(CITIZEN):
        await world.claims.withdraw(Reply(new_id(), correction_id), CITIZEN)
    world.later(days=60)
    await world.rung()
    assert await world.clocks() == []
    assert world.disputes.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ()


# ---- recalls -----------------------------------------------------------------------------------------------------------


async def test_every_past_receiver_is_found_told_and_acknowledges(world: Disputed) -> None:
    await world.gave(HOSPITAL, case_id="case-1")
    await world.gave(HOSPITAL, case_id="case-2")
    await world.gave(SCHOOL, case_id="case-1", fields=("head_name", "address"))
    resident = {"caller": CITIZEN, "on_behalf_of": TAX}
    await world.gave(TAX, case_id="case-3", **resident)
    await world.confirmed(await world.opened())
    assert {(each.agency) for each in await world.told(facts.RecallIssued)} == {HOSPITAL, SCHOOL, TAX}
    flagged = await world.told(facts.CaseUsedCorrectedValue)
    assert sorted(each.case_id for each in flagged) == ["case-1", "case-2", "case-3"]
    inbox = await world.recalls.inbox(RECEIVER, acknowledged=False, page_size=0, page_token="")
    assert [(each.recall.uses, each.field_name) for each in inbox.rows] == [(2, "address")]


async def test_who_got_nothing_or_something_else_is_left_alone(world: Disputed) -> None:
    await world.gave(HOSPITAL, outcome="FIELD_NOT_GRANTED")
    await world.gave(HOSPITAL, fields=("head_name",))
    await world.gave(HOSPITAL, resource="307003/000001")
    await world.gave(HOSPITAL, subject_id=OTHER.id)
    await world.gave(POLICE)
    correction_id = await world.opened(RECEIVER, subject=ABOUT_NUMBER)
    view = await world.confirmed(correction_id)
    assert view.counted.receivers == 0
    assert await world.told(facts.RecallIssued) == []
    world.later(hours=2)
    await world.rung()
    assert await state(world, correction_id) is CorrectionState.CLOSED


async def test_archived_leaves_are_older_than_any_recall(world: Disputed) -> None:
    await world.gave(SCHOOL)
    async with world.store.transaction() as tx:
        await tx.connection.execute(world.store.tables.ledger_leaf.update().values(body=b""))
    await world.gave(HOSPITAL)
    await world.confirmed(await world.opened())
    assert [each.agency for each in await world.told(facts.RecallIssued)] == [HOSPITAL]


async def test_what_was_given_longer_ago_than_is_searched_is_not_called_back(world: Disputed) -> None:
    await world.gave(HOSPITAL)
    world.later(days=1096)
    await world.gave(SCHOOL)
    await world.confirmed(await world.opened())
    assert [each.agency for each in await world.told(facts.RecallIssued)] == [SCHOOL]


async def test_an_answer_that_was_on_its_way_is_found_by_the_last_search(world: Disputed) -> None:
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    world.later(seconds=20)
    await world.gave(HOSPITAL, case_id="late")
    world.later(minutes=10)
    await world.gave(SCHOOL)  # this one got the right value
    world.later(hours=1)
    await world.rung()
    assert [each.agency for each in await world.told(facts.RecallIssued)] == [HOSPITAL]
    assert await state(world, correction_id) is CorrectionState.CONFIRMED
    await acknowledged(world, correction_id, RECEIVER)
    assert await state(world, correction_id) is CorrectionState.CLOSED


async def test_receivers_that_do_not_acknowledge_escalate_to_the_coordinator(world: Disputed) -> None:
    receivers = [f"1199010000000{number:04d}X" for number in range(12)]
    for number, receiver in enumerate(receivers):
        await world.gave(receiver, case_id=f"case-{number}")
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    for receiver in receivers[:9]:
        await acknowledged(world, correction_id, agency(receiver))
    world.later(days=30)
    await world.rung()
    rang = await world.clocks()
    assert sorted(each[0] for each in rang if each[2] == EXPIRY) == receivers[9:]
    assert sorted(each[0] for each in rang if each[2] == ESCALATION) == receivers[9:]
    found, token = [], ""
    while True:
        page = await world.recalls.inbox(OPERATOR, acknowledged=False, page_size=2, page_token=token)
        found += [each.recall.agency for each in page.rows]
        if not (token := page.next_token):
            break
    assert found == receivers[9:]
    assert await state(world, correction_id) is CorrectionState.CONFIRMED
    for receiver in receivers[9:]:
        await acknowledged(world, correction_id, agency(receiver))
    assert await state(world, correction_id) is CorrectionState.CLOSED
    counted = await world.store.read_correction(correction_id)
    assert counted is not None
    assert (counted.receivers, counted.acknowledged) == (12, 12)


async def test_receivers_who_acknowledge_at_once_close_it_together(world: Disputed) -> None:
    receivers = [f"1199010000000{number:04d}X" for number in range(10)]
    for receiver in receivers:
        await world.gave(receiver)
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    world.later(hours=2)
    await world.rung()
    await asyncio.gather(*(acknowledged(world, correction_id, agency(receiver)) for receiver in receivers))
    assert await state(world, correction_id) is CorrectionState.CLOSED
    assert [each.state for each in await world.told(facts.CorrectionChanged)] == [1, 2, 5]


async def test_a_receiver_reads_whom_it_is_about_with_a_leaf_and_acknowledges_once(world: Disputed) -> None:
    await world.gave(HOSPITAL)
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    with acting_as(RECEIVER):
        view = await world.recalls.read(correction_id, RECEIVER)
        assert view.subject_key == NUMBER
        seen = await world.claims.read(correction_id, RECEIVER)
        assert (seen.content, seen.subject_key) == (False, "")
    leaves = await world.store.ledger.leaves_about(SUBJECT_ID, limit=1)
    assert b'"operation":"recall_read"' in leaves[0].body
    await acknowledged(world, correction_id, RECEIVER)
    with pytest.raises(RecallAcknowledged):
        await acknowledged(world, correction_id, RECEIVER)
    with pytest.raises(RecallNotFound):
        await acknowledged(world, correction_id, agency(SCHOOL))


async def test_sweeping_again_tells_nobody_twice(world: Disputed) -> None:
    await world.gave(HOSPITAL, case_id="case-1")
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    await world.recalls.sweep(correction_id)
    world.later(hours=2)
    await world.rung()
    await world.recalls.sweep(correction_id)
    assert len(await world.told(facts.RecallIssued)) == 1
    assert len(await world.told(facts.CaseUsedCorrectedValue)) == 1


def test_the_words_of_a_claim_are_in_no_representation() -> None:
    shown: Any = repr(claim())
    assert "Autumn" not in shown
    assert "moved" not in shown


async def test_answers_that_meet_their_own_bells_either_count_or_are_told_to_repeat(world: Disputed) -> None:
    claimants = [agency(f"1199010000000{number:04d}X") for number in range(20)]
    opened = [await world.opened(claimant, subject=ABOUT_NUMBER) for claimant in claimants]
    world.later(days=15)

    async def answered(correction_id: str) -> int:
        for conflicts in range(100):
            try:
                await world.rejected(correction_id)
            except VersionConflict:
                await asyncio.sleep(0.01)
            else:
                return conflicts
        raise AssertionError("It was told to repeat for ever.")

    await asyncio.gather(world.rung(), world.rung(), *(answered(each) for each in opened))
    assert {await state(world, each) for each in opened} == {CorrectionState.REJECTED}
    await world.rung()
    late = [each for each in await world.clocks() if each[2] == EXPIRY]
    assert len(late) <= len(opened)


# ---- persons who are forgotten ---------------------------------------------------------------------------------------


async def erased(world: Disputed) -> None:
    """The key of the resident whom everything here is about is erased."""
    with acting_as(OPERATOR):
        await world.store.ledger.erase(new_id(), SUBJECT_ID, "PIPL art. 47")


async def test_no_row_names_a_person_whose_key_was_erased_and_every_count_and_proof_stays(world: Disputed) -> None:
    await world.gave(HOSPITAL)
    name = world.store.pseudonym(SUBJECT_ID)
    settled, by_school = await world.opened(), await world.opened(agency(SCHOOL), subject=ABOUT_NUMBER)
    await world.confirmed(settled)
    other = await world.opened(OTHER)
    before = await world.store.ledger.head()
    await erased(world)
    for correction_id in (settled, by_school):
        counted = await world.store.read_correction(correction_id)
        assert counted is not None
        assert (counted.correction.subject, counted.correction.claim, counted.correction.explanation) == (
            "",
            FORGOTTEN,
            "",
        )
        assert {name, SUBJECT_ID, NUMBER}.isdisjoint(repr(counted).replace("'", " ").replace(":", " ").split())
        assert counted.receivers == (1 if correction_id == settled else 0)
    kept = await world.store.read_correction(other)
    assert kept is not None
    assert (kept.correction.state, kept.correction.claim.subject_id) == (CorrectionState.OPEN, OTHER.id)
    with acting_as(OPERATOR):
        page = await world.claims.list(OPERATOR, claiming=False, state=None, late=False, page_size=0, page_token="")
    assert sorted(each.correction.claimant for each in page.rows)[:2] == [f"agency:{SCHOOL}", "citizen:"]
    assert len(page.rows) == 3
    after = await world.store.ledger.head()
    path = await world.store.ledger.consistency(before.tree_size, after.tree_size)
    assert merkle.verify_consistency(before.tree_size, after.tree_size, before.root_hash, after.root_hash, path)


class NotYetTold:
    """What another process goes by, which for some seconds still knows the person's name."""

    def __init__(self, world: Disputed) -> None:
        self._name = world.store.pseudonym(SUBJECT_ID)
        self.disputes_since = world.store.disputes_since
        self.dispute = world.store.dispute

    def pseudonym(self, _: str) -> str:
        return self._name


async def test_an_open_dispute_ends_with_its_persons_key_and_nobody_is_told_of_it_any_more(world: Disputed) -> None:
    correction_id = await world.opened()
    elsewhere = Disputes(NotYetTold(world), clock=world.clock)
    await elsewhere.refresh()
    assert elsewhere.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ("address",)
    await erased(world)
    assert await state(world, correction_id) is CorrectionState.WITHDRAWN
    assert [each.state for each in await world.told(facts.CorrectionChanged)] == [1, 4]
    await elsewhere.hear(correction_id)
    assert elsewhere.among(HOUSEHOLD, SUBJECT_ID, ("address",)) == ()
    world.later(days=60)
    await world.rung()
    assert await world.clocks() == []
    with acting_as(PROVIDER):
        view = await world.claims.read(correction_id, PROVIDER)
    assert view.subject_key == ""
    with acting_as(CITIZEN), pytest.raises(CorrectionNotFound):
        await world.claims.read(correction_id, CITIZEN)


async def test_receivers_of_a_value_acknowledge_though_the_person_is_forgotten(world: Disputed) -> None:
    await world.gave(HOSPITAL)
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    await erased(world)
    leaves = (await world.store.ledger.head()).tree_size
    with acting_as(RECEIVER):
        assert (await world.recalls.read(correction_id, RECEIVER)).subject_key == ""
    assert (await world.store.ledger.head()).tree_size == leaves
    world.later(hours=2)
    await world.rung()
    await acknowledged(world, correction_id, RECEIVER)
    assert await state(world, correction_id) is CorrectionState.CLOSED
