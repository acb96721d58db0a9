# SPDX-License-Identifier: Apache-2.0
"""Query and Verify: every outcome has its leaf, and nothing is answered without one."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.refusals import ProviderUnavailable, QuotaExceeded
from services.exchange.service.grants import RevokeGrant
from services.kit.caller import Caller
from services.kit.errors import NotFound, Refusal, RequestInvalid, RightMissing, Unavailable
from services.kit.ids import new_id
from tests.support.exchange_world import (
    CITIZEN,
    HEALTH,
    HOSPITAL,
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NUMBER,
    OPERATOR,
    OWN_PER_DAY,
    POLICE,
    RECORD,
    SUBJECT_ID,
    World,
    a_query,
    a_verification,
    asking,
    household,
)

BY_SUBJECT_ID = Subject(SubjectKind.SUBJECT_ID, SUBJECT_ID)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.granted()
    return world


async def refused(world: World, caller: Caller = HOSPITAL_CALLER, **changes: Any) -> str:
    with asking(caller), pytest.raises(Refusal) as refusal:
        await world.queries.query(a_query(**changes), caller)
    return refusal.value.reason


async def test_an_answer_has_the_granted_fields_and_a_leaf_that_says_so(world: World) -> None:
    with asking() as caller:
        answer = await world.queries.query(a_query(), caller)
    assert answer.values == {"address": RECORD["address"]}
    assert answer.provider == POLICE
    leaf = world.last_leaf
    assert (leaf.operation, leaf.subject_id, leaf.outcome) == ("query", SUBJECT_ID, "answered")
    assert (leaf.resource, leaf.fields, leaf.purpose) == (HOUSEHOLD, ("address",), "birth")
    assert (leaf.basis, leaf.case_id, leaf.on_behalf_of) == ("PIPL art. 13(1)(3)", "990100/x/1", "")
    assert leaf.digest
    assert answer.receipt.index == len(world.leaves) - 1


async def test_the_provider_learns_only_what_it_needs(world: World) -> None:
    with asking() as caller:
        await world.queries.query(a_query(), caller)
    (inquiry,) = world.provider.asked
    assert (inquiry.subject_key, inquiry.fields, inquiry.timeout_seconds) == (NUMBER, ("address",), 0.2)
    assert NUMBER not in repr(inquiry)


async def test_a_subject_id_is_turned_into_the_number_for_the_provider(world: World) -> None:
    with asking() as caller:
        await world.queries.query(a_query(subject=BY_SUBJECT_ID), caller)
    assert world.provider.asked[0].subject_key == NUMBER
    assert world.last_leaf.subject_id == SUBJECT_ID


async def test_whose_number_it_is_is_asked_once_in_ten_minutes(world: World) -> None:
    with asking() as caller:
        for _ in range(3):
            await world.queries.query(a_query(), caller)
        assert world.persons.asked == ["subject_id"]
        world.later(601)
        await world.rulebook.refresh()
        await world.queries.query(a_query(), caller)
    assert world.persons.asked == ["subject_id", "subject_id"]


async def test_a_number_that_nobody_has_is_accounted_for_under_its_mark(world: World) -> None:
    unknown = Subject(SubjectKind.NUMBER, "990100199003070999")
    with asking() as caller:
        await world.queries.query(a_query(subject=unknown), caller)
    assert world.last_leaf.subject_id.startswith("number:")
    assert "990100199003070999" not in world.last_leaf.subject_id


async def test_an_organization_is_asked_about_by_its_code(world: World) -> None:
    with asking() as caller:
        await world.queries.query(a_query(subject=Subject(SubjectKind.USCC, HEALTH)), caller)
    assert world.provider.asked[0].subject_key == HEALTH
    assert world.persons.asked == []


@pytest.mark.parametrize(
    ("changes", "reason", "fields"),
    [
        ({"resource": "307009/1"}, "NO_GRANT", ()),
        ({"purpose": "school"}, "PURPOSE_NOT_GRANTED", ("address",)),
        ({"fields": ("address", "relation", "salary")}, "FIELD_NOT_GRANTED", ("address", "relation")),
    ],
)
async def test_a_refusal_by_the_grant_has_its_leaf(
    world: World, changes: dict[str, Any], reason: str, fields: tuple[str, ...]
) -> None:
    assert await refused(world, **changes) == reason
    assert (world.last_leaf.outcome, world.last_leaf.subject_id) == (reason, SUBJECT_ID)
    assert world.last_leaf.fields == fields
    assert world.provider.asked == []


async def test_a_grant_that_ran_out_refuses_with_its_leaf(world: World) -> None:
    world.later(31 * 86_400)
    await world.rulebook.refresh()
    assert await refused(world) == "GRANT_EXPIRED"
    assert world.last_leaf.outcome == "GRANT_EXPIRED"


async def test_a_grant_taken_back_refuses_the_next_call(world: World) -> None:
    (grant_id,) = world.store.rows.grants
    await world.grants.revoke(RevokeGrant(new_id(), grant_id, "Misuse."), OPERATOR)
    assert await refused(world) == "NO_GRANT"


async def test_no_record_is_an_answer_of_its_own_with_its_leaf(world: World) -> None:
    world.provider.record = None
    with asking() as caller, pytest.raises(NotFound):
        await world.queries.query(a_query(), caller)
    assert world.last_leaf.outcome == "NOT_FOUND"


async def test_a_lying_provider_is_refused_with_a_leaf(world: World) -> None:
    world.provider.record = {**RECORD, "subject_key": "990100199003070999"}
    assert await refused(world) == "PROVIDER_ANSWER_INVALID"
    assert world.last_leaf.outcome == "PROVIDER_ANSWER_INVALID"


async def test_a_provider_that_hangs_is_waited_for_as_long_as_the_resource_says(world: World) -> None:
    await world.catalogue.put_resource(household(timeout_ms=50), OPERATOR)
    with world.hung():
        assert await refused(world) == "PROVIDER_UNAVAILABLE"
    assert world.last_leaf.outcome == "PROVIDER_UNAVAILABLE"


async def test_a_used_up_quota_refuses_with_a_leaf(world: World) -> None:
    await world.granted(daily_quota=2, fields=("relation",), verify_fields=())
    for _ in range(2):
        with asking() as caller:
            await world.queries.query(a_query(fields=("relation",)), caller)
    assert await refused(world, fields=("relation",)) == "QUOTA_EXCEEDED"
    assert world.last_leaf.outcome == "QUOTA_EXCEEDED"


async def test_residents_about_themselves_charge_their_own_day_and_no_grant(world: World) -> None:
    await world.granted(daily_quota=1, fields=("relation",), verify_fields=())
    own = a_query(fields=("relation",), subject=BY_SUBJECT_ID, on_behalf_of=HOSPITAL)
    for _ in range(OWN_PER_DAY):
        with asking(CITIZEN):
            await world.queries.query(own, CITIZEN)
    asked = len(world.provider.asked)
    with asking(CITIZEN), pytest.raises(QuotaExceeded) as spent:
        await world.queries.query(own, CITIZEN)
    assert spent.value.retry_after_seconds == 7 * 3600
    assert (world.last_leaf.outcome, len(world.provider.asked)) == ("QUOTA_EXCEEDED", asked)
    with asking() as caller:
        await world.queries.query(a_query(fields=("relation",)), caller)
    neighbor = Caller(CITIZEN.kind, new_id())
    world.persons.numbers[neighbor.id] = NUMBER
    theirs = replace(own, subject=Subject(SubjectKind.SUBJECT_ID, neighbor.id))
    with asking(neighbor):
        await world.queries.query(theirs, neighbor)
    world.later(7 * 3600)
    await world.rulebook.refresh()
    with asking(CITIZEN):
        await world.queries.query(own, CITIZEN)


async def test_residents_who_ask_at_once_stay_within_their_day(world: World) -> None:
    own = a_query(subject=BY_SUBJECT_ID, on_behalf_of=HOSPITAL)
    with asking(CITIZEN):
        outcomes = await asyncio.gather(
            *(world.queries.query(own, CITIZEN) for _ in range(OWN_PER_DAY + 4)), return_exceptions=True
        )
    assert [type(each) for each in outcomes].count(QuotaExceeded) == 4


async def test_without_identity_nothing_is_asked_about_a_number(world: World) -> None:
    world.persons.down = True
    with asking() as caller, pytest.raises(Unavailable):
        await world.queries.query(a_query(), caller)
    assert world.provider.asked == []
    assert world.leaves == []


async def test_without_a_leaf_there_is_no_answer(world: World) -> None:
    world.store.down = True
    with asking() as caller, pytest.raises(Unavailable):
        await world.queries.query(a_query(), caller)


async def test_rules_that_are_too_old_answer_nobody(world: World) -> None:
    world.later(30.5)
    with asking() as caller, pytest.raises(Unavailable):
        await world.queries.query(a_query(), caller)
    await world.rulebook.refresh()
    with asking() as caller:
        await world.queries.query(a_query(), caller)


async def test_an_agency_without_the_right_is_refused_before_anything_else(world: World) -> None:
    stranger = Caller(HOSPITAL_CALLER.kind, HOSPITAL, agency=HOSPITAL)
    with asking(stranger), pytest.raises(RightMissing):
        await world.queries.query(a_query(), stranger)
    with asking(stranger), pytest.raises(RightMissing):
        await world.queries.verify(a_verification(head_name="x"), stranger)
    assert world.leaves == []


async def test_an_agency_asks_for_nobody_else(world: World) -> None:
    assert await refused(world, on_behalf_of=HEALTH) == "REQUEST_INVALID"


@pytest.mark.parametrize(
    "changes", [{"purpose": "Mrs Li"}, {"resource": "a b"}, {"fields": ("Li Wei",)}, {"on_behalf_of": "x"}]
)
async def test_words_that_are_no_codes_do_not_reach_the_ledger(world: World, changes: dict[str, Any]) -> None:
    assert await refused(world, **changes) == "REQUEST_INVALID"
    assert world.leaves == []


async def test_a_resident_asks_about_themselves_under_the_agencys_grant(world: World) -> None:
    with asking(CITIZEN):
        answer = await world.queries.query(a_query(subject=BY_SUBJECT_ID, on_behalf_of=HOSPITAL), CITIZEN)
    assert answer.values == {"address": RECORD["address"]}
    caller, leaf = world.store.rows.leaves[-1]
    assert caller == CITIZEN
    assert leaf.on_behalf_of == HOSPITAL


@pytest.mark.parametrize(
    "subject", [Subject(SubjectKind.SUBJECT_ID, new_id()), Subject(SubjectKind.NUMBER, NUMBER)], ids=["other", "number"]
)
async def test_a_resident_asks_about_nobody_else(world: World, subject: Subject) -> None:
    assert await refused(world, CITIZEN, subject=subject, on_behalf_of=HOSPITAL) == "NOT_OWN_RECORD"
    assert world.last_leaf.outcome == "NOT_OWN_RECORD"
    assert world.provider.asked == []


async def test_a_resident_says_on_whose_behalf(world: World) -> None:
    assert await refused(world, CITIZEN, subject=BY_SUBJECT_ID) == "REQUEST_INVALID"


async def test_a_resident_gets_no_more_than_the_agency_would(world: World) -> None:
    reason = await refused(world, CITIZEN, subject=BY_SUBJECT_ID, on_behalf_of=HOSPITAL, fields=("relation",))
    assert reason == "FIELD_NOT_GRANTED"


async def test_verify_tells_yes_or_no_and_never_a_value(world: World) -> None:
    with asking() as caller:
        yes = await world.queries.verify(a_verification(head_name=" li wei"), caller)
        no = await world.queries.verify(a_verification(head_name="Li Na"), caller)
    assert (yes.matched, yes.fields) == (True, {"head_name": True})
    assert (no.matched, no.fields) == (False, {"head_name": False})
    assert [leaf.operation for leaf in world.leaves] == ["verify", "verify"]
    assert world.last_leaf.fields == ("head_name",)


async def test_verify_does_not_tell_whether_there_is_a_record(world: World) -> None:
    with asking() as caller:
        differs = await world.queries.verify(a_verification(head_name="Li Na"), caller)
        different = world.last_leaf
        world.provider.record = None
        missing = await world.queries.verify(a_verification(head_name="Li Na"), caller)
    assert missing.fields == differs.fields
    assert world.last_leaf == different


async def test_verify_compares_only_what_the_grant_lets_it(world: World) -> None:
    with asking() as caller, pytest.raises(Refusal) as refusal:
        await world.queries.verify(a_verification(address="x"), caller)
    assert refusal.value.reason == "FIELD_NOT_GRANTED"
    assert world.last_leaf.fields == ("address",)


async def test_a_provider_that_fails_is_left_alone_and_tried_again(world: World) -> None:
    async def fail(_: object) -> None:
        raise ProviderUnavailable("Down.")

    world.provider.answer = fail
    for _ in range(5):
        await refused(world)
    asked = len(world.provider.asked)
    assert await refused(world) == "PROVIDER_UNAVAILABLE"
    assert len(world.provider.asked) == asked
    world.provider.answer = None
    world.later(10)
    with asking() as caller:
        await world.queries.query(a_query(), caller)
    assert len(world.leaves) == 7


async def test_a_request_that_breaks_its_contract_uses_nobodys_data(world: World) -> None:
    with asking() as caller, pytest.raises(RequestInvalid):
        await world.queries.query(a_query(purpose=""), caller)
    assert world.leaves == []


@pytest.mark.parametrize("code", ["110101190001010014", "11010519491231002X", "1101", "11990100000001011x"])
def test_a_persons_number_is_no_organizations_code_and_hides_no_question_from_the_person(code: str) -> None:
    with pytest.raises(RequestInvalid):
        Subject(SubjectKind.USCC, code)


@pytest.mark.parametrize("code", ["11990100000001011X", "1299010000000102XJ", "91110000600037341L"])
def test_an_organizations_code_is_taken_as_one(code: str) -> None:
    assert Subject(SubjectKind.USCC, code).value == code
