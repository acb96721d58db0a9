# SPDX-License-Identifier: Apache-2.0
"""Each department does its part once per case, whatever comes twice, and refuses in words."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stdnum.iso7064 import mod_11_2

from sandbox.city import City, generate
from sandbox.departments.civil_affairs import CivilAffairs
from sandbox.departments.disease_control import DiseaseControl
from sandbox.departments.health import Health
from sandbox.departments.hospital import Hospital
from sandbox.departments.human_resources import HumanResources
from sandbox.departments.medical_insurance import MedicalInsurance
from sandbox.departments.public_security import Newborn, PublicSecurity
from sandbox.departments.tax import Tax
from sandbox.register import Register
from sandbox.work import TaskRefused, Work

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
CHILD = {
    "child_name": "澹台望舒",
    "child_sex": "female",
    "birth_date": "2026-11-20",
    "child_number": "990100202611200027",
}


def clock() -> datetime:
    return NOW


class Platform:
    """Stands in for the register of persons: counts, and fails on demand."""

    def __init__(self) -> None:
        self.told: list[Newborn] = []
        self.broken = False

    async def __call__(self, newborn: Newborn) -> str:
        if self.broken:
            raise ConnectionError
        self.told.append(newborn)
        return f"subject-of-{newborn.case_id}"


@pytest.fixture(scope="module")
def city() -> City:
    return generate(60, 3)


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
async def police(city: City, platform: Platform, tmp_path: Path) -> AsyncIterator[PublicSecurity]:
    async with Register(tmp_path / "police.sqlite", PublicSecurity.schema) as register:
        department = PublicSecurity(register, clock, platform)
        await department.load(city)
        yield department


def registration(city: City, case: str = "case-1", **changed: str) -> Work:
    values = {**CHILD, "household_number": city.families[0].household.number, **changed}
    return Work(case, "household_registration", values)


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        (Hospital, "birth_certificate"),
        (DiseaseControl, "vaccination"),
        (HumanResources, "social_security_card"),
        (Tax, "premium"),
        (Health, "parenting_registration"),
        (MedicalInsurance, "medical_insurance"),
        (MedicalInsurance, "maternity_settlement"),
    ],
)
async def test_a_repeated_operation_gives_the_same_answer_and_another_case_another(
    kind: Callable[..., Any], operation: str, tmp_path: Path
) -> None:
    async with Register(tmp_path / "register.sqlite", kind.schema) as register:  # type: ignore[attr-defined]
        department = kind(register, clock)
        values = {**CHILD, "settlement_account": "9901000000000000001"}
        act = department.operations[operation]
        first = await act(Work("case-1", operation, values))
        assert await act(Work("case-1", operation, values)) == first
        other = await act(Work("case-2", operation, {**values, "child_number": "990100202611200043"}))
        assert other != first


async def test_what_was_done_survives_the_process(tmp_path: Path) -> None:
    path, work = tmp_path / "hospital.sqlite", Work("case-1", "birth_certificate", CHILD)
    async with Register(path, Hospital.schema) as register:
        first = await Hospital(register, clock).birth_certificate(work)
    async with Register(path, Hospital.schema) as register:
        assert await Hospital(register, clock).birth_certificate(work) == first


async def test_a_newborn_gets_a_valid_number_of_its_sex(police: PublicSecurity, city: City) -> None:
    girl = await police.household_registration(registration(city))
    boy = await police.household_registration(registration(city, "case-2", child_sex="male"))
    for answer, odd in ((girl, 0), (boy, 1)):
        number = str(answer["child_number"])
        assert mod_11_2.is_valid(number)
        assert number[:14] == "99010020261120"
        assert int(number[14:17]) % 2 == odd
    assert girl["license_serial"] != boy["license_serial"]
    assert girl["address"] == city.families[0].household.address


async def test_a_number_is_given_once_per_case_although_the_platform_was_away(
    police: PublicSecurity, platform: Platform, city: City
) -> None:
    platform.broken = True
    with pytest.raises(ConnectionError):
        await police.household_registration(registration(city))
    platform.broken = False
    answer = await police.household_registration(registration(city))
    assert str(answer["child_number"])[14:17] == "002"
    assert await police.household_registration(registration(city)) == answer
    assert [newborn.number for newborn in platform.told] == [answer["child_number"]]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"household_number": "99010099999999"}, "HOUSEHOLD_NOT_FOUND"),
        ({"birth_date": "2025-11-22"}, "BIRTH_DATE_OUT_OF_RANGE"),
        ({"birth_date": "2026-11-25"}, "BIRTH_DATE_OUT_OF_RANGE"),
        ({"birth_date": "2026-02-30"}, "INPUT_MALFORMED"),
        ({"child_sex": "x"}, "INPUT_MALFORMED"),
        ({"child_name": ""}, "INPUT_MISSING"),
        ({"child_name": "长" * 201}, "INPUT_MALFORMED"),
    ],
)
async def test_a_registration_that_can_not_be_is_refused_in_words(
    police: PublicSecurity, platform: Platform, city: City, changed: dict[str, str], reason: str
) -> None:
    with pytest.raises(TaskRefused) as refused:
        await police.household_registration(registration(city, **changed))
    assert refused.value.reason == reason
    assert platform.told == []


@pytest.mark.parametrize("birth_date", ["2025-11-23", "2026-11-23", "2026-11-24"])
async def test_both_bounds_of_the_year_are_within(police: PublicSecurity, city: City, birth_date: str) -> None:
    answer = await police.household_registration(registration(city, birth_date=birth_date))
    assert str(answer["child_number"])[6:14] == birth_date.replace("-", "")


async def test_a_marriage_is_told_from_the_side_of_the_one_asked_about(city: City, tmp_path: Path) -> None:
    family = city.families[0]
    async with Register(tmp_path / "civil.sqlite", CivilAffairs.schema) as register:
        civil_affairs = CivilAffairs(register, clock)
        await civil_affairs.load(city)
        await civil_affairs.load(city)
        told = await civil_affairs.marriage(family.mother.number)
        assert told is not None
        assert told["spouse"] == {"name": family.father.name, "number": family.father.number}
        told = await civil_affairs.marriage(family.father.number)
        assert told is not None
        assert told["spouse"] == {"name": family.mother.name, "number": family.mother.number}
        assert await civil_affairs.marriage("990100190001010011") is None


async def test_without_an_account_the_settlement_is_refused(tmp_path: Path) -> None:
    async with Register(tmp_path / "insurance.sqlite", MedicalInsurance.schema) as register:
        with pytest.raises(TaskRefused) as refused:
            await MedicalInsurance(register, clock).maternity_settlement(Work("case-1", "maternity_settlement", {}))
    assert refused.value.reason == "ACCOUNT_MISSING"


def test_work_never_shows_its_values() -> None:
    assert "望舒" not in repr(Work("case-1", "vaccination", CHILD))
