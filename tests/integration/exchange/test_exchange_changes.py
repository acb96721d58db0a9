# SPDX-License-Identifier: Apache-2.0
"""Changes of the catalogue on the real store: proposed, published, announced, in effect; and a dry run that tells the truth."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.exchange.domain.change import ChangeState, Loss, NoticeState, loss, reach
from services.exchange.domain.grant import Grant
from services.exchange.domain.permit import compile_grant
from services.exchange.domain.refusals import (
    ChangeNotFound,
    ChangeNotOpen,
    ChangeOpenAlready,
    NoticeNotFound,
    NoticeTooShort,
    ResourceNotOwned,
    ResourceRetired,
    ReviewerNotIndependent,
)
from services.exchange.domain.resource import Resource, SharingClass
from services.exchange.domain.settings import AdapterKind, RestSettings
from services.exchange.service.changes import EFFECT
from services.exchange.service.quotas import Quotas
from services.kit.calendar import CHINA
from services.kit.caller import Caller
from services.kit.errors import RequestIdReused, RequestInvalid, RightMissing
from services.kit.ids import new_id
from tests.support.exchange_stored import opened
from tests.support.exchange_town import POLICE_CALLER, REVIEWER, Town, entry, without
from tests.support.exchange_world import (
    HEALTH,
    HOSPITAL,
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NOW,
    OPERATOR,
    create_grant,
    household,
)

DUE = datetime(2026, 12, 4, 16, 0, tzinfo=UTC)
"""Ten working days after Friday 2026-11-20: over at midnight of Friday 2026-12-04 in China."""


@pytest.fixture
async def town(database: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with opened(database, tmp_path) as store:
        town = Town(store)
        await town.rulebook.refresh()
        await town.catalogue.put_resource(entry(), OPERATOR)
        yield town


async def test_a_new_entry_is_proposed_by_its_provider_and_published_by_another(town: Town) -> None:
    change = await town.propose(replace(entry(), code="307002/000009", adapter=AdapterKind.REST))
    assert (change.state, change.base_revision, change.resource.adapter) == (
        ChangeState.PROPOSED,
        0,
        AdapterKind.CONNECTOR,
    )
    after = await town.review(change)
    assert (after.state, after.effect_time) == (ChangeState.IN_EFFECT, NOW)
    assert (await town.store.read_resource("307002/000009")).name_zh == entry().name_zh
    versions = await town.store.list_versions("307002/000009", page_size=5, page_token="")
    assert [each.by.change_id for each in versions.rows] == [change.change_id]


async def test_who_may_propose_and_review_is_told_apart(town: Town) -> None:
    with pytest.raises(RightMissing):
        await town.propose(without("address"), HOSPITAL_CALLER)
    stranger = replace(POLICE_CALLER, id=HEALTH, agency=HEALTH)
    with pytest.raises(ResourceNotOwned):
        await town.propose(without("address"), stranger)
    with pytest.raises(ResourceNotOwned):
        await town.propose(replace(without("address"), provider=HEALTH), stranger)
    change = await town.propose(without("address"))
    both = replace(POLICE_CALLER, rights=POLICE_CALLER.rights | {"exchange.review"})
    with pytest.raises(ReviewerNotIndependent):
        await town.review(change, both)
    with pytest.raises(RightMissing):
        await town.review(change, POLICE_CALLER)
    with pytest.raises(ChangeNotFound):
        await town.changes.get(change.change_id, stranger)
    with pytest.raises(ChangeNotFound):
        await town.changes.withdraw(new_id(), change.change_id, stranger)
    assert await town.changes.get(change.change_id, REVIEWER) == change


async def test_an_entry_without_core_metadata_is_not_proposed(town: Town) -> None:
    with pytest.raises(RequestInvalid) as refused:
        await town.propose(household(name_en="Register"))
    told = {each.field for each in refused.value.violations}
    assert {"resource.metadata.update_cycle", "resource.fields[0].data_type"} <= told
    with pytest.raises(RequestInvalid):
        await town.propose(entry())  # nothing changes


async def test_a_resource_has_one_open_change_and_a_repeat_finds_it(town: Town) -> None:
    request = new_id()
    change = await town.propose(without("address"), request_id=request)
    assert await town.propose(without("address"), request_id=request) == change
    with pytest.raises(ChangeOpenAlready):
        await town.propose(without("relation"))
    with pytest.raises(RequestIdReused):
        await town.propose(replace(entry(), code="307002/000009"), request_id=request)
    returned = await town.review(change, publish=False, note="Say why.")
    assert (returned.state, returned.review_note) == (ChangeState.RETURNED, "Say why.")
    with pytest.raises(ChangeNotOpen):
        await town.review(change)
    with pytest.raises(RequestIdReused):
        await town.changes.withdraw(request, change.change_id, POLICE_CALLER)
    await town.propose(without("relation"))
    page = await town.changes.list(state=None, page_size=1, page_token="", caller=POLICE_CALLER)
    rest = await town.changes.list(state=None, page_size=1, page_token=page.next_token, caller=POLICE_CALLER)
    assert {each.state for each in (*page.rows, *rest.rows)} == {ChangeState.PROPOSED, ChangeState.RETURNED}
    assert (await town.changes.list(state=None, page_size=0, page_token="", caller=HOSPITAL_CALLER)).rows == ()


async def test_what_takes_something_away_takes_effect_after_its_notice(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    change = await town.propose(without("address", "head_name"))
    with pytest.raises(NoticeTooShort):
        await town.review(change, notice_days=3)
    scheduled = await town.review(change)
    assert (scheduled.state, scheduled.effect_time) == (ChangeState.SCHEDULED, DUE)
    with pytest.raises(ChangeNotOpen):
        await town.review(change)
    assert await town.inbox() == [(change.change_id, ("address",), NoticeState.ANNOUNCED)]
    town.now = DUE - timedelta(seconds=1)
    assert not await town.deadlines.ring()
    assert "address" in (await town.store.read_resource(HOUSEHOLD)).field_names
    town.now = DUE
    assert await town.deadlines.ring()
    assert "address" not in (await town.store.read_resource(HOUSEHOLD)).field_names
    assert (await town.changes.get(change.change_id, REVIEWER)).state is ChangeState.IN_EFFECT
    assert await town.inbox() == [(change.change_id, ("address",), NoticeState.IN_EFFECT)]


async def test_a_legal_ground_shortens_the_notice_and_is_told(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    change = await town.propose(without("address"))
    after = await town.review(change, urgent_basis="Data Security Law art. 29")
    assert after.state is ChangeState.IN_EFFECT
    page = await town.changes.inbox(open_only=True, page_size=0, page_token="", caller=HOSPITAL_CALLER)
    assert [each.urgent_basis for each in page.rows] == ["Data Security Law art. 29"]


async def test_what_takes_nothing_away_is_in_effect_at_once_and_holders_hear_of_it(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    change = await town.review(await town.propose(replace(entry(), name_en="Family register")))
    assert change.state is ChangeState.IN_EFFECT
    assert await town.inbox() == [(change.change_id, (), NoticeState.IN_EFFECT)]
    await town.changes.acknowledge(new_id(), change.change_id, HOSPITAL_CALLER)
    assert await town.inbox(open_only=True) == []
    assert len(await town.inbox()) == 1
    with pytest.raises(NoticeNotFound):
        await town.changes.acknowledge(new_id(), change.change_id, REVIEWER)


async def test_a_withdrawn_change_is_called_off_in_the_inboxes_that_knew_it(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    change = await town.review(await town.propose(without("address")))
    await town.changes.acknowledge(new_id(), change.change_id, HOSPITAL_CALLER)
    await town.changes.withdraw(new_id(), change.change_id, POLICE_CALLER)
    assert await town.inbox(open_only=True) == [(change.change_id, ("address",), NoticeState.CANCELLED)]
    town.now = DUE + timedelta(days=1)
    assert not await town.deadlines.ring()
    assert "address" in (await town.store.read_resource(HOUSEHOLD)).field_names


async def test_a_change_of_what_has_changed_meanwhile_does_not_overwrite_it(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    scheduled = await town.review(await town.propose(without("address")))
    await town.catalogue.put_resource(replace(entry(), name_en="By the operator"), OPERATOR)
    town.now = DUE
    assert await town.deadlines.ring()
    assert (await town.changes.get(scheduled.change_id, REVIEWER)).state is ChangeState.OVERTAKEN
    stored = await town.store.read_resource(HOUSEHOLD)
    assert (stored.name_en, "address" in stored.field_names) == ("By the operator", True)
    assert (scheduled.change_id, ("address",), NoticeState.CANCELLED) in await town.inbox()


async def test_a_retired_resource_answers_nothing_and_stays_readable(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    change = await town.review(await town.propose(replace(entry(), retired=True)), urgent_basis="Court order.")
    with pytest.raises(ResourceRetired):
        await town.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=())
    with pytest.raises(ResourceRetired):
        await town.grants.create(create_grant(grantee=HEALTH), OPERATOR)
    assert (await town.store.read_resource(HOUSEHOLD)).retired
    assert await town.inbox() == [(change.change_id, ("address", "household_number"), NoticeState.IN_EFFECT)]


async def test_a_proposal_leaves_how_the_provider_is_reached(town: Town) -> None:
    mapping = {name: f"a.{name}" for name in entry().field_names}
    reached = RestSettings(url="http://h/{subject_key}", mapping=mapping)
    await town.catalogue.put_resource(
        replace(entry(), adapter=AdapterKind.REST, settings=reached, timeout_ms=777), OPERATOR
    )
    await town.review(await town.propose(without("address")))
    stored = await town.store.read_resource(HOUSEHOLD)
    assert (stored.adapter, stored.timeout_ms) == (AdapterKind.REST, 777)
    assert isinstance(stored.settings, RestSettings)
    assert stored.settings.mapping == {name: path for name, path in mapping.items() if name != "address"}
    with pytest.raises(RequestInvalid) as refused:
        await town.propose(entry())  # the field is back, and no operator has mapped it
    assert [each.field for each in refused.value.violations] == ["resource.adapter_settings.mapping"]


async def test_an_operators_change_is_told_to_holders_too(town: Town) -> None:
    await town.grants.create(create_grant(), OPERATOR)
    await town.catalogue.put_resource(without("address"), OPERATOR)
    ((_, fields, state),) = await town.inbox()
    assert (fields, state) == (("address",), NoticeState.IN_EFFECT)
    await town.catalogue.put_resource(replace(without("address"), timeout_ms=500), OPERATOR)
    assert len(await town.inbox()) == 1, "how a provider is reached is not the holders' business"


async def test_a_dry_run_tells_who_loses_what_and_how_much_it_is_used(town: Town) -> None:
    hospital = await town.grants.create(create_grant(), OPERATOR)
    await town.grants.create(create_grant(grantee=HEALTH, fields=("relation",), verify_fields=()), OPERATOR)
    expired = create_grant(grantee=HEALTH, expire_time=NOW + timedelta(seconds=1))
    await town.grants.create(expired, OPERATOR)
    town.now = NOW + timedelta(seconds=2)
    quotas = Quotas(town.store, own_per_day=1, clock=lambda: town.now, monotonic=lambda: 0.0)
    for _ in range(3):
        await quotas.take(hospital.grant_id, 0)
    await quotas.close()
    today = town.now.astimezone(CHINA).date()
    async with town.store.transaction() as tx:
        await tx.count_calls({hospital.grant_id: 4}, today - timedelta(days=6))
        await tx.count_calls({hospital.grant_id: 100}, today - timedelta(days=7))

    async def preview(resource: Resource, caller: Caller = POLICE_CALLER, **page: Any) -> Any:
        return await town.changes.preview(resource, caller=caller, **{"page_size": 0, "page_token": "", **page})

    found = await preview(without("address", "head_name"))
    assert found.losses.rows == (Loss(hospital.grant_id, HOSPITAL, ("address",), ("head_name",)),)
    assert (found.grants, found.losing, found.agencies, found.calls, found.notice_days) == (2, 1, 1, 7, 10)
    assert {each.path.split(".")[1] for each in found.differences if each.path.startswith("fields.")} == {
        "address",
        "head_name",
    }
    closed = await preview(replace(entry(), sharing_class=SharingClass.REFUSED), page_size=1)
    rest = await preview(
        replace(entry(), sharing_class=SharingClass.REFUSED), page_size=1, page_token=closed.losses.next_token
    )
    assert len({each.grant_id for each in (*closed.losses.rows, *rest.losses.rows)}) == closed.losing == 2
    assert rest.losses.next_token == ""
    assert (await preview(replace(entry(), code="307002/000009"))).grants == 0
    with pytest.raises(RightMissing):
        await preview(entry(), HOSPITAL_CALLER)
    with pytest.raises(ResourceNotOwned):
        await preview(entry(), replace(POLICE_CALLER, id=HEALTH, agency=HEALTH))
    assert await town.store.read_resource(HOUSEHOLD) == replace(entry(), revision=1), "nothing changed"
    assert date.min < today


NAMES = [each.name for each in household().fields]
subsets = st.lists(st.sampled_from(NAMES), unique=True, max_size=4)
some_versions = st.builds(
    lambda names, refused, retired: replace(
        without(*names),
        sharing_class=SharingClass.REFUSED if refused else SharingClass.CONDITIONAL,
        retired=retired,
    ),
    st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
    st.booleans(),
    st.booleans(),
)
some_grants = st.lists(
    st.tuples(st.sampled_from([HOSPITAL, HEALTH]), subsets, subsets, st.sampled_from([-1, 30])).filter(
        lambda each: bool(each[1] or each[2])
    ),
    max_size=4,
)


@given(before=some_versions, after=some_versions, terms=some_grants)
@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_the_dry_run_says_is_what_the_change_does(
    tmp_path_factory: pytest.TempPathFactory,
    before: Resource,
    after: Resource,
    terms: list[tuple[str, list[str], list[str], int]],
) -> None:
    """Whatever the versions and grants: what calls may do before, less what the dry run names, is what they may do after."""

    async def go() -> None:
        folder = tmp_path_factory.mktemp("dry")
        async with opened(f"sqlite:///{folder}/exchange.sqlite", folder) as store:
            town = Town(store)
            await town.rulebook.refresh()
            await town.catalogue.put_resource(entry(), OPERATOR)
            given = [await _granted(town, each) for each in terms]
            await town.catalogue.put_resource(before, OPERATOR)
            told = await town.changes.preview(after, page_size=200, page_token="", caller=OPERATOR)
            may = {each.grant_id: await _may(town, each) for each in given}
            await town.catalogue.put_resource(after, OPERATOR)
            lost = {each.grant_id: each for each in told.losses.rows}
            for each in given:
                seen, compared = may[each.grant_id]
                loses = lost.get(each.grant_id) or Loss(each.grant_id, each.grantee, (), ())
                gained_seen, gained_compared = await _gained(each, before, after)
                assert await _may(town, each) == (
                    (seen - set(loses.fields)) | gained_seen,
                    (compared - set(loses.verify_fields)) | gained_compared,
                )
                assert set(loses.fields) <= seen
                assert set(loses.verify_fields) <= compared

    asyncio.run(go())


async def _granted(town: Town, terms: tuple[str, list[str], list[str], int]) -> Grant:
    grantee, fields, verify_fields, days = terms
    command = create_grant(
        grantee=grantee,
        fields=tuple(fields),
        verify_fields=tuple(verify_fields),
        purposes=(f"purpose-{new_id()}",),
        expire_time=NOW + timedelta(days=abs(days)),
    )
    return await town.grants.create(command, OPERATOR)


async def _may(town: Town, grant: Grant) -> tuple[set[str], set[str]]:
    """What calls under the grant's own purpose are permitted, field by field, asked at the rulebook."""
    seen: set[str] = set()
    compared: set[str] = set()
    for name in NAMES:
        for permit, may in ((town.rulebook.permit_query, seen), (town.rulebook.permit_verify, compared)):
            try:
                await permit(grant.grantee, HOUSEHOLD, purpose=grant.purposes[0], fields=(name,))
            except Exception:  # noqa: BLE001 -- any refusal: the field is not given
                continue
            may.add(name)
    return seen, compared


async def _gained(grant: Grant, before: Resource, after: Resource) -> tuple[set[str], set[str]]:
    """What comes back with the fields that come back."""
    old, new = reach(grant, before), reach(grant, after)
    return set(new[0] - old[0]), set(new[1] - old[1])


@given(before=some_versions, after=some_versions, fields=subsets, verify_fields=subsets)
def test_a_loss_is_the_difference_of_the_compiled_grants(
    before: Resource, after: Resource, fields: list[str], verify_fields: list[str]
) -> None:
    grant = Grant("g", HOUSEHOLD, HOSPITAL, ("p",), tuple(fields), tuple(verify_fields), "b", NOW, 0, NOW)
    found = loss(grant, before, after)
    if not (before.retired or after.retired or SharingClass.REFUSED in {before.sharing_class, after.sharing_class}):
        old, new = (compile_grant(grant, each, is_working_day=lambda _: True) for each in (before, after))
        assert set(found.fields) == old.mask - new.mask
        assert set(found.verify_fields) == old.verify_mask - new.verify_mask


def test_the_clock_of_a_change_has_a_name_of_its_own() -> None:
    assert EFFECT == "change.effect"
