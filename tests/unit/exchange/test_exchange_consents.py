# SPDX-License-Identifier: Apache-2.0
"""Consents and previews: given, withdrawn, shown, confirmed; and nothing else is sent."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.exchange.domain.inquiry import Query, Subject, SubjectKind
from services.exchange.domain.previews import Preview, PreviewState
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.consents import WithdrawConsent
from services.exchange.service.previews import DecidePreview, RequestPreview
from services.kit.caller import Caller, CallerKind
from services.kit.errors import NotFound, Refusal
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld, a_consent, calls_world, person
from tests.support.exchange_world import HOSPITAL, HOSPITAL_CALLER, HOUSEHOLD, OPERATOR, POLICE, asking

RESIDENT = Caller(CallerKind.CITIZEN, person(7).value)
STRANGER = Caller(CallerKind.CITIZEN, person(8).value)
BY_CONSENT = Terms(methods=(Method.QUERY,), consent=True)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallsWorld]:
    async with calls_world(tmp_path) as world:
        await world.granted(terms=BY_CONSENT, fields=("address", "household_number"))
        yield world


async def refused(work: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await work
    return refusal.value.reason


async def query(world: CallsWorld, *fields: str) -> dict[str, Any]:
    question = Query(HOUSEHOLD, person(7), fields or ("address",), "birth")
    with asking():
        return (await world.queries.query(question, HOSPITAL_CALLER)).values


async def give(world: CallsWorld, **changes: Any) -> Any:
    with asking(RESIDENT):
        return await world.consents.give(a_consent(world.now, **changes), RESIDENT)


async def withdraw(world: CallsWorld, consent_id: str, who: Caller = RESIDENT, request_id: str = "") -> Any:
    with asking(who):
        return await world.consents.withdraw(WithdrawConsent(request_id or new_id(), consent_id), who)


# ---- consents -------------------------------------------------------------------------------------------------------


async def test_what_rests_on_consent_is_answered_once_it_is_given_and_until_it_is_withdrawn(world: CallsWorld) -> None:
    assert await refused(query(world)) == "CONSENT_MISSING"
    given = await give(world)
    assert await query(world) == {"address": "007"}
    await withdraw(world, given.consent_id)
    assert await refused(query(world)) == "CONSENT_MISSING"
    outcomes = [(leaf["operation"], leaf["outcome"]) for leaf in await world.leaves()]
    assert outcomes == [
        ("query", "CONSENT_MISSING"),
        ("consent_given", "answered"),
        ("query", "answered"),
        ("consent_withdrawn", "answered"),
        ("query", "CONSENT_MISSING"),
    ]
    assert len({leaf["subject"] for leaf in await world.leaves()}) == 1
    assert (await world.told()).count("ConsentChanged") == 2


@pytest.mark.parametrize(
    "changes",
    [{"purpose": "school"}, {"grantee": POLICE}, {"fields": ("household_number",)}, {"resource": "elsewhere"}],
)
async def test_a_consent_covers_nothing_else(world: CallsWorld, changes: dict[str, Any]) -> None:
    if "resource" in changes:
        assert await refused(give(world, **changes)) == "RESOURCE_NOT_FOUND"
        return
    await give(world, **changes)
    assert await refused(query(world)) == "CONSENT_MISSING"


async def test_one_field_without_consent_refuses_all(world: CallsWorld) -> None:
    await give(world)
    assert await refused(query(world, "address", "household_number")) == "CONSENT_MISSING"


async def test_a_consent_ends_with_its_time(world: CallsWorld) -> None:
    await give(world, expire_time=world.now + timedelta(days=1))
    await query(world)
    world.later(86_400)
    assert await refused(query(world)) == "CONSENT_MISSING"


async def test_nobody_consents_to_what_there_is_not_or_without_end(world: CallsWorld) -> None:
    for changes in ({"fields": ("salary",)}, {"fields": ()}, {"expire_time": world.now + timedelta(days=3000)}):
        assert await refused(give(world, **changes)) == "REQUEST_INVALID"
    assert await refused(give(world, expire_time=world.now)) == "REQUEST_INVALID"


async def test_the_same_request_twice_has_one_effect(world: CallsWorld) -> None:
    command = a_consent(world.now)
    with asking(RESIDENT):
        first = await world.consents.give(command, RESIDENT)
        world.later(5)
        assert await world.consents.give(command, RESIDENT) == first
    request_id = new_id()
    after = await withdraw(world, first.consent_id, request_id=request_id)
    assert await withdraw(world, first.consent_id, request_id=request_id) == after
    assert await refused(withdraw(world, first.consent_id)) == "CONSENT_WITHDRAWN"
    assert len(await world.leaves()) == 2


async def test_a_consent_is_its_residents_own(world: CallsWorld) -> None:
    given = await give(world)
    assert await refused(withdraw(world, given.consent_id, STRANGER)) == "CONSENT_NOT_FOUND"
    assert (await world.consents.list(page_size=10, page_token="", caller=STRANGER)).rows == ()


async def test_consents_are_listed_newest_first_page_by_page(world: CallsWorld) -> None:
    ids = []
    for _ in range(5):
        world.later(1)
        ids.append((await give(world)).consent_id)
    seen: list[str] = []
    token = ""
    while True:
        page = await world.consents.list(page_size=2, page_token=token, caller=RESIDENT)
        seen += [each.consent_id for each in page.rows]
        token = page.next_token
        if not token:
            break
    assert seen == ids[::-1]


async def test_a_withdrawal_elsewhere_is_known_by_its_event(world: CallsWorld) -> None:
    given = await give(world)
    await query(world)
    async with world.store.transaction() as tx:  # as another process does
        before = await tx.consent(given.consent_id, subject_id=RESIDENT.id)
        await tx.save_consent(before.__class__(**{**_members(before), "withdraw_time": world.now}))
    assert await query(world)
    world.consents.forget(RESIDENT.id, HOSPITAL)
    assert await refused(query(world)) == "CONSENT_MISSING"


def _members(consent: Any) -> dict[str, Any]:
    return {name: getattr(consent, name) for name in consent.__dataclass_fields__}


# ---- previews -------------------------------------------------------------------------------------------------------


async def requested(world: CallsWorld, *, subject: Subject | None = None, request_id: str = "") -> Preview:
    command = RequestPreview(
        request_id or new_id(), HOUSEHOLD, subject or person(7), "birth", "990100/x/1", ("address",)
    )
    with asking():
        return await world.previews.request(command, HOSPITAL_CALLER)


async def look(world: CallsWorld, preview: Preview, who: Caller = RESIDENT) -> Any:
    with asking(who):
        return await world.previews.look(preview.preview_id, who)


async def confirm(world: CallsWorld, preview: Preview, token: str) -> Preview:
    with asking(RESIDENT):
        return await world.previews.confirm(DecidePreview(new_id(), preview.preview_id, token), RESIDENT)


async def collect(world: CallsWorld, preview: Preview, who: Caller = HOSPITAL_CALLER) -> Any:
    with asking(who):
        return await world.previews.collect(preview.preview_id, who)


async def test_what_was_shown_and_confirmed_is_what_is_sent_once(world: CallsWorld) -> None:
    preview = await requested(world)
    assert await refused(collect(world, preview)) == "PREVIEW_NOT_CONFIRMED"
    shown = await look(world, preview)
    assert shown.values == {"address": "007"}
    assert (await confirm(world, preview, shown.preview.token)).state is PreviewState.CONFIRMED
    collected = await collect(world, preview)
    assert collected.values == shown.values
    assert await refused(collect(world, preview)) == "PREVIEW_COLLECTED"
    assert [leaf["operation"] for leaf in await world.leaves()] == [
        "preview",
        "preview_confirmed",
        "preview_collected",
    ]
    assert (await look(world, preview)).values is None


async def test_values_that_changed_since_are_not_sent_and_are_shown_again(world: CallsWorld) -> None:
    preview = await requested(world)
    await confirm(world, preview, (await look(world, preview)).preview.token)
    world.provider.padding = "moved "
    assert await refused(collect(world, preview)) == "PREVIEW_CHANGED"
    assert (await world.leaves())[-1]["outcome"] == "PREVIEW_CHANGED"
    assert await refused(collect(world, preview)) == "PREVIEW_NOT_CONFIRMED"
    again = await look(world, preview)
    assert again.values == {"address": "moved 007"}
    await confirm(world, preview, again.preview.token)
    assert (await collect(world, preview)).values == {"address": "moved 007"}


async def test_only_the_last_look_can_be_confirmed_and_not_for_ever(world: CallsWorld) -> None:
    preview = await requested(world)
    first = await look(world, preview)
    second = await look(world, preview)
    assert await refused(confirm(world, preview, first.preview.token)) == "PREVIEW_TOKEN_INVALID"
    world.later(31 * 60)
    assert await refused(confirm(world, preview, second.preview.token)) == "PREVIEW_TOKEN_INVALID"
    assert await refused(confirm(world, preview, "")) == "PREVIEW_TOKEN_INVALID"


async def test_what_is_declined_is_never_sent(world: CallsWorld) -> None:
    preview = await requested(world)
    shown = await look(world, preview)
    other, reused = await requested(world), new_id()
    with asking(RESIDENT):
        await world.previews.decline(DecidePreview(reused, preview.preview_id), RESIDENT)
        again = world.previews.decline(DecidePreview(reused, other.preview_id), RESIDENT)
        assert await refused(again) == "REQUEST_ID_REUSED", "else it would read as declined and still wait"
    assert await refused(collect(world, preview)) == "PREVIEW_DECLINED"
    assert await refused(confirm(world, preview, shown.preview.token)) == "PREVIEW_NOT_PENDING"


async def test_a_preview_is_its_residents_and_its_agencys_alone(world: CallsWorld) -> None:
    preview = await requested(world)
    assert await refused(look(world, preview, STRANGER)) == "PREVIEW_NOT_FOUND"
    police = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.query"}), agency=POLICE)
    assert await refused(collect(world, preview, police)) == "PREVIEW_NOT_FOUND"
    page = await world.previews.list(page_size=10, page_token="", caller=RESIDENT)
    assert [each.preview_id for each in page.rows] == [preview.preview_id]


async def test_a_preview_ends_with_its_time(world: CallsWorld) -> None:
    preview = await requested(world)
    await confirm(world, preview, (await look(world, preview)).preview.token)
    world.later(3 * 86_400 + 1)
    assert await refused(collect(world, preview)) == "PREVIEW_NOT_FOUND"
    assert await world.previews.drop_expired() == 1


async def test_the_same_request_for_a_preview_is_one_preview_and_too_many_are_refused(world: CallsWorld) -> None:
    request_id = new_id()
    first = await requested(world, request_id=request_id)
    assert await requested(world, request_id=request_id) == first
    for _ in range(19):
        await requested(world)
    assert await refused(requested(world)) == "TOO_MANY_PREVIEWS"


async def test_a_grant_taken_back_after_the_word_of_the_resident_sends_nothing(world: CallsWorld) -> None:
    preview = await requested(world)
    await confirm(world, preview, (await look(world, preview)).preview.token)
    from services.exchange.service.grants import RevokeGrant

    grants = await world.store.grants_of(HOSPITAL, HOUSEHOLD)
    await world.grants.revoke(RevokeGrant(new_id(), grants[0].grant_id, "Misuse."), OPERATOR)
    assert await refused(collect(world, preview)) == "NO_GRANT"


async def test_nobody_is_previewed_who_is_no_resident(world: CallsWorld) -> None:
    with pytest.raises(NotFound):
        await requested(world, subject=Subject(SubjectKind.NUMBER, "990100199003070999"))
