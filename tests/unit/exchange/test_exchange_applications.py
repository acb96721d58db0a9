# SPDX-License-Identifier: Apache-2.0
"""Applications for grants: the check of form, the clocks, the decision, the dispute, and the league table."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.exchange.domain.applications import Act, State
from services.exchange.domain.grant import GRANTS_MAX
from services.exchange.domain.hours import Hours, Window
from services.exchange.domain.resource import SharingClass
from services.exchange.domain.terms import Terms
from services.exchange.service.applications import Decision, Lateness
from services.kit.caller import Caller, acting_as
from services.kit.errors import Refusal, RequestIdReused, RightMissing, Violation
from services.kit.ids import new_id
from tests.support.exchange_applying import (
    COORDINATOR,
    PROVIDER,
    REQUESTER,
    Applying,
    a_scope,
    an_application,
    applying,
)
from tests.support.exchange_terms import IN_SPRING_LANE, IS_DAUGHTER
from tests.support.exchange_world import CITIZEN, HOSPITAL, HOUSEHOLD, NOW, OPERATOR, POLICE, household

YES, NO = Decision(a_scope(), ""), Decision(None, "The law on household registers, art. 5.")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Applying]:
    async with applying(f"sqlite:///{tmp_path}/exchange.sqlite", tmp_path) as world:
        yield world


async def refused(coroutine: object) -> str:
    with pytest.raises(Refusal) as refusal:
        await coroutine  # type: ignore[misc] # a use case
    return refusal.value.reason


async def applied(world: Applying, **changes: object) -> str:
    return (await world.service.apply(an_application(**changes), REQUESTER)).application_id


async def test_an_id_that_did_something_else_shows_no_application_and_never_reads_as_done(world: Applying) -> None:
    application_id, request_id = await applied(world), new_id()
    stranger = replace(COORDINATOR, rights=frozenset({"exchange.apply", "exchange.read"}))
    with acting_as(stranger):
        await world.service.apply(an_application(request_id=request_id), stranger)
        assert await refused(world.service.withdraw(request_id, application_id, stranger)) == "REQUEST_ID_REUSED"
        assert await refused(world.service.apply(an_application(request_id=request_id, scene="-"), stranger)) == (
            "REQUEST_ID_REUSED"
        )
    with acting_as(PROVIDER):
        await world.service.ask_extension(request_id, application_id, "The register is moving.", PROVIDER)
        assert await refused(world.service.decide(request_id, application_id, YES, PROVIDER)) == "REQUEST_ID_REUSED"


async def test_nobody_collects_grants_without_end_on_what_is_granted_by_itself(tmp_path: Path) -> None:
    free = replace(household(), sharing_class=SharingClass.UNCONDITIONAL)
    async with applying(f"sqlite:///{tmp_path}/exchange.sqlite", tmp_path, free) as world:
        for _ in range(GRANTS_MAX):
            await applied(world)
        assert await refused(applied(world)) == "TOO_MANY_GRANTS"
        world.now += timedelta(days=366)
        wanted = a_scope(expire_time=world.now + timedelta(days=1))
        assert await applied(world, wanted=wanted), "what has ended takes no room"


async def test_what_is_missing_is_told_once_and_completely(world: Applying) -> None:
    wanted = a_scope(basis="", fields=("salary",), expire_time=None, terms=Terms())
    back = await world.service.apply(an_application(scene=" ", wanted=wanted), REQUESTER)
    assert back.state is State.HANDED_BACK
    assert {each.field for each in back.missing} == {
        "wanted.basis",
        "wanted.fields",
        "wanted.expire_time",
        "wanted.terms.methods",
        "scene",
    }
    assert await refused(world.service.decide(new_id(), back.application_id, YES, PROVIDER)) == "APPLICATION_NOT_OPEN"
    complete = await world.service.complete(
        new_id(), back.application_id, scene="Birth, step 2", wanted=a_scope(), caller=REQUESTER
    )
    assert (complete.state, complete.missing) == (State.DECIDING, ())
    missing = (Violation("wanted.basis", "The article."),)
    reason = await refused(world.service.hand_back(new_id(), back.application_id, missing, PROVIDER))
    assert reason == "HANDED_BACK_BEFORE"


async def test_what_is_still_incomplete_is_refused_and_can_be_disputed(world: Applying) -> None:
    back = await world.service.apply(an_application(scene=""), REQUESTER)
    ended = await world.service.complete(
        new_id(), back.application_id, scene="", wanted=a_scope(basis=""), caller=REQUESTER
    )
    assert (ended.state, ended.reason) == (State.REFUSED, "APPLICATION_INCOMPLETE")
    assert {each.field for each in ended.missing} == {"wanted.basis", "scene"}
    disputed = await world.service.dispute(new_id(), back.application_id, "It is all there.", REQUESTER)
    assert disputed.state is State.NEGOTIATING


async def test_what_is_handed_back_and_not_completed_lapses(world: Applying) -> None:
    back = await world.service.apply(an_application(scene=""), REQUESTER)
    await world.later(days=30)
    found, clock = await world.service.get(back.application_id, REQUESTER)
    assert (found.state, clock) == (State.LAPSED, None)


async def test_unconditional_sharing_is_granted_by_itself(tmp_path: Path) -> None:
    resource = household(sharing_class=SharingClass.UNCONDITIONAL)
    async with applying(f"sqlite:///{tmp_path}/exchange.sqlite", tmp_path, resource) as world:
        given = await world.service.apply(an_application(), REQUESTER)
        assert given.state is State.GRANTED
        permit = await world.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=())
        assert permit.grant_id == given.grant_id == given.application_id
        assert [fact.grant_id for fact in await world.facts("GrantChanged")] == [given.grant_id]
        async with world.store.transaction() as tx:
            assert (await tx.grant(given.grant_id)).application_id == given.application_id


async def test_what_the_law_does_not_share_is_refused_with_its_reason(tmp_path: Path) -> None:
    resource = household(sharing_class=SharingClass.REFUSED, sharing_reason="Law on X, art. 1.")
    async with applying(f"sqlite:///{tmp_path}/exchange.sqlite", tmp_path, resource) as world:
        ended = await world.service.apply(an_application(), REQUESTER)
        assert (ended.state, ended.reason, ended.last.words) == (State.REFUSED, "SHARING_REFUSED", "Law on X, art. 1.")
        await world.service.dispute(new_id(), ended.application_id, "Another law.", REQUESTER)
        assert await refused(world.service.decide(new_id(), ended.application_id, YES, PROVIDER)) == "SHARING_REFUSED"


async def test_the_provider_agrees_and_the_grant_is_in_force(world: Applying) -> None:
    application_id = await applied(world)
    await refused(world.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=()))
    given = await world.service.decide(new_id(), application_id, YES, PROVIDER)
    assert (given.state, given.narrowed) == (State.GRANTED, False)
    await world.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=())
    assert await refused(world.service.decide(new_id(), application_id, NO, PROVIDER)) == "APPLICATION_NOT_OPEN"


async def test_the_provider_gives_less_and_says_why(world: Applying) -> None:
    application_id = await applied(world)
    terms = replace(a_scope().terms, predicate=IN_SPRING_LANE, rate_per_second=5, hours=Hours((Window(540, 1080),)))
    less = a_scope(fields=("address",), verify_fields=("household_number",), daily_quota=100, terms=terms)
    silent = Decision(less, " ")
    assert await refused(world.service.decide(new_id(), application_id, silent, PROVIDER)) == "REQUEST_INVALID"
    more = Decision(a_scope(fields=("address", "relation")), "More.")
    assert await refused(world.service.decide(new_id(), application_id, more, PROVIDER)) == "NOT_NARROWER"
    given = await world.service.decide(new_id(), application_id, Decision(less, "Least data."), PROVIDER)
    assert (given.narrowed, given.given, given.last.words) == (True, less, "Least data.")
    async with world.store.transaction() as tx:
        grant = await tx.grant(given.grant_id)
    assert (grant.fields, grant.terms, grant.daily_quota) == (("address",), terms, 100)


async def test_the_clock_of_a_decision_counts_working_days_and_says_how(world: Applying) -> None:
    application_id = await applied(world)  # Friday, 20 November 2026
    _, clock = await world.service.get(application_id, PROVIDER)
    assert clock is not None
    assert clock.due is not None
    assert (clock.name, clock.unverified) == ("application.conditional", True)
    assert (clock.due + timedelta(hours=8)).date().isoformat() == "2026-12-05"  # the end of 4 December
    assert len(clock.derivation) > 2


async def test_silence_past_the_clock_goes_to_the_coordinator_who_may_decide(world: Applying) -> None:
    application_id = await applied(world)
    assert await refused(world.service.resolve(new_id(), application_id, YES, COORDINATOR)) == "APPLICATION_NOT_OPEN"
    await world.later(days=21)
    found, _ = await world.service.get(application_id, COORDINATOR)
    assert (found.state, found.overdue, found.last.act) == (State.DECIDING, True, Act.OVERDUE)
    rang = [(fact.bell, fact.provider) for fact in await world.facts("ApplicationClockRang")]
    assert rang == [("warning", POLICE), ("expiry", POLICE), ("escalation", POLICE)]
    table = await world.service.lateness(page_size=0, page_token="", caller=COORDINATOR)
    assert table.rows == (Lateness(POLICE, accepted=1, decided=0, late=1, waiting=1),)
    decided = await world.service.resolve(new_id(), application_id, YES, COORDINATOR)
    assert decided.state is State.GRANTED
    table = await world.service.lateness(page_size=0, page_token="", caller=COORDINATOR)
    assert table.rows == (Lateness(POLICE, accepted=1, decided=1, late=1, waiting=0),)


async def test_a_provider_may_still_decide_late_and_stays_in_the_league_table(world: Applying) -> None:
    application_id = await applied(world)
    await applied(world)
    await world.later(days=16)
    assert (await world.service.decide(new_id(), application_id, YES, PROVIDER)).state is State.GRANTED
    table = await world.service.lateness(page_size=0, page_token="", caller=REQUESTER)
    assert table.rows == (Lateness(POLICE, accepted=2, decided=1, late=2, waiting=1),)


async def test_more_time_is_asked_once_given_by_the_coordinator_and_told(world: Applying) -> None:
    application_id = await applied(world)
    _, before = await world.service.get(application_id, REQUESTER)
    await world.service.ask_extension(new_id(), application_id, "Two registers.", PROVIDER)
    reason = await refused(world.service.ask_extension(new_id(), application_id, "Again.", PROVIDER))
    assert reason == "EXTENSION_ASKED"
    await world.service.decide_extension(new_id(), application_id, approved=True, grounds="Agreed.", caller=COORDINATOR)
    _, after = await world.service.get(application_id, REQUESTER)
    assert before is not None
    assert after is not None
    assert before.due is not None
    assert after.due is not None
    assert after.due - before.due == timedelta(days=14)  # ten working days
    acts = [fact.act for fact in await world.facts("ApplicationChanged")]
    assert len(acts) == 3
    await world.later(days=20)
    assert not (await world.service.get(application_id, REQUESTER))[0].overdue


async def test_more_time_that_is_declined_changes_no_clock(world: Applying) -> None:
    application_id = await applied(world)
    await world.service.ask_extension(new_id(), application_id, "Two registers.", PROVIDER)
    await world.service.decide_extension(new_id(), application_id, approved=False, grounds="No.", caller=COORDINATOR)
    await world.later(days=16)
    assert (await world.service.get(application_id, REQUESTER))[0].overdue


async def test_the_provider_hands_back_in_time_or_not_at_all(world: Applying) -> None:
    missing = (Violation("wanted.basis", "The article of the law."),)
    first, second = await applied(world), await applied(world)
    back = await world.service.hand_back(new_id(), first, missing, PROVIDER)
    assert (back.state, back.missing) == (State.HANDED_BACK, missing)
    again = await world.service.complete(new_id(), first, scene="Birth", wanted=a_scope(), caller=REQUESTER)
    assert again.state is State.DECIDING
    await world.later(days=6)
    assert await refused(world.service.hand_back(new_id(), second, missing, PROVIDER)) == "HAND_BACK_TOO_LATE"


async def test_a_refusal_is_disputed_negotiated_and_decided_by_the_coordinator(world: Applying) -> None:
    application_id = await applied(world)
    ended = await world.service.decide(new_id(), application_id, NO, PROVIDER)
    assert (ended.state, ended.reason, ended.last.words) == (State.REFUSED, "PROVIDER_REFUSED", NO.grounds)
    await world.service.dispute(new_id(), application_id, "Art. 19 of Order 809.", REQUESTER)
    assert await refused(world.service.escalate(new_id(), application_id, "x", COORDINATOR)) == "ACT_NOT_YOURS"
    await world.service.escalate(new_id(), application_id, "No agreement.", REQUESTER)
    found, clock = await world.service.get(application_id, COORDINATOR)
    assert found.state is State.COORDINATING
    assert clock is not None
    given = await world.service.resolve(new_id(), application_id, YES, COORDINATOR)
    assert (given.state, given.last.by) == (State.GRANTED, COORDINATOR.id)


async def test_a_negotiation_that_leads_nowhere_goes_to_the_coordinator_by_itself(world: Applying) -> None:
    application_id = await applied(world)
    await world.service.decide(new_id(), application_id, NO, PROVIDER)
    await world.service.dispute(new_id(), application_id, "Art. 19 of Order 809.", REQUESTER)
    await world.later(days=15)
    assert (await world.service.get(application_id, REQUESTER))[0].state is State.COORDINATING
    no = await world.service.resolve(new_id(), application_id, NO, COORDINATOR)
    assert (no.state, no.reason, no.final) == (State.REFUSED, "COORDINATOR_REFUSED", True)
    assert await refused(world.service.dispute(new_id(), application_id, "x", REQUESTER)) == "APPLICATION_NOT_OPEN"


async def test_a_provider_yields_in_a_negotiation(world: Applying) -> None:
    application_id = await applied(world)
    await world.service.decide(new_id(), application_id, NO, PROVIDER)
    await world.service.dispute(new_id(), application_id, "Art. 19 of Order 809.", REQUESTER)
    assert (await world.service.decide(new_id(), application_id, YES, PROVIDER)).state is State.GRANTED


async def test_a_refusal_that_nobody_contests_in_time_is_final(world: Applying) -> None:
    application_id = await applied(world)
    await world.service.decide(new_id(), application_id, NO, PROVIDER)
    await world.later(days=15)
    found, clock = await world.service.get(application_id, REQUESTER)
    assert (found.final, clock) == (True, None)
    assert await refused(world.service.dispute(new_id(), application_id, "x", REQUESTER)) == "APPLICATION_NOT_OPEN"


async def test_an_application_is_taken_back_and_rings_no_more(world: Applying) -> None:
    application_id = await applied(world)
    assert (await world.service.withdraw(new_id(), application_id, REQUESTER)).state is State.WITHDRAWN
    await world.later(days=30)
    assert await world.facts("ApplicationClockRang") == []


async def test_the_same_request_has_one_effect(world: Applying) -> None:
    command = an_application()
    first = await world.service.apply(command, REQUESTER)
    assert await world.service.apply(command, REQUESTER) == first
    with pytest.raises(RequestIdReused):
        await world.service.apply(replace(command, resource="307009/1"), REQUESTER)
    request_id = new_id()
    given = await world.service.decide(request_id, first.application_id, YES, PROVIDER)
    assert await world.service.decide(request_id, first.application_id, YES, PROVIDER) == given
    with pytest.raises(RequestIdReused):
        await world.service.decide(request_id, first.application_id, NO, PROVIDER)
    assert len(await world.facts("GrantChanged")) == 1


@pytest.mark.parametrize("caller", [PROVIDER, CITIZEN])
async def test_only_who_has_the_right_applies(world: Applying, caller: Caller) -> None:
    with pytest.raises(RightMissing):
        await world.service.apply(an_application(), caller)


async def test_nobody_acts_for_the_other_party_or_judges_their_own_case(world: Applying) -> None:
    application_id = await applied(world)
    everything = frozenset({"exchange.apply", "exchange.decide", "exchange.coordinate", "exchange.read"})
    requester, provider = replace(REQUESTER, rights=everything), replace(PROVIDER, rights=everything)
    assert await refused(world.service.decide(new_id(), application_id, YES, requester)) == "ACT_NOT_YOURS"
    assert await refused(world.service.withdraw(new_id(), application_id, provider)) == "ACT_NOT_YOURS"
    await world.service.decide(new_id(), application_id, NO, provider)
    await world.service.dispute(new_id(), application_id, "x", requester)
    await world.service.escalate(new_id(), application_id, "x", provider)
    for party in (requester, provider):
        assert await refused(world.service.resolve(new_id(), application_id, YES, party)) == "ACT_NOT_YOURS"


async def test_parties_see_their_own_applications_and_the_authority_all(world: Applying) -> None:
    ids = [await applied(world) for _ in range(3)]
    stranger = Caller(REQUESTER.kind, "11990100000001999X", REQUESTER.rights, agency="11990100000001999X")
    assert await refused(world.service.get(ids[0], stranger)) == "APPLICATION_NOT_FOUND"

    async def listed(caller: Caller, *, as_provider: bool = False, state: State | None = None) -> list[str]:
        found, token = [], ""
        while True:
            page = await world.service.list(
                as_provider=as_provider, state=state, page_size=2, page_token=token, caller=caller
            )
            found += [each.application_id for each in page.rows]
            token = page.next_token
            if not token:
                return found

    for seen in (
        await listed(REQUESTER),
        await listed(PROVIDER, as_provider=True),
        await listed(COORDINATOR),
        await listed(OPERATOR, state=State.DECIDING),
    ):
        assert sorted(seen) == sorted(ids)
    assert await listed(stranger) == await listed(PROVIDER) == await listed(OPERATOR, state=State.LAPSED) == []


async def test_an_application_comes_back_as_it_was_stored(world: Applying) -> None:
    application = await world.service.apply(an_application(), REQUESTER)
    assert (await world.service.get(application.application_id, REQUESTER))[0] == application
    assert application.wanted.terms.questions == (IS_DAUGHTER,)
    assert application.accept_time == NOW
