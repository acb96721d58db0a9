# SPDX-License-Identifier: Apache-2.0
"""Requests: asked, leased, answered within a clock, collected with a leaf."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.exchange.domain.requests import DataRequest, RequestState
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.grants import RevokeGrant
from services.exchange.service.requests import AnswerData, RequestData, Work
from services.kit.caller import Caller, CallerKind
from services.kit.errors import Code, NotFound, Refusal, RemoteRefusal
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld, a_consent, calls_world, number, person
from tests.support.exchange_world import HOSPITAL, HOSPITAL_CALLER, HOUSEHOLD, OPERATOR, POLICE, asking

PROVIDER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.provide"}), agency=POLICE)
RECORD = {"address": "1 Spring Lane", "household_number": "H-1", "head_name": "Li Wei"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallsWorld]:
    async with calls_world(tmp_path) as world:
        await world.granted(fields=("address",))
        yield world


async def refused(work: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await work
    return refusal.value.reason


async def ask(world: CallsWorld, at: int = 1, *, request_id: str = "", **changes: Any) -> DataRequest:
    given: dict[str, Any] = {"purpose": "birth", "case_id": "990100/x/1", "fields": (), **changes}
    command = RequestData(request_id=request_id or new_id(), resource=HOUSEHOLD, subject=person(at), **given)
    with asking():
        return await world.requests.ask(command, HOSPITAL_CALLER)


async def lease(world: CallsWorld, most: int = 0) -> list[Work]:
    with asking(PROVIDER):
        return list(await world.requests.lease(most, PROVIDER))


async def answer(world: CallsWorld, work: Work, **changes: Any) -> DataRequest:
    command = AnswerData(**{"id": work.request.id, "lease_id": work.request.lease_id, "record": RECORD, **changes})
    with asking(PROVIDER):
        return await world.requests.answer(command, PROVIDER)


async def collect(world: CallsWorld, request: DataRequest, who: Caller = HOSPITAL_CALLER) -> Any:
    with asking(who):
        return await world.requests.collect(request.id, who)


async def test_asked_now_answered_by_people_collected_with_a_leaf(world: CallsWorld) -> None:
    request = await ask(world)
    assert await refused(collect(world, request)) == "DATA_REQUEST_PENDING"
    (work,) = await lease(world)
    assert (work.subject_key, work.request.fields) == (number(1), ("address",))
    assert (await answer(world, work)).state is RequestState.ANSWERED
    handed = await collect(world, request)
    assert handed.values == {"address": "1 Spring Lane"}
    leaves = await world.leaves()
    assert [(leaf["operation"], leaf["caller"], leaf["outcome"]) for leaf in leaves] == [
        ("request", f"agency:{HOSPITAL}", "ASKED"),
        ("request", f"agency:{POLICE}", "answered"),
        ("request_collected", f"agency:{HOSPITAL}", "answered"),
    ]
    assert all(leaf["digest"] for leaf in leaves[1:])
    assert (await world.told()).count("DataRequestChanged") == 2


async def test_a_request_about_nobody_keeps_no_other_from_the_desk(
    world: CallsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody, somebody = await ask(world, 1), await ask(world, 2)
    known = world.persons.by_subject_id

    async def by_subject_id(subject_id: str, **why: str) -> str:
        if subject_id == person(1).value:
            raise RemoteRefusal("There is no such person.", code=Code.NOT_FOUND, reason="PERSON_NOT_FOUND")
        return await known(subject_id, **why)

    monkeypatch.setattr(world.persons, "by_subject_id", by_subject_id)
    assert [work.request.id for work in await lease(world)] == [somebody.id]
    assert (await world.requests.read(nobody.id, HOSPITAL_CALLER)).state is RequestState.NOT_FOUND


async def test_whoever_asked_can_not_answer_themselves(world: CallsWorld) -> None:
    request = await ask(world)
    both = replace(HOSPITAL_CALLER, rights=HOSPITAL_CALLER.rights | {"exchange.provide"})
    for key in (number(1), number(2)):
        guess = AnswerData(request.id, new_id(), {**RECORD, "subject_key": key})
        with asking(both):
            assert await refused(world.requests.answer(guess, both)) == "DATA_REQUEST_NOT_FOUND"


async def test_the_due_date_counts_working_days(world: CallsWorld) -> None:
    """Friday 20 November 2026; five working days later is Friday 27, late from the day after."""
    assert (await ask(world)).due_time == datetime(2026, 11, 27, 16, tzinfo=UTC)


async def test_an_answer_that_does_not_come_is_told_as_overdue_and_still_taken(world: CallsWorld) -> None:
    request = await ask(world)
    world.later(9 * 86_400)
    with asking(OPERATOR):
        while await world.deadlines.ring():
            pass
    with asking():
        assert (await world.requests.read(request.id, HOSPITAL_CALLER)).overdue
    (work,) = await lease(world)
    await answer(world, work)
    assert (await collect(world, request)).values


async def test_one_person_at_a_time_has_a_request(world: CallsWorld) -> None:
    for at in range(3):
        await ask(world, at)
        world.later(1)
    first, second = await lease(world, 2), await lease(world)
    assert [work.subject_key for work in first + second] == [number(at) for at in range(3)]
    assert await lease(world) == []
    world.later(15 * 60)
    again = await lease(world)
    assert len(again) == 3
    assert await refused(answer(world, first[0])) == "LEASE_LOST"
    await answer(world, again[0])


async def test_who_is_late_and_whose_request_nobody_took_may_still_answer(world: CallsWorld) -> None:
    await ask(world)
    (work,) = await lease(world)
    world.later(20 * 60)
    assert (await answer(world, work)).state is RequestState.ANSWERED


async def test_a_refusal_says_why_and_no_record_says_so(world: CallsWorld) -> None:
    first, second = await ask(world, 1), await ask(world, 2)
    by_id = {work.request.id: work for work in await lease(world)}
    await answer(world, by_id[first.id], record=None, grounds="The paper file is with the court.")
    await answer(world, by_id[second.id], record=None)
    assert await refused(collect(world, first)) == "DATA_REQUEST_REFUSED"
    with pytest.raises(NotFound):
        await collect(world, second)
    with asking():
        found = await world.requests.read(first.id, HOSPITAL_CALLER)
    assert found.answer is not None
    assert found.answer.grounds == "The paper file is with the court."
    outcomes = [leaf["outcome"] for leaf in await world.leaves()]
    assert [each for each in outcomes if each != "ASKED"] == ["REFUSED", "NOT_FOUND"]


async def test_the_same_answer_twice_has_one_effect_and_another_is_refused(world: CallsWorld) -> None:
    await ask(world)
    (work,) = await lease(world)
    assert await answer(world, work) == await answer(world, work)
    assert await refused(answer(world, work, record=None)) == "DATA_REQUEST_ANSWERED"
    assert [leaf["outcome"] for leaf in await world.leaves()] == ["ASKED", "answered"]


async def test_an_answer_about_somebody_else_is_not_believed(world: CallsWorld) -> None:
    await ask(world)
    (work,) = await lease(world)
    bad = {**RECORD, "subject_key": number(9)}
    assert await refused(answer(world, work, record=bad)) == "PROVIDER_ANSWER_INVALID"


async def test_the_same_question_twice_is_one_request(world: CallsWorld) -> None:
    request_id = new_id()
    assert await ask(world, request_id=request_id) == await ask(world, request_id=request_id)
    assert await refused(ask(world, 2, request_id=request_id)) == "REQUEST_ID_REUSED"


async def test_a_grant_taken_back_keeps_the_answer_from_being_collected(world: CallsWorld) -> None:
    request = await ask(world)
    (work,) = await lease(world)
    await answer(world, work)
    grants = await world.store.grants_of(HOSPITAL, HOUSEHOLD)
    await world.grants.revoke(RevokeGrant(new_id(), grants[0].grant_id, "Misuse."), OPERATOR)
    assert await refused(collect(world, request)) == "NO_GRANT"
    assert (await world.leaves())[-1]["outcome"] == "NO_GRANT"
    assert await refused(ask(world)) == "NO_GRANT"
    assert (await world.leaves())[-1]["operation"] == "request"


async def test_what_rests_on_consent_needs_it_to_ask_and_to_collect(tmp_path: Path) -> None:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=Terms(methods=(Method.QUERY,), consent=True), fields=("address",))
        assert await refused(ask(world)) == "CONSENT_MISSING"
        resident = Caller(CallerKind.CITIZEN, person(1).value)
        with asking(resident):
            await world.consents.give(a_consent(world.now), resident)
        request = await ask(world)
        await answer(world, (await lease(world))[0])
        assert (await collect(world, request)).values


async def test_a_request_is_its_askers_and_its_providers_alone(world: CallsWorld) -> None:
    request = await ask(world)
    stranger = Caller(CallerKind.AGENCY, "11990100000001011X", frozenset({"exchange.query", "exchange.provide"}))
    assert await refused(collect(world, request, stranger)) == "DATA_REQUEST_NOT_FOUND"
    with asking(stranger):
        assert list(await world.requests.lease(0, stranger)) == []
    provider = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.query", "exchange.provide"}), agency=POLICE)
    await answer(world, (await lease(world))[0])
    assert await refused(collect(world, request, provider)) == "DATA_REQUEST_NOT_FOUND"


async def test_requests_are_listed_and_are_not_kept_for_ever(world: CallsWorld) -> None:
    request = await ask(world)
    with asking():
        page = await world.requests.list(state=RequestState.OPEN, page_size=10, page_token="", caller=HOSPITAL_CALLER)
    assert [each.id for each in page.rows] == [request.id]
    world.later(90 * 86_400 + 1)
    assert await refused(collect(world, request)) == "DATA_REQUEST_NOT_FOUND"
    assert await world.requests.drop_expired() == 1
