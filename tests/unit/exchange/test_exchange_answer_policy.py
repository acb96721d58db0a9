# SPDX-License-Identifier: Apache-2.0
"""Answers that may be given again, second tries, and maintenance: only where they were allowed or announced."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.providers import AnswerPolicy, Maintenance
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderInMaintenance, ProviderUnavailable
from services.exchange.service.providers import Limits
from tests.support.exchange_world import (
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NOW,
    NUMBER,
    POLICE,
    RECORD,
    World,
    a_query,
    asking,
    household,
)

INQUIRY = Inquiry(HOUSEHOLD, NUMBER, ("address",), timeout_seconds=5)
FOUND = {"address": RECORD["address"]}
WINDOW = Maintenance(
    maintenance_id="m-1",
    provider=POLICE,
    resource="",
    begin_time=NOW,
    end_time=NOW + timedelta(hours=2),
    grounds="Moving house.",
)


def world_with(policy: AnswerPolicy, **limits: Any) -> World:
    world = World(limits=Limits(**limits))
    world.terms.set_policy(policy)
    return world


async def test_an_answer_is_given_again_for_as_long_as_its_resource_says() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    assert await world.providers.ask(household(), INQUIRY) == FOUND
    world.later(59)
    assert await world.providers.ask(household(), INQUIRY) == FOUND
    assert len(world.provider.asked) == 1
    world.later(1)
    assert await world.providers.ask(household(), INQUIRY) == FOUND
    assert len(world.provider.asked) == 2


async def test_without_a_policy_every_question_is_asked() -> None:
    world = World()
    for _ in range(3):
        await world.providers.ask(household(), INQUIRY)
    assert len(world.provider.asked) == 3


async def test_an_answer_given_again_has_a_leaf_of_its_own() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    await world.granted()
    with asking() as caller:
        receipts = [(await world.queries.query(a_query(), caller)).receipt for _ in range(3)]
    assert len(world.provider.asked) == 1
    assert len({receipt.index for receipt in receipts}) == 3
    assert [leaf.outcome for leaf in world.leaves] == ["answered"] * 3


@pytest.mark.parametrize(
    "other",
    [
        replace(INQUIRY, subject_key="990100199003070999"),
        replace(INQUIRY, fields=("head_name",)),
        replace(INQUIRY, fields=("address", "head_name")),
    ],
)
async def test_an_answer_is_given_again_to_the_same_question_only(other: Inquiry) -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    await world.providers.ask(household(), INQUIRY)
    answer = await world.providers.ask(household(), other)
    assert len(world.provider.asked) == 2
    assert answer is not None
    assert set(answer) == set(other.fields)


async def test_a_corrected_or_changed_resource_is_asked_anew() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    await world.providers.ask(household(), INQUIRY)
    world.providers.forget(HOUSEHOLD)
    await world.providers.ask(household(), INQUIRY)
    await world.providers.ask(household(revision=2), INQUIRY)
    assert len(world.provider.asked) == 3


async def test_an_answer_from_before_a_correction_is_not_kept_after_it() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    with world.hung() as released:
        asked = asyncio.create_task(world.providers.ask(household(), INQUIRY))
        await asyncio.sleep(0)
        world.providers.forget(HOUSEHOLD)
        released.set()
        await asked
    world.provider.answer = None
    world.provider.record = {"address": "2 Autumn Lane"}
    assert await world.providers.ask(household(), INQUIRY) == {"address": "2 Autumn Lane"}


async def test_that_there_is_no_record_is_not_kept() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    world.provider.record = None
    assert await world.providers.ask(household(), INQUIRY) is None
    world.provider.record = RECORD
    assert await world.providers.ask(household(), INQUIRY) == FOUND


async def test_kept_answers_are_bounded_in_bytes_and_tell_no_number() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60), kept_bytes_max=100_000)
    world.provider.record = {"address": "x" * 2_000}
    for number in range(200):
        await world.providers.ask(household(), replace(INQUIRY, subject_key=f"number-{number}"))
    kept = world.providers._kept._kept
    assert 0 < len(kept) <= 100_000 / 8_000
    assert all(b"number" not in key for key in kept)
    world.provider.record = {"address": "x" * 200_000}
    large = replace(INQUIRY, subject_key="large")
    await world.providers.ask(household(), large)
    await world.providers.ask(household(), large)
    assert len([each for each in world.provider.asked if each.subject_key == "large"]) == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ask", "wait", "correct"]), st.integers(1, 40)), max_size=30))
async def test_no_answer_is_older_than_its_bound_or_a_correction(steps: list[tuple[str, int]]) -> None:
    """Whatever comes in which order: an answer was true within the last sixty seconds and since the last correction."""
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    true_since = corrected = world.seconds

    async def register(_: Inquiry) -> Mapping[str, Any]:
        return {"address": str(world.seconds)}

    world.provider.answer = register
    for step, number in steps:
        if step == "wait":
            world.later(number)
        elif step == "correct":
            world.providers.forget(HOUSEHOLD)
            corrected = world.seconds
        else:
            answer = await world.providers.ask(household(), INQUIRY)
            assert answer is not None
            true_since = float(str(answer["address"]))
            assert world.seconds - 60 < true_since
            assert true_since >= corrected


# ---- second tries -------------------------------------------------------------------------------------------------


async def paced(world: World, answers: int = 20) -> None:
    """Let the broker learn how long answers take."""
    for _ in range(answers):
        await world.providers.ask(household(), INQUIRY)
    world.provider.asked.clear()


class FirstIsSlow:
    """A register that never answers the first question of each pair."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0

    async def answer(self, _: Inquiry) -> Mapping[str, Any]:
        self.asked += 1
        if self.asked % 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return RECORD


async def test_a_slow_question_is_asked_again_and_the_first_answer_wins() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, idempotent=True))
    await paced(world)
    slow = FirstIsSlow()
    world.provider.answer = slow.answer
    assert await world.providers.ask(household(), INQUIRY) == FOUND
    await asyncio.sleep(0)
    assert (slow.asked, slow.cancelled) == (2, 1)


async def test_a_failed_question_is_asked_again_at_once() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, idempotent=True))

    async def flap(_: Inquiry) -> Mapping[str, Any]:
        if len(world.provider.asked) == 1:
            raise ProviderUnavailable("down")
        return RECORD

    world.provider.answer = flap
    assert await world.providers.ask(household(), INQUIRY) == FOUND


@pytest.mark.parametrize("policy", [None, AnswerPolicy(HOUSEHOLD, cache_seconds=5)])
async def test_what_is_not_idempotent_is_asked_once(policy: AnswerPolicy | None) -> None:
    world = World()
    if policy is not None:
        world.terms.set_policy(policy)

    async def fail(_: Inquiry) -> Mapping[str, Any]:
        raise ProviderUnavailable("down")

    world.provider.answer = fail
    with pytest.raises(ProviderUnavailable):
        await world.providers.ask(household(), INQUIRY)
    assert len(world.provider.asked) == 1


async def test_an_answer_that_can_not_be_believed_is_not_asked_for_again() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, idempotent=True))
    world.provider.record = {"address": ["a list"]}
    with pytest.raises(ProviderAnswerInvalid):
        await world.providers.ask(household(), INQUIRY)
    assert len(world.provider.asked) == 1


async def test_second_tries_are_one_in_twenty() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, idempotent=True), failures_max=1_000)

    async def fail(_: Inquiry) -> Mapping[str, Any]:
        raise ProviderUnavailable("down")

    world.provider.answer = fail
    for _ in range(200):
        with pytest.raises(ProviderUnavailable):
            await world.providers.ask(household(), INQUIRY)
    assert len(world.provider.asked) <= 200 + 1 + 200 // 20


async def test_an_asker_who_goes_away_takes_both_tries_along() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, idempotent=True))
    with world.hung():
        task = asyncio.create_task(world.providers.ask(household(), INQUIRY))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
    world.provider.answer = None
    assert world.providers._line(POLICE).in_flight == 0


# ---- maintenance --------------------------------------------------------------------------------------------------


async def test_a_question_within_maintenance_hears_when_it_ends_and_has_its_leaf() -> None:
    world = World()
    await world.granted()
    world.terms.set_window(WINDOW)
    world.later(20)
    with asking(HOSPITAL_CALLER) as caller, pytest.raises(ProviderInMaintenance) as refused:
        await world.queries.query(a_query(), caller)
    assert refused.value.metadata == {"end_time": WINDOW.end_time.isoformat()}
    assert refused.value.retry_after_seconds == 2 * 3600 - 20
    assert world.last_leaf.outcome == "PROVIDER_IN_MAINTENANCE"
    assert world.provider.asked == []


async def test_before_and_after_maintenance_a_provider_is_asked() -> None:
    world = World()
    world.terms.set_window(replace(WINDOW, begin_time=NOW + timedelta(seconds=1)))
    assert await world.providers.ask(household(), INQUIRY) == FOUND
    world.later(2 * 3600)
    assert await world.providers.ask(household(), INQUIRY) == FOUND


async def test_maintenance_of_one_resource_leaves_the_others_open() -> None:
    world = World()
    world.terms.set_window(replace(WINDOW, resource=HOUSEHOLD))
    with pytest.raises(ProviderInMaintenance):
        await world.providers.ask(household(), INQUIRY)
    assert await world.providers.ask(household(code="307002/000002"), INQUIRY) == FOUND


async def test_maintenance_that_was_called_off_refuses_nobody() -> None:
    world = World()
    world.terms.set_window(WINDOW)
    world.terms.set_window(replace(WINDOW, cancelled=True))
    assert await world.providers.ask(household(), INQUIRY) == FOUND


async def test_an_answer_that_may_be_given_again_is_given_within_maintenance_too() -> None:
    world = world_with(AnswerPolicy(HOUSEHOLD, cache_seconds=60))
    await world.providers.ask(household(), INQUIRY)
    world.terms.set_window(WINDOW)
    assert await world.providers.ask(household(), INQUIRY) == FOUND
