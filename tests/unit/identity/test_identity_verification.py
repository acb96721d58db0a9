# SPDX-License-Identifier: Apache-2.0
"""Yes or no per field, never a value, and never more than the caller may know."""

from collections.abc import Mapping

import pytest

from services.identity.domain.comparison import Claims, Comparison, MatchResult
from services.identity.domain.numbers import NumberKind
from services.identity.domain.person import Person
from services.identity.domain.step import StepAnswered, StepOutcome, VerifyStep
from services.identity.service.persons import RegisterPersons
from services.identity.service.verification import VerifyPerson
from services.kit.caller import Caller, acting_as
from services.kit.errors import Refusal, Unavailable
from services.kit.ids import new_id
from tests.support.identity_world import (
    GATEWAY,
    HOSPITAL,
    NAME,
    NUMBER,
    OTHER_NUMBER,
    PHONE,
    POLICE,
    World,
    citizen,
    new_person,
)

MATCH, NO_MATCH, NOT_FOUND = MatchResult.MATCH, MatchResult.NO_MATCH, MatchResult.NOT_FOUND
BORN = "1900-01-01"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def person(world: World) -> Person:
    with acting_as(POLICE):
        return (await world.persons.register(RegisterPersons(new_id(), (new_person(),), ""), POLICE))[0]


async def verify(world: World, caller: Caller, claims: Claims) -> Comparison:
    with acting_as(caller):
        return (await world.verification.verify(VerifyPerson(claims, "birth", "PIPL-13-1-3", "case-1"), caller))[0]


def by_number(number: str = NUMBER, **claims: str) -> Claims:
    return Claims(number_kind=NumberKind.CITIZEN, number=number, **claims)


async def test_everything_right_matches_and_names_the_subject(world: World, person: Person) -> None:
    claims = by_number(name="阿依古丽•买买提", birth_date=BORN, phone="138 0000 0000")
    comparison = await verify(world, HOSPITAL, claims)
    assert comparison.result is MATCH
    assert comparison.subject_id == person.subject_id
    assert comparison.fields == dict.fromkeys(("number", "name", "birth_date", "phone"), MATCH)


async def test_a_wrong_field_is_told_beside_right_ones_but_not_the_subject(world: World, person: Person) -> None:
    assert person
    comparison = await verify(world, HOSPITAL, by_number(name=NAME, birth_date="1900-01-02"))
    assert comparison.result is NO_MATCH
    assert comparison.fields == {"number": MATCH, "name": MATCH, "birth_date": NO_MATCH}
    assert comparison.subject_id == ""


async def test_only_callers_who_may_know_learn_that_there_is_nobody(world: World) -> None:
    assert (await verify(world, POLICE, by_number(name=NAME))).result is NOT_FOUND
    assert (await verify(world, GATEWAY, by_number(name=NAME))).result is NOT_FOUND
    unknown = await verify(world, HOSPITAL, by_number(name=NAME))
    assert unknown.result is NO_MATCH


@pytest.mark.parametrize(
    "claims", [{"name": "别人"}, {"phone": "+8613900000000"}, {"name": "别人", "birth_date": BORN}]
)
async def test_for_others_a_wrong_answer_and_nobody_look_the_same(
    world: World, person: Person, claims: Mapping[str, str]
) -> None:
    assert person
    known = await verify(world, HOSPITAL, by_number(**claims))
    unknown = await verify(world, HOSPITAL, by_number(OTHER_NUMBER, **claims))
    assert known == unknown
    assert set(known.fields.values()) == {NO_MATCH}


@pytest.mark.parametrize("claims", [{}, {"birth_date": BORN}])
async def test_what_the_number_itself_gives_away_is_not_compared_for_others(
    world: World, person: Person, claims: Mapping[str, str]
) -> None:
    assert person
    for number in (NUMBER, OTHER_NUMBER):
        with pytest.raises(Refusal) as refused:
            await verify(world, HOSPITAL, by_number(number, **claims))
        assert refused.value.reason == "NOTHING_TO_COMPARE"
    assert (await verify(world, POLICE, by_number(**claims))).result is MATCH


async def test_a_person_is_compared_by_subject_id_too(world: World, person: Person) -> None:
    claims = Claims(subject_id=person.subject_id, birth_date=BORN)
    assert (await verify(world, HOSPITAL, claims)).fields == {"birth_date": MATCH}
    assert (await verify(world, HOSPITAL, Claims(subject_id=new_id(), name=NAME))).result is NO_MATCH


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        (by_number("110105194912310021", name=NAME), "NUMBER_CHECK_FAILED"),
        (Claims(number=NUMBER, name=NAME), "NUMBER_KIND_MISSING"),
        (Claims(name=NAME), "PERSON_KEY_MISSING"),
        (Claims(number_kind=NumberKind.CITIZEN, number=NUMBER, subject_id="x"), "PERSON_KEY_MISSING"),
        (by_number(birth_date="1.1.1900"), "BIRTH_DATE_MALFORMED"),
        (by_number(phone="x"), "PHONE_MALFORMED"),
        (by_number(name=" "), "NAME_EMPTY"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_and_is_a_leaf(
    world: World, claims: Claims, reason: str
) -> None:
    with pytest.raises(Refusal) as refused:
        await verify(world, POLICE, claims)
    assert refused.value.reason == reason
    assert [leaf.use.outcome for leaf in world.ledger.leaves] == [reason]


async def test_without_the_right_nothing_is_compared(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await verify(world, citizen(new_id()), by_number(name=NAME))
    assert refused.value.reason == "RIGHT_MISSING"
    assert world.ledger.leaves[0].use.outcome == "RIGHT_MISSING"


async def test_every_answer_is_a_leaf_that_says_how_it_came_out_but_no_value(world: World, person: Person) -> None:
    await verify(world, HOSPITAL, by_number(name=NAME))
    await verify(world, HOSPITAL, by_number(name="别人"))
    await verify(world, POLICE, by_number(OTHER_NUMBER, name=NAME))
    uses = [leaf.use for leaf in world.ledger.leaves]
    assert [use.outcome for use in uses] == ["answered", "no_match", "not_found"]
    assert [use.subject_id for use in uses] == [person.subject_id, person.subject_id, ""]
    assert all(use.fields == ("number", "name") and use.case_id == "case-1" for use in uses)
    assert len({use.digest for use in uses}) == 3
    assert NUMBER not in repr(uses)
    assert NAME not in repr(uses)


async def test_where_the_database_is_gone_nothing_is_answered(world: World) -> None:
    world.store.reachable = False
    with pytest.raises(Unavailable):
        await verify(world, POLICE, by_number(name=NAME))
    assert world.ledger.leaves[0].use.outcome == "UNAVAILABLE"


def step(**given: object) -> VerifyStep:
    return VerifyStep("case-1", "verify_mother", 1, "birth", "PIPL-13-1-3", HOSPITAL.id, given)


async def answered(world: World, asked: VerifyStep, delivery_id: str = "") -> StepAnswered:
    before = len(world.store.rows.facts)
    with acting_as(GATEWAY):
        await world.verification.answer_step(asked, delivery_id=delivery_id or new_id())
    (fact,) = world.store.rows.facts[before:]
    assert isinstance(fact, StepAnswered)
    return fact


async def test_a_step_is_answered_with_the_subject(world: World, person: Person) -> None:
    fact = await answered(world, step(number=NUMBER, number_kind="citizen", name=NAME, birth_date=BORN))
    assert fact.outcome is StepOutcome.DONE
    assert fact.output == {"result": "match", "subject_id": person.subject_id}
    assert (fact.case_id, fact.step_id, fact.attempt) == ("case-1", "verify_mother", 1)
    assert world.store.rows.uses[-1].on_behalf_of == HOSPITAL.id


async def test_a_step_by_subject_id_alone_asks_whether_the_person_is_on_record(world: World, person: Person) -> None:
    assert (await answered(world, step(subject_id=person.subject_id))).output["result"] == "match"
    assert (await answered(world, step(subject_id=new_id()))).output["result"] == "not_found"


async def test_no_match_is_an_answer_and_not_a_refusal(world: World, person: Person) -> None:
    assert person
    fact = await answered(world, step(number=NUMBER, number_kind="citizen", name="别人"))
    assert (fact.outcome, fact.output) == (StepOutcome.DONE, {"result": "no_match", "subject_id": ""})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"number": "110105194912310021", "number_kind": "citizen"}, "NUMBER_CHECK_FAILED"),
        ({"number": NUMBER}, "NUMBER_KIND_MISSING"),
        ({"number": NUMBER, "number_kind": "passport"}, "STEP_INPUT_INVALID"),
        ({"number": 110.0, "number_kind": "citizen"}, "STEP_INPUT_INVALID"),
        ({"shoe_size": "42"}, "STEP_INPUT_INVALID"),
        ({}, "PERSON_KEY_MISSING"),
    ],
)
async def test_a_step_that_asks_what_cannot_be_is_refused_with_its_reason_and_a_leaf(
    world: World, given: Mapping[str, object], reason: str
) -> None:
    fact = await answered(world, step(**given))
    assert (fact.outcome, fact.reason, fact.output) == (StepOutcome.REFUSED, reason, {})
    assert world.store.rows.uses[-1].outcome == reason


async def test_empty_inputs_are_as_good_as_none(world: World, person: Person) -> None:
    fact = await answered(world, step(subject_id=person.subject_id, number="", name=None, phone=PHONE))
    assert fact.output["result"] == "match"


async def test_a_step_delivered_twice_is_answered_once(world: World, person: Person) -> None:
    asked = step(subject_id=person.subject_id)
    await answered(world, asked, "delivery-1")
    with acting_as(GATEWAY):
        await world.verification.answer_step(asked, delivery_id="delivery-1")
    assert len([fact for fact in world.store.rows.facts if isinstance(fact, StepAnswered)]) == 1
    assert len([use for use in world.store.rows.uses if use.operation == "identity.VerifyStep"]) == 1
