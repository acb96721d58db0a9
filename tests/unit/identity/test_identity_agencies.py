# SPDX-License-Identifier: Apache-2.0
"""Agencies and organizations."""

import pytest

from services.identity.domain.agency import Agency, AgencyChanged, agency_of
from services.identity.domain.comparison import MatchResult
from services.identity.domain.organization import Compared, NewOrganization, Organization
from services.identity.service.organizations import DeregisterOrganization, RegisterOrganizations
from services.kit.caller import Caller
from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.identity_world import GATEWAY, HOSPITAL, OPERATOR, POLICE, World

CODES = ["11990100000001011X", "1299010000000102XJ", "12990100000001038J"]


@pytest.fixture
def world() -> World:
    return World()


def wanted(uscc: str = CODES[0], *, rights: tuple[str, ...] = ("identity.verify",), active: bool = True) -> Agency:
    return agency_of(uscc=uscc, name_zh="卫生健康局", name_en="Health", rights=rights, active=active)


async def test_a_new_agency_has_version_1_and_is_told(world: World) -> None:
    agency = await world.agencies.put(wanted(), OPERATOR)
    assert agency.version == 1
    assert world.store.rows.facts == [AgencyChanged(CODES[0], 1)]


async def test_putting_the_same_again_changes_and_tells_nothing(world: World) -> None:
    await world.agencies.put(wanted(rights=("b.b", "a.a")), OPERATOR)
    again = await world.agencies.put(wanted(rights=("a.a", "b.b", "a.a")), OPERATOR)
    assert again.version == 1
    assert again.rights == ("a.a", "b.b")
    assert len(world.store.rows.facts) == 1


async def test_a_barred_agency_is_a_new_version(world: World) -> None:
    await world.agencies.put(wanted(), OPERATOR)
    barred = await world.agencies.put(wanted(active=False), OPERATOR)
    assert (barred.active, barred.version) == (False, 2)
    assert world.store.rows.facts[-1] == AgencyChanged(CODES[0], 2)
    assert await world.agencies.agency(CODES[0], GATEWAY) == barred


def test_an_agency_needs_a_right_code() -> None:
    with pytest.raises(Refusal) as refused:
        wanted("119901000000010110")
    assert refused.value.reason == "CREDIT_CODE_CHECK_FAILED"


async def test_an_unknown_agency_is_not_found(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await world.agencies.agency(CODES[0], GATEWAY)
    assert (refused.value.code, refused.value.reason) == ("NOT_FOUND", "AGENCY_NOT_FOUND")


async def test_agencies_are_listed_in_pages_by_code(world: World) -> None:
    for code in reversed(CODES):
        await world.agencies.put(wanted(code), OPERATOR)
    page, after = await world.agencies.agencies(after="", page_size=2, caller=OPERATOR)
    assert [agency.uscc for agency in page] == sorted(CODES)[:2]
    rest, end = await world.agencies.agencies(after=after, page_size=2, caller=OPERATOR)
    assert [agency.uscc for agency in rest] == sorted(CODES)[2:]
    assert end == ""


@pytest.mark.parametrize("caller", [POLICE, HOSPITAL])
async def test_an_agency_does_not_give_itself_rights(world: World, caller: Caller) -> None:
    with pytest.raises(Refusal) as refused:
        await world.agencies.put(wanted(), caller)
    assert refused.value.reason == "RIGHT_MISSING"


async def registered(world: World, *new: NewOrganization, request_id: str = "") -> tuple[Organization, ...]:
    return await world.organizations.register(RegisterOrganizations(request_id or new_id(), new), POLICE)


FIRM = NewOrganization("91110000MA00000152", "甲（北京）有限公司")


async def test_an_organization_is_registered_once(world: World) -> None:
    request_id = new_id()
    (first,) = await registered(world, FIRM, request_id=request_id)
    assert await registered(world, FIRM, request_id=request_id) == (first,)
    assert await registered(world, NewOrganization(FIRM.uscc.lower(), "改名"), FIRM) == (first, first)


async def test_a_bad_code_is_named_and_nothing_of_its_batch_is_kept(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await registered(world, FIRM, NewOrganization("91110000MA00000153", "乙"))
    assert refused.value.reason == "CREDIT_CODE_CHECK_FAILED"
    assert [violation.field for violation in refused.value.violations] == ["organizations[1].uscc"]
    assert not world.store.rows.organizations


async def test_the_same_request_id_with_other_organizations_is_refused(world: World) -> None:
    request_id = new_id()
    await registered(world, FIRM, request_id=request_id)
    with pytest.raises(Refusal) as refused:
        await registered(world, NewOrganization(FIRM.uscc, "乙"), request_id=request_id)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_an_organization_is_compared_as_people_write_it(world: World) -> None:
    await registered(world, FIRM)
    assert await world.organizations.verify(FIRM.uscc, "甲(北京)有限公司", HOSPITAL) == Compared(MatchResult.MATCH)
    assert await world.organizations.verify(FIRM.uscc, "乙", HOSPITAL) == Compared(MatchResult.NO_MATCH)


async def test_an_unknown_organization_is_told_apart_only_to_callers_who_may_know(world: World) -> None:
    assert await world.organizations.verify(FIRM.uscc, FIRM.name, HOSPITAL) == Compared(MatchResult.NO_MATCH)
    assert await world.organizations.verify(FIRM.uscc, FIRM.name, POLICE) == Compared(MatchResult.NOT_FOUND)


async def test_a_firm_that_was_struck_off_matches_nothing_and_keeps_its_code(world: World) -> None:
    (firm,) = await registered(world, FIRM)
    request_id = new_id()
    for _ in range(2):
        ended = await world.organizations.deregister(DeregisterOrganization(request_id, FIRM.uscc), POLICE)
    assert (ended.subject_id, ended.deregister_time) == (firm.subject_id, world.clock())
    struck = Compared(MatchResult.NO_MATCH, deregistered=True)
    assert await world.organizations.verify(FIRM.uscc, FIRM.name, HOSPITAL) == struck
    assert await registered(world, NewOrganization(FIRM.uscc, "新名")) == (ended,)


async def test_only_a_registrar_ends_an_organization_and_only_one_that_there_is(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        await world.organizations.deregister(DeregisterOrganization(new_id(), FIRM.uscc), HOSPITAL)
    assert refused.value.reason == "RIGHT_MISSING"
    with pytest.raises(Refusal) as refused:
        await world.organizations.deregister(DeregisterOrganization(new_id(), FIRM.uscc), POLICE)
    assert refused.value.reason == "ORGANIZATION_NOT_FOUND"
