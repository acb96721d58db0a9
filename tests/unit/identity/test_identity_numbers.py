# SPDX-License-Identifier: Apache-2.0
"""Every check value of the numbering standards, both ways."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from services.identity.domain.digits import card_check, citizen_check
from services.identity.domain.numbers import NumberKind, NumberRefused, personal_number

TODAY = date(2026, 11, 3)

CITIZENS = [
    "11010519491231002X",
    "440524188001010014",
    "110101190001010014",
    "110101190001010022",
    "11010119000101009X",
    "110101190402290010",
    "990101190001010018",
    "000000190001010017",
    "440524190001010017",
    "110101188801019962",
    "130503190402290035",
    "810000190001010026",
    "11011319000101001X",
]
PERMITS = [
    "810000199408230021",
    "830000199201300022",
    "810000190001010026",
    "82000019000101001X",
    "830000190001010038",
]
RESIDENTS = ["911398190012310020", "911840190001010017", "931156190102030021"]
OLD_RESIDENTS = ["KAZ110000123108", "GBR310000020303"]


@pytest.mark.parametrize("number", CITIZENS)
def test_a_citizen_number_with_a_right_check_is_taken(number: str) -> None:
    taken = personal_number(NumberKind.CITIZEN, number, today=TODAY)
    assert taken.value == number
    assert taken.birth_date == date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


@pytest.mark.parametrize("number", PERMITS)
def test_a_residence_permit_number_is_taken(number: str) -> None:
    assert personal_number(NumberKind.RESIDENCE_PERMIT, number, today=TODAY).value == number


@pytest.mark.parametrize("number", RESIDENTS)
def test_a_permanent_resident_number_of_2023_is_taken(number: str) -> None:
    taken = personal_number(NumberKind.PERMANENT_RESIDENT, number, today=TODAY)
    assert taken.birth_date == date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


@pytest.mark.parametrize("number", OLD_RESIDENTS)
def test_an_old_permanent_resident_number_is_taken_without_guessing_the_century(number: str) -> None:
    taken = personal_number(NumberKind.PERMANENT_RESIDENT, number, today=TODAY)
    assert taken.value == number
    assert taken.birth_date is None


def test_an_old_card_is_asked_for_the_part_of_the_day_that_it_knows() -> None:
    taken = personal_number(NumberKind.PERMANENT_RESIDENT, "KAZ110000123108", today=TODAY)
    assert taken.born_on(date(1900, 12, 31))
    assert taken.born_on(date(2000, 12, 31))
    assert not taken.born_on(date(2000, 12, 30))


@pytest.mark.parametrize(
    ("kind", "number", "reason"),
    [
        (NumberKind.CITIZEN, "110105194912310021", "NUMBER_CHECK_FAILED"),
        (NumberKind.CITIZEN, "110101190002290011", "NUMBER_DATE_INVALID"),
        (NumberKind.CITIZEN, "110101190013010011", "NUMBER_DATE_INVALID"),
        (NumberKind.CITIZEN, "110101190004310012", "NUMBER_DATE_INVALID"),
        (NumberKind.CITIZEN, "11010121000101001X", "NUMBER_IN_FUTURE"),
        (NumberKind.CITIZEN, "110105491231002", "NUMBER_MALFORMED"),
        (NumberKind.CITIZEN, "11010519491231002", "NUMBER_MALFORMED"),
        (NumberKind.CITIZEN, "11010519491231002XX", "NUMBER_MALFORMED"),
        (NumberKind.CITIZEN, "1101051949123100XX", "NUMBER_MALFORMED"),
        (NumberKind.CITIZEN, "11010519491231 02X", "NUMBER_MALFORMED"),
        (NumberKind.CITIZEN, "", "NUMBER_MALFORMED"),
        (NumberKind.CITIZEN, "KAZ110000123108", "NUMBER_MALFORMED"),
        (NumberKind.RESIDENCE_PERMIT, "110101190001010014", "NUMBER_KIND_MISMATCH"),
        (NumberKind.RESIDENCE_PERMIT, "810000199408230022", "NUMBER_CHECK_FAILED"),
        (NumberKind.PERMANENT_RESIDENT, "110101190001010014", "NUMBER_KIND_MISMATCH"),
        (NumberKind.PERMANENT_RESIDENT, "911398190012310021", "NUMBER_CHECK_FAILED"),
        (NumberKind.PERMANENT_RESIDENT, "KAZ110000123107", "NUMBER_CHECK_FAILED"),
        (NumberKind.PERMANENT_RESIDENT, "K0Z110000123108", "NUMBER_MALFORMED"),
        (NumberKind.PERMANENT_RESIDENT, "KAZ1100001231O8", "NUMBER_MALFORMED"),
        (None, "110101190001010014", "NUMBER_KIND_MISSING"),
    ],
)
def test_a_number_that_cannot_be_one_is_refused_with_its_reason(
    kind: NumberKind | None, number: str, reason: str
) -> None:
    with pytest.raises(NumberRefused) as refused:
        personal_number(kind, number, today=TODAY)
    assert refused.value.reason == reason
    assert not number or number not in str(refused.value) + refused.value.remedy


def test_an_old_card_with_a_day_in_neither_century_is_refused() -> None:
    first = "GBR310001023" + "00"  # 2001-02-30 and 1901-02-30 are both no days
    with pytest.raises(NumberRefused) as refused:
        personal_number(NumberKind.PERMANENT_RESIDENT, first + card_check(first), today=TODAY)
    assert refused.value.reason == "NUMBER_DATE_INVALID"


def test_a_small_x_is_the_same_number() -> None:
    assert personal_number(NumberKind.CITIZEN, "11010519491231002x", today=TODAY).value == "11010519491231002X"


def test_fullwidth_characters_are_what_an_input_method_writes_for_the_same_keys() -> None:
    wide = "１１０１０５１９４９１２３１００２ｘ"
    assert personal_number(NumberKind.CITIZEN, wide, today=TODAY).value == "11010519491231002X"


@pytest.mark.parametrize(
    "text", ["١١٠١٠٥١٩٤٩١٢٣١٠٠٢X", "²1010519491231002X", "11010519491231002Ⅹ", "①10105194912310021"]
)
def test_digits_of_other_scripts_are_refused(text: str) -> None:
    with pytest.raises(NumberRefused) as refused:
        personal_number(NumberKind.CITIZEN, text, today=TODAY)
    assert refused.value.reason == "NUMBER_MALFORMED"


def test_a_child_born_today_is_taken_and_one_born_tomorrow_is_not() -> None:
    first = "99010020261103001"
    number = first + citizen_check(first)
    assert personal_number(NumberKind.CITIZEN, number, today=TODAY).birth_date == TODAY
    with pytest.raises(NumberRefused):
        personal_number(NumberKind.CITIZEN, number, today=date(2026, 11, 2))


def test_a_number_shows_itself_to_no_log() -> None:
    assert "1010519" not in repr(personal_number(NumberKind.CITIZEN, "11010519491231002X", today=TODAY))


@given(st.text(alphabet="0123456789", min_size=17, max_size=17))
def test_exactly_one_check_character_fits_and_the_library_agrees(first: str) -> None:
    fitting = [check for check in "0123456789X" if citizen_check(first) == check]
    assert fitting == [ric.calc_check_digit(first + "0")]


@given(st.text(alphabet="0123456789", min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(first: str, place: int, shift: int) -> None:
    wrong = first[:place] + str((int(first[place]) + shift) % 10) + first[place + 1 :]
    assert citizen_check(wrong) != citizen_check(first)


@given(st.text(max_size=20), st.sampled_from(NumberKind))
def test_whatever_comes_is_taken_or_refused_in_words(text: str, kind: NumberKind) -> None:
    assert reason(kind, text).startswith("NUMBER_")


def reason(kind: NumberKind, text: str) -> str:
    try:
        personal_number(kind, text, today=TODAY)
    except NumberRefused as refused:
        return refused.reason
    return "NUMBER_TAKEN"
