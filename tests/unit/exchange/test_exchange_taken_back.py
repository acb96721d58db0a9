# SPDX-License-Identifier: Apache-2.0
"""What is taken back while a provider answers is not given, by whatever door; other changes disturb nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.exchange.domain.conditions import Condition, Question
from services.exchange.domain.inquiry import Ask, Inquiry, Query, Verification
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.consents import WithdrawConsent
from services.exchange.service.grants import RevokeGrant
from services.kit.caller import Caller, CallerKind
from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld, a_consent, calls_world, number, person
from tests.support.exchange_receiver import Receiver
from tests.support.exchange_subscriber import opened, publish, subscribed
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD, OPERATOR, POLICE, asking, create_grant, household

LIVES = Question("lives", Condition("record.address.size() > 0", "住", "Lives"))
EVERYTHING = Terms(methods=tuple(Method), questions=(LIVES,))
Meanwhile = Callable[[], Awaitable[Any]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallsWorld]:
    async with calls_world(tmp_path) as world:
        await world.granted(fields=("address",), verify_fields=("address",), terms=EVERYTHING)
        yield world


def meanwhile(world: CallsWorld, happens: Meanwhile) -> None:
    """Let something happen while the provider answers its next question."""

    async def answer(inquiry: Inquiry) -> Mapping[str, Any] | None:
        world.provider.answer = None
        await happens()
        return world.provider.record_of(inquiry)

    world.provider.answer = answer


async def query(world: CallsWorld) -> Any:
    with asking() as caller:
        return await world.queries.query(Query(HOUSEHOLD, person(1), ("address",), "birth"), caller)


async def verify(world: CallsWorld) -> Any:
    with asking() as caller:
        return await world.queries.verify(Verification(HOUSEHOLD, person(1), {"address": "x"}, "birth"), caller)


async def ask(world: CallsWorld) -> Any:
    with asking() as caller:
        return await world.queries.ask(Ask(HOUSEHOLD, person(1), ("lives",), "birth"), caller)


async def own(world: CallsWorld) -> Any:
    resident = Caller(CallerKind.CITIZEN, person(1).value)
    question = Query(HOUSEHOLD, person(1), ("address",), "birth", on_behalf_of=HOSPITAL_CALLER.id)
    with asking(resident):
        return await world.queries.query(question, resident)


async def hear(world: CallsWorld) -> Any:
    stream = await opened(world, await subscribed(world, 1))
    await publish(world, 1)
    with asking():
        async with asyncio.timeout(10), aclosing(stream.told()) as told:
            return await anext(told)


DOORS = [query, verify, ask, own, hear]


def revoking(world: CallsWorld) -> Meanwhile:
    async def revoke() -> None:
        (grant,) = await world.store.grants_of(HOSPITAL_CALLER.id, HOUSEHOLD)
        await world.grants.revoke(RevokeGrant(new_id(), grant.grant_id, "Misuse."), OPERATOR)

    return revoke


@pytest.mark.parametrize("door", DOORS)
async def test_a_grant_taken_back_while_the_provider_answers_answers_nothing(
    world: CallsWorld, door: Callable[[CallsWorld], Awaitable[Any]]
) -> None:
    meanwhile(world, revoking(world))
    with pytest.raises(Refusal) as refusal:
        await door(world)
    assert refusal.value.reason == "NO_GRANT"
    (leaf,) = await world.leaves()
    assert (leaf["outcome"], leaf["digest"]) == ("NO_GRANT", "")
    assert len(world.provider.asked) == 1


@pytest.mark.parametrize("door", DOORS)
async def test_a_resource_retired_while_the_provider_answers_answers_nothing(
    world: CallsWorld, door: Callable[[CallsWorld], Awaitable[Any]]
) -> None:
    meanwhile(world, lambda: world.catalogue.put_resource(replace(household(), retired=True), OPERATOR))
    with pytest.raises(Refusal) as refusal:
        await door(world)
    assert refusal.value.reason == "RESOURCE_RETIRED"


@pytest.mark.parametrize("door", DOORS)
async def test_what_changes_for_others_or_is_given_beside_it_disturbs_nobody(
    world: CallsWorld, door: Callable[[CallsWorld], Awaitable[Any]]
) -> None:
    async def change() -> None:
        world.later(1)
        await world.grants.create(create_grant(grantee=POLICE), OPERATOR)
        await world.grants.create(create_grant(terms=EVERYTHING), OPERATOR)

    meanwhile(world, change)
    await door(world)
    assert [leaf["outcome"] for leaf in await world.leaves()] == ["answered"]


async def test_another_grant_does_not_stand_in_for_the_one_that_was_taken_back(world: CallsWorld) -> None:
    async def swap() -> None:
        (grant,) = await world.store.grants_of(HOSPITAL_CALLER.id, HOUSEHOLD)
        narrow = replace(EVERYTHING, predicate=Condition("record.address == 'abroad'", "境外", "Abroad"))
        await world.grants.create(create_grant(fields=("address",), terms=narrow), OPERATOR)
        await world.grants.revoke(RevokeGrant(new_id(), grant.grant_id, "Narrowed."), OPERATOR)

    meanwhile(world, swap)
    with pytest.raises(Refusal) as refusal:
        await query(world)
    assert refusal.value.reason == "NO_GRANT"


async def test_a_consent_withdrawn_while_the_provider_answers_is_no_consent(tmp_path: Path) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(fields=("address",), terms=Terms(methods=(Method.QUERY,), consent=True))
        resident = Caller(CallerKind.CITIZEN, person(1).value)
        with asking(resident):
            consent = await world.consents.give(a_consent(world.now), resident)

        async def withdraw() -> None:
            with asking(resident):
                await world.consents.withdraw(WithdrawConsent(new_id(), consent.consent_id), resident)

        meanwhile(world, withdraw)
        with pytest.raises(Refusal) as refusal:
            await query(world)
        assert refusal.value.reason == "CONSENT_MISSING"
        assert (await world.leaves())[-1]["outcome"] == "CONSENT_MISSING"


async def test_a_batch_ends_where_its_grant_was_taken_back_and_asks_about_nobody_more(world: CallsWorld) -> None:
    revoked = asyncio.Event()

    async def answer(inquiry: Inquiry) -> Mapping[str, Any] | None:
        if inquiry.subject_key == number(20):
            await revoking(world)()
            revoked.set()
        if inquiry.subject_key > number(20):
            await revoked.wait()
        return world.provider.record_of(inquiry)

    world.provider.answer = answer
    receiver = Receiver(world)
    with asking():
        await receiver.open()
        with pytest.raises(Refusal) as refusal:
            await receiver.ask([person(at) for at in range(100)])
    assert refusal.value.reason == "NO_GRANT"
    assert len(receiver.rows) <= 20
    assert len(world.provider.asked) < 40
    leaves = await world.leaves()
    assert [leaf["outcome"] for leaf in leaves[: len(receiver.rows)]] == ["answered"] * len(receiver.rows)
    assert {leaf["outcome"] for leaf in leaves[len(receiver.rows) :]} <= {"NO_GRANT", "CANCELLED"}
