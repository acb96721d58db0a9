# SPDX-License-Identifier: Apache-2.0
"""Unified social credit codes: check values of GB 32100 and GB 11714."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc as library

from services.identity.domain.credit_code import CreditCodeRefused, credit_code
from services.identity.domain.digits import credit_check, organization_check
from services.identity.domain.numbers import NumberKind, personal_number

TODAY = date(2026, 11, 3)
CODES = [
    "111000000000010033",
    "11110000000002006P",
    "12310000000003009J",
    "113201000000011184",
    "91110000MA00000152",
    "92440300MA0000023R",
    "93510100MA0000031H",
    "52330100MJ00000428",
    "N2370600MF00000568",
    "A1100000ME0000060T",
    "Y1500000MY00000716",
    "91110000600037341L",
    "11990100000001011X",
    "1299010000000102XJ",
    "12990100000001038J",
    "11990100000001046G",
    "11990100000001054B",
    "119901000000010626",
    "119901000000010701",
    "11990100000001089X",
    "11990100000001097Q",
    "1199010000000110X9",
    "119901000000011189",
]
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@pytest.mark.parametrize("code", CODES)
def test_a_right_code_is_taken(code: str) -> None:
    assert credit_code(code) == code


@pytest.mark.parametrize("code", CODES)
def test_every_other_last_character_is_refused(code: str) -> None:
    for character in ALPHABET.replace(code[17], ""):
        with pytest.raises(CreditCodeRefused) as refused:
            credit_code(code[:17] + character)
        assert refused.value.reason == "CREDIT_CODE_CHECK_FAILED"


@pytest.mark.parametrize("code", [code for code in CODES if code[:8].isdigit()])
def test_the_library_agrees(code: str) -> None:
    assert library.is_valid(code)


def test_the_organization_code_of_the_standard_checks() -> None:
    assert organization_check("D2143569") == "X"


@pytest.mark.parametrize("code", CODES)
def test_a_wrong_organization_code_under_a_right_last_character_has_its_own_reason(code: str) -> None:
    wrong = code[:16] + ("1" if code[16] != "1" else "2")
    with pytest.raises(CreditCodeRefused) as refused:
        credit_code(wrong + credit_check(wrong))
    assert refused.value.reason == "ORGANIZATION_CODE_CHECK_FAILED"


def test_a_permit_number_that_passes_both_first_checks_is_no_credit_code() -> None:
    assert personal_number(NumberKind.RESIDENCE_PERMIT, "810000190001010026", today=TODAY)
    with pytest.raises(CreditCodeRefused) as refused:
        credit_code("810000190001010026")
    assert refused.value.reason == "ORGANIZATION_CODE_CHECK_FAILED"


@pytest.mark.parametrize(
    "code", ["91110000MI00000152", "9111000MA000001520", "", "91110000MA0000015", "9111OOOOMA00000152"]
)
def test_characters_that_are_never_used_are_refused(code: str) -> None:
    with pytest.raises(CreditCodeRefused) as refused:
        credit_code(code)
    assert refused.value.reason == "CREDIT_CODE_MALFORMED"


@pytest.mark.parametrize("start", ["B1", "14", "99", "Y9", "03"])
def test_a_category_that_nobody_registers_is_refused(start: str) -> None:
    first = start + "110000MA0000015"
    with pytest.raises(CreditCodeRefused) as refused:
        credit_code(first + credit_check(first))
    assert refused.value.reason == "CREDIT_CODE_CATEGORY_UNKNOWN"


def test_small_and_fullwidth_letters_are_the_same_code() -> None:
    assert credit_code("91110000ma00000152") == "91110000MA00000152"
    assert credit_code("９１１１００００ＭＡ００００0152") == "91110000MA00000152"


@given(st.text(max_size=20))
def test_whatever_comes_is_taken_or_refused_in_words(text: str) -> None:
    assert reason(text) in {"CREDIT_CODE_MALFORMED", "CREDIT_CODE_CATEGORY_UNKNOWN", "CREDIT_CODE_CHECK_FAILED"}


def reason(code: str) -> str:
    try:
        credit_code(code)
    except CreditCodeRefused as refused:
        return refused.reason
    return ""
