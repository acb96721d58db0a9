# SPDX-License-Identifier: Apache-2.0
"""The city is the same for the same seed, and nobody in it can be a living person."""

import json
from pathlib import Path

import pytest
from stdnum.cn import uscc
from stdnum.iso7064 import mod_11_2

from sandbox import numbers
from sandbox.agencies import load
from sandbox.city import City, generate
from sandbox.city.export import export
from sandbox.city.generator import FAMILIES_OF_PERSONAS


@pytest.fixture(scope="module")
def city() -> City:
    return generate(3000, 7)


def test_the_same_seed_gives_the_same_city_and_another_seed_another() -> None:
    assert generate(300, 7) == generate(300, 7)
    assert generate(300, 7) != generate(300, 8)


@pytest.mark.parametrize("people", [12, 13, 14, 200, 3000])
def test_a_city_has_exactly_the_people_that_were_asked_for(people: int) -> None:
    assert len(list(generate(people, 1).residents)) == people


@pytest.mark.parametrize("people", [0, 11, 1_000_001])
def test_a_city_outside_the_bounds_is_refused(people: int) -> None:
    with pytest.raises(ValueError, match="12 to 1000000"):
        generate(people, 1)


def test_every_number_is_valid_unique_and_nobodys(city: City) -> None:
    seen = [resident.number for resident in city.residents]
    assert len(seen) == len(set(seen))
    for resident in city.residents:
        assert mod_11_2.is_valid(resident.number)
        assert resident.number.startswith("990100")
        assert 1880 <= resident.birth_date.year <= 1904
        assert resident.number[6:14] == f"{resident.birth_date:%Y%m%d}"
        assert numbers.sequence_of(resident.number) % 2 == int(resident.male)


def test_phones_are_of_the_synthetic_range_and_unique(city: City) -> None:
    phones = [resident.phone for resident in city.residents if resident.phone]
    assert len(phones) == len(set(phones))
    assert all(phone.startswith("+861990000") and len(phone) == 14 for phone in phones)


def test_everybody_has_a_household_and_an_insurance(city: City) -> None:
    for family in city.families:
        assert {resident.household_number for resident in family.residents} == {family.household.number}
        assert [each.number for each in family.enrollments] == [resident.number for resident in family.residents]
        assert family.residents[0].number == family.household.head_number


def test_the_families_of_the_sample_accounts_are_couples_without_a_mistake(city: City) -> None:
    for family in city.families[:FAMILIES_OF_PERSONAS]:
        assert family.marriage is not None
        assert family.marriage.status == "valid"
        assert family.marriage.husband_name == family.father.name
        assert not family.mother.male
        assert family.flaws == ()


def test_mistakes_are_there_to_be_found_and_told(city: City) -> None:
    wrong = {
        family.marriage.certificate_number
        for family in city.families
        if family.marriage and (family.marriage.status != "valid" or family.marriage.husband_name != family.father.name)
    }
    assert wrong
    assert wrong == {flaw.key for flaw in city.flaws}


def test_firms_and_agencies_have_credit_codes_whose_checks_hold(city: City) -> None:
    codes = [firm.uscc for firm in city.firms] + [agency.uscc for agency in load().values()]
    assert len(codes) == len(set(codes))
    for code in codes:
        assert uscc.calc_check_digit(code[:17]) == code[17]
        assert numbers.organization_code(code[8:16]) == code[8:17]
        assert code[2:8] == "990100"


def test_a_city_is_exported_as_lines_of_json(city: City, tmp_path: Path) -> None:
    counts = export(city, tmp_path)
    assert counts["residents"] == 3000
    first = json.loads((tmp_path / "residents.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["number"] == city.families[0].residents[0].number
    assert len((tmp_path / "flaws.jsonl").read_text(encoding="utf-8").splitlines()) == counts["flaws"]


@pytest.mark.parametrize(("used", "male", "expected"), [(0, True, 1), (0, False, 2), (1, True, 3), (2, False, 4)])
def test_sequences_go_up_within_a_sex(used: int, male: bool, expected: int) -> None:
    assert numbers.next_sequence(used, male=male) == expected
