# SPDX-License-Identifier: Apache-2.0
"""Keeping resources and grants: who may, what repeats do, what is told."""

from dataclasses import replace

import pytest

from services.exchange.domain.grant import GrantChanged
from services.exchange.domain.refusals import GrantNotFound, GrantRevoked, NoGrant, ResourceNotFound, SharingRefused
from services.exchange.domain.resource import ResourceChanged, SharingClass
from services.exchange.service.grants import RevokeGrant
from services.kit.caller import Caller
from services.kit.errors import RequestIdReused, RequestInvalid, RightMissing
from services.kit.ids import new_id
from tests.support.exchange_world import (
    CITIZEN,
    HEALTH,
    HOSPITAL,
    HOSPITAL_CALLER,
    HOUSEHOLD,
    NOW,
    OPERATOR,
    World,
    create_grant,
    household,
)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.rulebook.refresh()
    return world


async def test_a_resource_is_told_once_per_real_change(world: World) -> None:
    first = await world.catalogue.put_resource(household(), OPERATOR)
    again = await world.catalogue.put_resource(household(), OPERATOR)
    changed = await world.catalogue.put_resource(household(timeout_ms=300), OPERATOR)
    assert (first.revision, again.revision, changed.revision) == (1, 1, 2)
    assert world.store.rows.facts == [ResourceChanged(HOUSEHOLD), ResourceChanged(HOUSEHOLD)]


async def test_a_resource_without_a_region_belongs_to_this_node(world: World) -> None:
    assert (await world.catalogue.put_resource(household(region=""), OPERATOR)).region == "990100"


@pytest.mark.parametrize("caller", [HOSPITAL_CALLER, CITIZEN])
async def test_only_who_has_the_right_changes_the_catalogue(world: World, caller: Caller) -> None:
    with pytest.raises(RightMissing):
        await world.catalogue.put_resource(household(), caller)
    with pytest.raises(RightMissing):
        await world.grants.create(create_grant(), caller)
    with pytest.raises(RightMissing):
        await world.grants.revoke(RevokeGrant(new_id(), new_id(), "x"), caller)
    assert world.store.rows.facts == []


async def test_an_unknown_resource_can_not_be_read_or_granted(world: World) -> None:
    with pytest.raises(ResourceNotFound):
        await world.catalogue.get_resource("307009/1", OPERATOR)
    with pytest.raises(ResourceNotFound):
        await world.grants.create(create_grant(), OPERATOR)


async def test_the_same_request_gives_the_same_grant_once(world: World) -> None:
    await world.catalogue.put_resource(household(), OPERATOR)
    command = create_grant()
    first = await world.grants.create(command, OPERATOR)
    world.later(5)
    again = await world.grants.create(command, OPERATOR)
    assert again == first
    assert world.store.rows.facts[1:] == [GrantChanged(first.grant_id, HOUSEHOLD, HOSPITAL, revoked=False)]


async def test_a_request_id_does_not_serve_another_grant(world: World) -> None:
    await world.catalogue.put_resource(household(), OPERATOR)
    command = create_grant()
    await world.grants.create(command, OPERATOR)
    with pytest.raises(RequestIdReused):
        await world.grants.create(replace(command, grantee=HEALTH), OPERATOR)


async def test_what_may_not_be_shared_can_not_be_granted(world: World) -> None:
    await world.catalogue.put_resource(household(sharing_class=SharingClass.REFUSED), OPERATOR)
    with pytest.raises(SharingRefused):
        await world.grants.create(create_grant(), OPERATOR)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grantee": "x"}, "grant.grantee"),
        ({"purposes": ()}, "grant.purposes"),
        ({"purposes": ("a b",)}, "grant.purposes"),
        ({"purposes": ("a", "a")}, "grant.purposes"),
        ({"fields": ("salary",)}, "grant.fields"),
        ({"fields": ("address", "address")}, "grant.fields"),
        ({"verify_fields": ("salary",)}, "grant.verify_fields"),
        ({"fields": (), "verify_fields": ()}, "grant"),
        ({"basis": ""}, "grant.basis"),
        ({"expire_time": NOW}, "grant.expire_time"),
        ({"daily_quota": -1}, "grant.daily_quota"),
    ],
)
async def test_a_grant_that_says_nothing_sound_is_refused(world: World, changes: dict[str, object], field: str) -> None:
    await world.catalogue.put_resource(household(), OPERATOR)
    with pytest.raises(RequestInvalid) as refused:
        await world.grants.create(create_grant(**changes), OPERATOR)
    assert [violation.field for violation in refused.value.violations] == [field]
    assert world.store.rows.grants == {}


async def test_a_grant_is_taken_back_once_and_at_once(world: World) -> None:
    grant = await world.granted()
    command = RevokeGrant(new_id(), grant.grant_id, "Misuse.")
    revoked = await world.grants.revoke(command, OPERATOR)
    assert revoked.revoked
    assert await world.grants.revoke(command, OPERATOR) == revoked
    with pytest.raises(NoGrant):
        await world.rulebook.permit_query(HOSPITAL, HOUSEHOLD, purpose="birth", fields=())
    with pytest.raises(GrantRevoked):
        await world.grants.revoke(RevokeGrant(new_id(), grant.grant_id, "Again."), OPERATOR)
    assert world.store.rows.facts[2:] == [GrantChanged(grant.grant_id, HOUSEHOLD, HOSPITAL, revoked=True)]


async def test_an_unknown_grant_can_not_be_taken_back(world: World) -> None:
    with pytest.raises(GrantNotFound):
        await world.grants.revoke(RevokeGrant(new_id(), new_id(), "x"), OPERATOR)


async def test_an_agency_sees_its_own_grants_and_an_operator_all(world: World) -> None:
    own = await world.granted()
    world.later(1)
    other = await world.grants.create(create_grant(grantee=HEALTH), OPERATOR)

    async def listed(caller: Caller) -> list[str]:
        page = await world.grants.list(resource="", page_size=0, page_token="", caller=caller)
        return [each.grant_id for each in page.rows]

    assert await listed(HOSPITAL_CALLER) == [own.grant_id]
    assert await listed(OPERATOR) == [other.grant_id, own.grant_id]
