# SPDX-License-Identifier: Apache-2.0
"""Whatever is granted and asked: the answer is what plain rules say, Explain says the same before, and nothing else can be told from it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.exchange.domain.hours import Hours, Window
from services.exchange.domain.inquiry import Ask, Query, Subject, SubjectKind, Verification
from services.exchange.domain.resource import ResourceField, Sensitivity
from services.exchange.domain.terms import Method
from services.exchange.service.explaining import Explain, Explanation
from services.kit.errors import Refusal
from tests.support.exchange_leakage import FIELDS, MARK, Call, Reckoning, Record, Scene, altered, scenes
from tests.support.exchange_world import (
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NUMBER,
    OPERATOR,
    SUBJECT_ID,
    World,
    asking,
    create_grant,
    household,
)

SUBJECT = Subject(SubjectKind.NUMBER, NUMBER)
MORNING = Hours((Window(0, 1020),))
WORKING_EVENINGS = Hours((Window(1020, 1440),), working_days_only=True)
TRUTHS_OF_PEOPLE = {"CONSENT_MISSING"}
"""What only the subject decides, which Explain does not know of."""


def sent(call: Call, record: Record) -> dict[str, str]:
    """The values that a verification sends."""
    if call.kind != "verify":
        return {}
    return {name: str(record[name]) if call.right else f"{record[name]} not" for name in call.asked}


async def staged(scene: Scene, **terms: Any) -> World:
    """A world with the resource, the grants and the record of a scene."""
    world = World()
    await world.rulebook.refresh()
    fields = tuple(ResourceField(name, "字", name, Sensitivity.PERSONAL) for name in FIELDS)
    await world.catalogue.put_resource(household(fields=fields), OPERATOR)
    for each in reversed(scene.grants):
        world.later(1)
        own = replace(each.terms, **terms)
        command = create_grant(
            purposes=each.purposes,
            fields=each.fields,
            verify_fields=each.verify_fields,
            daily_quota=each.daily_quota,
            terms=own,
        )
        await world.grants.create(command, OPERATOR)
    world.provider.record = dict(scene.record)
    return world


async def made(world: World, call: Call, values: Mapping[str, str]) -> tuple[str, str, Any]:
    """Make a call; give the grant, the reason of its refusal, and the answer."""
    queries = world.queries
    with asking() as caller:
        try:
            if call.kind == "query":
                answered = await queries.query(Query(HOUSEHOLD, SUBJECT, call.asked, call.purpose), caller)
                return answered.grant_id, "", answered.values
            if call.kind == "verify":
                verified = await queries.verify(Verification(HOUSEHOLD, SUBJECT, dict(values), call.purpose), caller)
                assert verified.matched == all(verified.fields.values())
                return verified.grant_id, "", verified.fields
            asked = await queries.ask(Ask(HOUSEHOLD, SUBJECT, call.asked, call.purpose), caller)
        except Refusal as refusal:
            return "", _unmarked(refusal), None
        return asked.grant_id, "", asked.answers


def _unmarked(refusal: Refusal) -> str:
    told = (refusal.message, refusal.remedy, refusal.metadata, refusal.violations)
    assert MARK not in repr(told)
    return refusal.reason


async def explained(world: World, call: Call) -> Explanation:
    method = Method.QUERY if call.kind == "query" else Method.VERIFY
    fields, questions = ((), call.asked) if call.kind == "ask" else (call.asked, ())
    explain = Explain(HOUSEHOLD, call.purpose, method, fields, questions)
    return await world.explainer.explain(explain, HOSPITAL_CALLER)


def agrees(found: Explanation, grant_id: str, reason: str) -> bool:
    """Whether what was explained is what happened; a missing record is the provider's to tell."""
    if reason in {"", "NOT_FOUND"}:
        return found.permit is not None and grant_id in {"", found.permit.grant_id}
    if found.permit is not None:
        return found.permit.limits is not None and found.permit.limits.consent and reason in TRUTHS_OF_PEOPLE
    return found.refusal is not None and found.refusal.reason == reason


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_every_call_comes_to_what_plain_rules_say_and_explain_said_so_before(scene: Scene) -> None:
    async def play() -> None:
        world = await staged(scene)
        newest_first = [each.grant_id for each in world.store._newest_first()]
        reckoning = Reckoning(scene)
        for call in scene.calls:
            values = sent(call, scene.record)
            expected = reckoning.expect(call, scene.record, values)
            before = (len(world.leaves), len(world.provider.asked), dict(world.store.rows.counts))
            explanation = await explained(world, call)
            assert before == (len(world.leaves), len(world.provider.asked), dict(world.store.rows.counts))
            grant_id, reason, answer = await made(world, call, values)
            assert (reason, answer) == (expected.reason, expected.answer)
            assert agrees(explanation, grant_id, reason)
            if not reason:
                assert expected.place is not None
                assert grant_id == newest_first[expected.place]
                assert explanation.permit is not None
                assert explanation.permit.grant_id == grant_id
                assert set(explanation.permit.fields) == set(answer)
            assert MARK not in repr(world.leaves)
            assert MARK not in repr(world.store.rows.facts)
            assert MARK not in repr(explanation.grants) or any(MARK in repr(each.terms) for each in scene.grants)

    asyncio.run(play())


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_records_that_differ_only_in_what_was_not_given_can_not_be_told_apart(scene: Scene) -> None:
    async def play() -> None:
        for call in scene.calls:
            alone = replace(scene, calls=(call,))
            world, other = await staged(alone), await staged(alone)
            values = sent(call, scene.record)
            _, reason, answer = await made(world, call, values)
            keep = set(answer or ()) if call.kind == "query" else set(call.asked) if call.kind == "verify" else set()
            other.provider.record = altered(scene.record, keep)
            _, same_reason, same_answer = await made(other, call, values)
            assert (reason, answer) == (same_reason, same_answer)
            first, second = world.last_leaf, other.last_leaf
            assert first == second
            assert first.subject_id == SUBJECT_ID

    asyncio.run(play())


bounds = st.fixed_dictionaries(
    {
        "rate_per_second": st.sampled_from([0, 1, 3]),
        "consent": st.booleans(),
        "hours": st.sampled_from([None, MORNING, WORKING_EVENINGS]),
    }
)
pauses = st.lists(st.sampled_from([0.0, 0.2, 1.0, 3600.0, 86_400.0]), min_size=6, max_size=6)


@settings(max_examples=60, deadline=None)
@given(scene=scenes(), bound=bounds, consented=st.booleans(), waits=pauses)
def test_explain_equals_what_happens_at_any_hour_pace_and_consent(
    scene: Scene, bound: dict[str, Any], *, consented: bool, waits: list[float]
) -> None:
    async def play() -> None:
        world = await staged(scene, **bound)
        if consented:
            world.consents.subjects.add(SUBJECT_ID)
        for call, wait_seconds in zip(scene.calls, waits, strict=False):
            world.later(wait_seconds)
            await world.rulebook.refresh()
            explanation = await explained(world, call)
            grant_id, reason, _ = await made(world, call, sent(call, scene.record))
            assert agrees(explanation, grant_id, reason)
            if explanation.refusal is not None and explanation.refusal.reason == "RATE_EXCEEDED":
                wait = explanation.refusal.retry_after_seconds
                assert wait is not None
                world.later(wait)
                again = await explained(world, call)
                assert again.refusal is None or again.refusal.reason != "RATE_EXCEEDED"

    asyncio.run(play())


def test_the_world_of_a_scene_moves_in_seconds_from_a_friday_afternoon() -> None:
    world = World()
    assert (world.now + timedelta(hours=8)).strftime("%A %H:%M") == "Friday 17:00"
