# SPDX-License-Identifier: Apache-2.0
"""A value in dispute is told as such by whatever door it leaves, and of no record that the grant does not cover."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from services.exchange.domain.conditions import Condition, Question
from services.exchange.domain.inquiry import Ask, Verification
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.change_stream import Told
from services.exchange.service.corrections.ports import Dispute
from services.exchange.service.previews import DecidePreview, RequestPreview
from services.exchange.service.requests import AnswerData, RequestData
from services.kit.caller import Caller, CallerKind
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld, calls_world, number, person
from tests.support.exchange_subscriber import PROVIDER, opened, publish, subscribed
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD, asking

QUESTIONS = tuple(
    Question(name, Condition(source, "问", "Asks"))
    for name, source in (
        ("of_the_lane", "record.address.size() > 1"),
        ("numbered", "record.household_number.size() > 1"),
        ("unknown", "record.head_name.size() > 1"),
    )
)
ANSWERABLE = Terms(methods=(Method.QUERY, Method.VERIFY, Method.SUBSCRIBE), questions=QUESTIONS)
ABROAD = Condition("record.address == 'abroad'", "境外", "Abroad")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallsWorld]:
    async with calls_world(tmp_path) as world:
        await world.granted(fields=("address", "household_number"), verify_fields=("address",), terms=ANSWERABLE)
        dispute(world, "address")
        yield world


def dispute(world: CallsWorld, name: str) -> None:
    """The first person says that a value is wrong."""
    subject = world.store.pseudonym(person(1).value)
    world.disputes.apply(Dispute(new_id(), HOUSEHOLD, subject, name, disputed=True))


async def verified(world: CallsWorld, at: int = 1) -> tuple[bool, tuple[str, ...]]:
    with asking() as caller:
        question = Verification(HOUSEHOLD, person(at), {"address": "elsewhere"}, "birth")
        found = await world.queries.verify(question, caller)
    return found.matched, found.disputed


async def test_a_comparison_tells_it_and_only_of_the_person_it_is_about(world: CallsWorld) -> None:
    assert await verified(world) == (False, ("address",))
    assert await verified(world, 2) == (False, ())


async def test_a_comparison_does_not_tell_that_there_is_a_disputed_record_which_the_grant_does_not_cover(
    tmp_path: Path,
) -> None:
    async with calls_world(tmp_path) as world:
        terms = Terms(methods=(Method.VERIFY,), predicate=ABROAD, questions=QUESTIONS)
        await world.granted(fields=(), verify_fields=("address",), terms=terms)
        dispute(world, "address")
        assert await verified(world) == (False, ())
        world.provider.without = {number(1)}
        assert await verified(world) == (False, ())


async def test_answers_that_rest_on_it_are_named_and_unknown_ones_are_not(world: CallsWorld) -> None:
    dispute(world, "head_name")
    with asking() as caller:
        questions = ("numbered", "of_the_lane", "unknown")
        asked = await world.queries.ask(Ask(HOUSEHOLD, person(1), questions, "birth"), caller)
        assert asked.answers == {"numbered": True, "of_the_lane": True, "unknown": None}
        assert asked.disputed == ("of_the_lane",)
        world.provider.without = {number(1)}
        assert (await world.queries.ask(Ask(HOUSEHOLD, person(1), questions, "birth"), caller)).disputed == ()


@pytest.mark.parametrize("with_values", [True, False])
async def test_a_told_change_tells_it(world: CallsWorld, with_values: bool) -> None:
    stream = await opened(world, await subscribed(world, 1, with_values=with_values))
    await publish(world, 1, fields=("address", "household_number"))
    with asking():
        async with aclosing(stream.told()) as told:
            one = await anext(told)
    assert isinstance(one, Told)
    assert (one.fields, one.disputed) == (("address", "household_number"), ("address",))


async def test_an_answer_of_people_tells_it_when_it_is_collected(world: CallsWorld) -> None:
    with asking() as caller:
        command = RequestData(new_id(), HOUSEHOLD, person(1), "birth", "", ("address",))
        request = await world.requests.ask(command, caller)
    with asking(PROVIDER):
        (work,) = await world.requests.lease(1, PROVIDER)
        await world.requests.answer(AnswerData(request.id, work.request.lease_id, {"address": "x"}), PROVIDER)
    with asking() as caller:
        assert (await world.requests.collect(request.id, caller)).disputed == ("address",)


async def test_a_previewed_transfer_tells_it(world: CallsWorld) -> None:
    resident = Caller(CallerKind.CITIZEN, person(1).value)
    with asking() as caller:
        command = RequestPreview(new_id(), HOUSEHOLD, person(1), "birth", "", ("address",))
        preview = await world.previews.request(command, caller)
    with asking(resident):
        look = await world.previews.look(preview.preview_id, resident)
        await world.previews.confirm(DecidePreview(new_id(), preview.preview_id, look.preview.token), resident)
    with asking():
        assert (await world.previews.collect(preview.preview_id, HOSPITAL_CALLER)).disputed == ("address",)
