# SPDX-License-Identifier: Apache-2.0
"""Names, phones and days as people write them, brought to one form for comparing."""

import re
import unicodedata
from datetime import date, datetime, timedelta

from services.kit.errors import Code, Refusal

# What people type for the separator in names such as 阿依古丽·买买提; the first is the one of GB/T 2312 practice.
_MIDDLE_DOTS = dict.fromkeys(map(ord, "·•‧∙⋅・ꞏ⸱᛫"), "·")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_MAINLAND_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CHINA = timedelta(hours=8)


class NameEmpty(Refusal):
    """Nothing is left of the name without spaces and invisible characters."""

    code = Code.INVALID_ARGUMENT


class NameMalformed(Refusal):
    """Control characters are no part of a name."""

    code = Code.INVALID_ARGUMENT


class PhoneMalformed(Refusal):
    """Neither E.164 nor a mainland mobile number."""

    code = Code.INVALID_ARGUMENT


class BirthDateMalformed(Refusal):
    """Not a day of the calendar in the form YYYY-MM-DD."""

    code = Code.INVALID_ARGUMENT


def comparable_name(name: str) -> str:
    """NFKC, one middle dot, no spaces or invisible characters, letters without case; never for showing."""
    normal = unicodedata.normalize("NFKC", name).translate(_MIDDLE_DOTS)
    visible = (character for character in normal if not character.isspace() and unicodedata.category(character) != "Cf")
    return "".join(visible).casefold()


def checked_name(name: str) -> str:
    """The name as it will be shown: trimmed, otherwise as given."""
    trimmed = name.strip()
    if any(unicodedata.category(character) == "Cc" for character in trimmed):
        raise NameMalformed("The name has a control character in it.")
    if not comparable_name(trimmed):
        raise NameEmpty("The name is empty.")
    return trimmed


def checked_phone(phone: str) -> str:
    """The phone in E.164, or empty; eleven digits of a mainland mobile number get +86."""
    plain = re.sub(r"[ \-]", "", phone)
    if _MAINLAND_MOBILE.fullmatch(plain):
        return f"+86{plain}"
    if plain and not _PHONE.fullmatch(plain):
        raise PhoneMalformed("The phone must be in E.164, e.g. +86 and eleven digits.")
    return plain


def checked_day(text: str) -> date:
    """The day that YYYY-MM-DD names."""
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise BirthDateMalformed("A day of birth must be a day of the calendar, written YYYY-MM-DD.")


def civil_day(now: datetime) -> date:
    """The day in China: UTC+8 without summer time. A child born at 7 in the morning has yesterday's day in UTC."""
    return (now + _CHINA).date()
