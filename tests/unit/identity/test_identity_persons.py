# SPDX-License-Identifier: Apache-2.0
"""Registering persons, once and again; reading one's own record and others'."""

from dataclasses import replace

import pytest

from services.identity.domain.numbers import NumberKind
from services.identity.domain.person import NewPerson, Person, PersonRegistered
from services.identity.service.persons import RegisterPersons, ResolvePerson
from services.kit.caller import Caller, acting_as
from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.identity_world import (
    GATEWAY,
    HOSPITAL,
    NAME,
    NUMBER,
    OTHER_NUMBER,
    POLICE,
    World,
    citizen,
    new_person,
)


@pytest.fixture
def world() -> World:
    return World()


async def register(
    world: World, *persons: NewPerson, request_id: str = "", caller: Caller = POLICE
) -> tuple[Person, ...]:
    with acting_as(caller):
        return await world.persons.register(RegisterPersons(request_id or new_id(), persons, ""), caller)


async def test_a_person_gets_a_subject_id_that_the_number_does_not_give_away(world: World) -> None:
    (first,) = await register(world, new_person())
    (second,) = await register(World(), new_person())
    assert first.subject_id != second.subject_id
    assert world.store.rows.facts == [PersonRegistered(first.subject_id, "110101")]


async def test_a_registration_is_a_leaf_about_the_person(world: World) -> None:
    (person,) = await register(world, new_person(address=""))
    (use,) = world.store.rows.uses
    assert use.subject_id == person.subject_id
    assert use.fields == ("number", "name", "phone", "birth_date")
    assert use.on_behalf_of == POLICE.agency


async def test_a_number_on_record_keeps_its_person_unchanged(world: World) -> None:
    (first,) = await register(world, new_person())
    (again,) = await register(world, new_person(name="别人"))
    assert again == first
    assert len(world.store.rows.facts) == 1


async def test_the_same_number_of_another_kind_is_another_person(world: World) -> None:
    permit = replace(new_person("810000190001010026"), number_kind=NumberKind.RESIDENCE_PERMIT)
    first, second = await register(world, permit, replace(permit, number_kind=NumberKind.CITIZEN))
    assert first.subject_id != second.subject_id


async def test_one_number_twice_in_a_batch_is_one_person(world: World) -> None:
    first, second, other = await register(
        world, new_person("11010519491231002x"), new_person("１１０１０５１９４９１２３１００２Ｘ"), new_person()
    )
    assert first == second != other
    assert len(world.store.rows.facts) == 2


async def test_the_same_request_gives_the_same_answer_and_one_effect(world: World) -> None:
    request_id = new_id()
    first = await register(world, new_person(), new_person(OTHER_NUMBER), request_id=request_id)
    again = await register(world, new_person(), new_person(OTHER_NUMBER), request_id=request_id)
    assert again == first
    assert len(world.store.rows.facts) == len(world.store.rows.uses) == 2


async def test_the_same_request_id_with_other_content_is_refused(world: World) -> None:
    request_id = new_id()
    await register(world, new_person(), request_id=request_id)
    with pytest.raises(Refusal) as refused:
        await register(world, new_person(OTHER_NUMBER), request_id=request_id)
    assert refused.value.reason == "REQUEST_ID_REUSED"
    assert len(world.store.rows.persons) == 1


async def test_two_agencies_may_choose_the_same_request_id(world: World) -> None:
    request_id = new_id()
    other = replace(POLICE, id="11990100000001054B")
    await register(world, new_person(), request_id=request_id)
    await register(world, new_person(OTHER_NUMBER), request_id=request_id, caller=other)
    assert len(world.store.rows.persons) == 2


async def test_a_bad_record_is_named_and_nothing_of_its_batch_is_kept(world: World) -> None:
    bad = [new_person("110105194912310021"), new_person("110101190002290011")]
    with pytest.raises(Refusal) as refused:
        await register(world, new_person(), *bad)
    assert refused.value.reason == "NUMBER_CHECK_FAILED"
    assert [violation.field for violation in refused.value.violations] == ["persons[1]", "persons[2]"]
    assert refused.value.violations[1].description.startswith("NUMBER_DATE_INVALID")
    assert not any(number.number in repr(refused.value.violations) for number in bad)
    assert not world.store.rows.persons
    assert not world.store.rows.requests


async def test_five_hundred_bad_records_do_not_make_an_endless_answer(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await register(world, *[new_person("110105194912310021")] * 500)
    assert len(refused.value.violations) == 20
    assert "499" in str(refused.value)


async def test_without_the_right_nobody_is_registered(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await register(world, new_person(), caller=HOSPITAL)
    assert refused.value.reason == "RIGHT_MISSING"


async def test_a_resident_reads_their_own_record_and_that_is_a_leaf(world: World) -> None:
    (person,) = await register(world, new_person())
    caller = citizen(person.subject_id)
    with acting_as(caller):
        own, receipt = await world.persons.own(caller)
    assert own == person
    leaf = world.ledger.leaves[receipt.index]
    assert (leaf.use.subject_id, leaf.use.outcome, leaf.caller) == (person.subject_id, "answered", caller.label)
    assert leaf.use.fields == ("number", "name", "phone", "birth_date", "address")
    assert leaf.use.digest


async def test_a_service_resolves_a_person_for_somebody_and_the_leaf_says_for_whom(world: World) -> None:
    (person,) = await register(world, new_person())
    query = ResolvePerson(person.subject_id, "birth", "PIPL-13-1-3", HOSPITAL.id, "case-1", ("number",))
    with acting_as(GATEWAY):
        resolved, receipt = await world.persons.resolve(query)
    use = world.ledger.leaves[receipt.index].use
    assert resolved == person
    assert use.fields == ("number",)
    assert (use.purpose, use.basis, use.on_behalf_of, use.case_id) == ("birth", "PIPL-13-1-3", HOSPITAL.id, "case-1")


async def test_asking_for_nobody_is_refused_and_is_a_leaf_too(world: World) -> None:
    subject_id = new_id()
    with acting_as(GATEWAY), pytest.raises(Refusal) as refused:
        await world.persons.resolve(ResolvePerson(subject_id, "birth", "PIPL-13-1-3", "", "", ("number",)))
    assert refused.value.reason == "PERSON_NOT_FOUND"
    assert world.ledger.leaves[0].use.outcome == "PERSON_NOT_FOUND"
    assert world.ledger.leaves[0].use.subject_id == subject_id


async def test_a_person_shows_nothing_personal_to_a_log(world: World) -> None:
    (person,) = await register(world, new_person())
    assert not any(value in repr(person) + repr(new_person()) for value in (NUMBER, NAME, "13800000000", "东城区"))


async def test_answers_are_forgotten_after_their_days(world: World) -> None:
    request_id = new_id()
    await register(world, new_person(), request_id=request_id)
    world.pass_time(days=30)
    async with world.store.transaction() as tx:
        assert await tx.forget_requests(days=30) == 0
    world.pass_time(seconds=1)
    async with world.store.transaction() as tx:
        assert await tx.forget_requests(days=30) == 1
