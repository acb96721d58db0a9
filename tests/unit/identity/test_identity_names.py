# SPDX-License-Identifier: Apache-2.0
"""Names, phones and days as people write them."""

from datetime import UTC, date, datetime

import pytest

from services.identity.domain.names import checked_day, checked_name, checked_phone, civil_day, comparable_name
from services.kit.errors import Refusal


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("阿依古丽·买买提", "阿依古丽•买买提"),
        ("阿依古丽·买买提", "阿依古丽・买买提"),
        ("阿依古丽·买买提", "阿依古丽･买买提"),
        ("阿依古丽·买买提", "阿依古丽‧买买提"),
        ("阿依古丽·买买提", "阿依古丽 · 买买提"),
        ("张 三", "张三"),
        ("张\u3000三", "张三"),
        ("张三\u200b", "张三"),
        ("ＪＯＨＮ Smith", "john smith"),
        ("JOHN SMITH", "JohnSmith"),
        ("甲（北京）有限公司", "甲(北京)有限公司"),
    ],
)
def test_the_same_name_written_otherwise_compares_equal(said: str, kept: str) -> None:
    assert comparable_name(said) == comparable_name(kept)


@pytest.mark.parametrize(
    ("said", "kept"), [("张三", "张叁"), ("阿依古丽·买买提", "阿依古丽买买提"), ("张三", "三张"), ("吕布", "吕佈")]
)
def test_other_names_compare_other(said: str, kept: str) -> None:
    assert comparable_name(said) != comparable_name(kept)


@pytest.mark.parametrize("name", ["", " ", "\u3000", "\u200b"])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_name(name)
    assert refused.value.reason == "NAME_EMPTY"


@pytest.mark.parametrize("name", ["张\0三", "张\n三", "\x1b[2J"])
def test_control_characters_are_no_part_of_a_name(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_name(name)
    assert refused.value.reason == "NAME_MALFORMED"


def test_a_name_is_kept_as_it_is_written() -> None:
    assert checked_name(" 阿依古丽•买买提 ") == "阿依古丽•买买提"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", ""),
        ("+8613800000000", "+8613800000000"),
        ("13800000000", "+8613800000000"),
        ("138 0000-0000", "+8613800000000"),
        ("+4915112345678", "+4915112345678"),
    ],
)
def test_phones_come_to_one_form(said: str, kept: str) -> None:
    assert checked_phone(said) == kept


@pytest.mark.parametrize(
    "phone", ["12345", "+0123456789", "+86138000000000000", "nobody", "010-12345678", "１3800000000"]
)
def test_what_is_no_phone_is_refused_without_repeating_it(phone: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_phone(phone)
    assert refused.value.reason == "PHONE_MALFORMED"
    assert phone not in str(refused.value).split()


def test_a_day_is_read() -> None:
    assert checked_day("1904-02-29") == date(1904, 2, 29)


@pytest.mark.parametrize("text", ["1900-02-29", "19040229", "1904-2-29", "1904-02-29T00:00:00", "", "２０００-01-01"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_day(text)
    assert refused.value.reason == "BIRTH_DATE_MALFORMED"


def test_a_morning_in_china_is_already_the_next_day() -> None:
    assert civil_day(datetime(2026, 11, 2, 15, 59, tzinfo=UTC)) == date(2026, 11, 2)
    assert civil_day(datetime(2026, 11, 2, 16, 0, tzinfo=UTC)) == date(2026, 11, 3)
