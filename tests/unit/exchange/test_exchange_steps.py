# SPDX-License-Identifier: Apache-2.0
"""FETCH steps: one effect, one fact, one leaf; answers kept for a while."""

from datetime import timedelta
from typing import Any

import pytest

from services.exchange.domain.inquiry import Inquiry, StepAnswered, StepOutcome, Subject, SubjectKind
from services.exchange.domain.refusals import AnswerNotFound, ProviderUnavailable
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.grants import RevokeGrant
from services.exchange.service.steps import AnswerStep
from services.kit.caller import Caller, CallerKind
from services.kit.errors import Code, Refusal, RemoteRefusal, RequestInvalid, Unavailable
from services.kit.ids import new_id
from tests.support.exchange_world import (
    HEALTH,
    HOSPITAL,
    OPERATOR,
    RECORD,
    SERVICE,
    SUBJECT_ID,
    World,
    a_query,
    asking,
    create_grant,
)

STEP = AnswerStep("990100/x/1", "fetch_household", 1, "delivery-1")
GATEWAY = Caller(CallerKind.SERVICE, "gateway", actor="spiffe://tongban/service/gateway")


@pytest.fixture
async def world() -> World:
    world = World()
    await world.granted()
    world.store.rows.facts.clear()
    world.steps.query = a_query(on_behalf_of=HOSPITAL, fields=())
    return world


async def answered(world: World, step: AnswerStep = STEP) -> StepAnswered:
    with asking(SERVICE):
        await world.answering.answer(step)
    (fact,) = world.store.rows.facts
    assert isinstance(fact, StepAnswered)
    assert (fact.case_id, fact.step_id, fact.attempt) == ("990100/x/1", "fetch_household", 1)
    return fact


async def test_an_answer_is_kept_and_told_without_a_value(world: World) -> None:
    fact = await answered(world)
    assert (fact.outcome, fact.output) == (StepOutcome.DONE, {"found": "true"})
    assert not set(RECORD.values()) & set(repr(fact).split("'"))
    leaf = world.last_leaf
    assert (leaf.subject_id, leaf.on_behalf_of, leaf.outcome) == (SUBJECT_ID, HOSPITAL, "answered")
    assert leaf.fields == ("household_number", "address")
    assert leaf.digest


async def test_the_gateway_collects_the_answer_and_that_is_a_leaf_too(world: World) -> None:
    fact = await answered(world)
    with asking(GATEWAY):
        kept, _ = await world.answering.collect(fact.answer_id)
    assert kept.values == {name: RECORD[name] for name in ("household_number", "address")}
    assert kept.case_id == "990100/x/1"
    assert (world.last_leaf.operation, world.last_leaf.subject_id) == ("answer_collected", SUBJECT_ID)
    assert world.last_leaf.digest == world.leaves[-2].digest


async def refused(world: World, answer_id: str) -> str:
    """Collect, and give the reason why not."""
    with asking(GATEWAY), pytest.raises(Refusal) as refusal:
        await world.answering.collect(answer_id)
    leaf = world.last_leaf
    assert (leaf.operation, leaf.subject_id, leaf.outcome, leaf.digest) == (
        "answer_collected",
        SUBJECT_ID,
        refusal.value.reason,
        "",
    )
    return refusal.value.reason


async def test_an_answer_is_not_handed_over_once_its_grant_has_ended_whatever_else_was_granted(world: World) -> None:
    ((grant, _),) = world.store.rows.grants.values()
    fact = await answered(world)
    await world.grants.create(create_grant(), OPERATOR)  # It might cover other rows: the answer rests on the first.
    await world.grants.revoke(RevokeGrant(new_id(), grant.grant_id, "Misuse."), OPERATOR)
    assert await refused(world, fact.answer_id) == "NO_GRANT"


async def replace_grant(world: World, **changes: Any) -> None:
    """Give the hospital another grant instead of its only one."""
    ((grant, _),) = world.store.rows.grants.values()
    await world.grants.revoke(RevokeGrant(new_id(), grant.grant_id, "Replaced."), OPERATOR)
    await world.grants.create(create_grant(**changes), OPERATOR)
    world.store.rows.facts.clear()


async def test_an_answer_is_not_handed_over_once_the_grant_has_expired(world: World) -> None:
    await replace_grant(world, expire_time=world.now + timedelta(days=1))
    fact = await answered(world)
    world.later(86_400)
    await world.rulebook.refresh()
    assert await refused(world, fact.answer_id) == "GRANT_EXPIRED"


async def test_an_answer_that_rests_on_consent_is_not_handed_over_without_it(world: World) -> None:
    await replace_grant(world, terms=Terms(methods=(Method.QUERY,), consent=True))
    world.consents.subjects = {SUBJECT_ID}
    fact = await answered(world)
    with asking(GATEWAY):
        await world.answering.collect(fact.answer_id)
    world.consents.subjects = set()
    assert await refused(world, fact.answer_id) == "CONSENT_MISSING"


async def test_a_repeated_delivery_changes_nothing(world: World) -> None:
    await answered(world)
    before = world.store.rows.copied()
    await answered(world)
    assert world.store.rows == before


async def test_a_step_that_is_no_longer_open_is_left_alone(world: World) -> None:
    world.steps.query = None
    with asking(SERVICE):
        await world.answering.answer(STEP)
    assert world.store.rows.facts == []
    assert world.leaves == []


async def test_no_record_is_done_and_says_so(world: World) -> None:
    world.provider.record = None
    fact = await answered(world)
    assert (fact.outcome, fact.output, fact.answer_id) == (StepOutcome.DONE, {"found": "false"}, "")
    assert world.last_leaf.outcome == "NOT_FOUND"
    assert world.store.rows.answers == {}


async def test_a_silent_provider_is_an_answer_that_a_retry_may_better(world: World) -> None:
    async def fail(_: Inquiry) -> None:
        raise ProviderUnavailable("Down.")

    world.provider.answer = fail
    fact = await answered(world)
    assert (fact.outcome, fact.reason) == (StepOutcome.UNAVAILABLE, "PROVIDER_UNAVAILABLE")
    assert world.last_leaf.outcome == "PROVIDER_UNAVAILABLE"


async def test_a_provider_that_answers_nonsense_is_tried_again(world: World) -> None:
    world.provider.record = {"address": ["x"]}
    fact = await answered(world)
    assert (fact.outcome, fact.reason) == (StepOutcome.UNAVAILABLE, "PROVIDER_ANSWER_INVALID")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"on_behalf_of": HEALTH}, "NO_GRANT"),
        ({"purpose": "school"}, "PURPOSE_NOT_GRANTED"),
        ({"fields": ("relation",)}, "FIELD_NOT_GRANTED"),
    ],
)
async def test_a_refusal_ends_the_step_with_its_reason_and_its_leaf(
    world: World, changes: dict[str, Any], reason: str
) -> None:
    world.steps.query = a_query(**{"on_behalf_of": HOSPITAL, "fields": (), **changes})
    fact = await answered(world)
    assert (fact.outcome, fact.reason) == (StepOutcome.REFUSED, reason)
    assert world.last_leaf.outcome == reason


async def test_an_input_that_can_not_be_read_refuses_the_step(world: World) -> None:
    world.steps.error = RequestInvalid("The step's input can't be read.")
    fact = await answered(world)
    assert (fact.outcome, fact.reason) == (StepOutcome.REFUSED, "REQUEST_INVALID")
    assert world.leaves == []


async def test_words_that_are_no_codes_refuse_the_step(world: World) -> None:
    world.steps.query = a_query(on_behalf_of=HOSPITAL, resource="a b")
    assert (await answered(world)).reason == "REQUEST_INVALID"


async def test_a_person_unknown_to_identity_refuses_the_step(world: World) -> None:
    async def unknown(subject_id: str, **_: str) -> str:
        assert subject_id
        raise RemoteRefusal("There is no such person.", code=Code.NOT_FOUND, reason="PERSON_NOT_FOUND")

    world.persons.by_subject_id = unknown  # type: ignore[method-assign] # a fake that a test steers
    world.steps.query = a_query(on_behalf_of=HOSPITAL, subject=Subject(SubjectKind.SUBJECT_ID, SUBJECT_ID))
    fact = await answered(world)
    assert (fact.outcome, fact.reason) == (StepOutcome.REFUSED, "PERSON_NOT_FOUND")
    assert world.last_leaf.outcome == "PERSON_NOT_FOUND"


@pytest.mark.parametrize("who", ["gateway", "identity", "database"])
async def test_what_is_away_is_waited_for_and_nothing_is_told(world: World, who: str) -> None:
    if who == "gateway":
        world.steps.error = Unavailable("The gateway does not answer.")
    world.persons.down = who == "identity"
    world.store.down = who == "database"
    with asking(SERVICE), pytest.raises(Unavailable):
        await world.answering.answer(STEP)
    assert world.store.rows.facts == []
    assert world.leaves == []


async def test_an_answer_is_kept_so_long_and_then_gone(world: World) -> None:
    fact = await answered(world)
    world.later(30 * 86_400 - 1)
    assert await world.answering.drop_expired() == 0
    await world.rulebook.refresh()
    with asking(GATEWAY):
        await world.answering.collect(fact.answer_id)
    world.later(2)
    with asking(GATEWAY), pytest.raises(AnswerNotFound):
        await world.answering.collect(fact.answer_id)
    assert await world.answering.drop_expired() == 1
    assert world.store.rows.answers == {}


async def test_an_unknown_answer_is_refused(world: World) -> None:
    with asking(GATEWAY), pytest.raises(AnswerNotFound):
        await world.answering.collect("5e0c5e05-2b1c-4b6f-9a35-5d2f7b1f9a99")
