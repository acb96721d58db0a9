# SPDX-License-Identifier: Apache-2.0
"""Personal identity numbers: GB 11643-1999, residence permits, permanent resident cards.

A region code is never refused: the code in force when the number was assigned counts, codes are abolished, and no list
is complete. A number identifies, it does not authenticate; and check characters don't tell kinds apart, so every number
carries its kind.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from services.identity.domain.digits import card_check, citizen_check, date_of, folded
from services.kit.errors import Code, Refusal

_EIGHTEEN = re.compile(r"[0-9]{17}[0-9X]")
_OLD_CARD = re.compile(r"[A-Z]{3}[0-9]{12}")
_PERMIT_REGIONS = ("810000", "820000", "830000")
_LENGTH = 18
_OLD_LENGTH = 15
_COMPARE = "Compare the number with the document."
_OUTDATED = "Numbers of 15 digits are no longer in use: give the number of the present card."


class NumberKind(StrEnum):
    """Which document a number stands on."""

    CITIZEN = "citizen"
    RESIDENCE_PERMIT = "residence_permit"
    PERMANENT_RESIDENT = "permanent_resident"


class NumberRefused(Refusal):
    """The number can't be one of its kind."""

    code = Code.INVALID_ARGUMENT


class NumberMalformed(NumberRefused):
    """Wrong length or characters."""


class NumberCheckFailed(NumberRefused):
    """The check character is wrong: a slip of the pen, or made up."""


class NumberDateInvalid(NumberRefused):
    """The calendar has no such day of birth."""


class NumberInFuture(NumberRefused):
    """The day of birth has not come yet."""


class NumberKindMismatch(NumberRefused):
    """Well formed, but not a number of the kind that was said."""


class NumberKindMissing(NumberRefused):
    """A number without its kind could be several documents."""


@dataclass(frozen=True, slots=True)
class PersonalNumber:
    """A checked number."""

    kind: NumberKind
    value: str = field(repr=False)
    birth_date: date | None = field(repr=False)
    """None on old permanent resident cards: they write the year with two digits, and a century is not guessed."""

    def born_on(self, day: date) -> bool:
        """Whether the number says this day of birth; an old card is asked for the part that it knows."""
        if self.birth_date is None:
            return self.value[7:13] == day.strftime("%y%m%d")
        return self.birth_date == day


def personal_number(kind: NumberKind | None, text: str, *, today: date) -> PersonalNumber:
    """Checks a number by the rules of its kind; `today` is the civil day in China."""
    value = folded(text)
    match kind:
        case NumberKind.CITIZEN:
            return _eighteen(kind, value, value[6:14], today)
        case NumberKind.RESIDENCE_PERMIT:
            number = _eighteen(kind, value, value[6:14], today)
            if not value.startswith(_PERMIT_REGIONS):
                raise NumberKindMismatch("A residence permit number starts with 810000, 820000 or 830000.")
            return number
        case NumberKind.PERMANENT_RESIDENT if len(value) == _OLD_LENGTH:
            return _old_card(value)
        case NumberKind.PERMANENT_RESIDENT:
            number = _eighteen(kind, value, value[6:14], today)
            if not value.startswith("9"):
                raise NumberKindMismatch("A permanent resident number of the 2023 version starts with 9.")
            return number
        case None:
            raise NumberKindMissing("Say which kind of number it is.", remedy="Set number_kind.")


def _eighteen(kind: NumberKind, value: str, day: str, today: date) -> PersonalNumber:
    if not _EIGHTEEN.fullmatch(value):
        raise NumberMalformed(
            "The number must have 17 digits and a check character, 0 to 9 or X.",
            remedy=_OUTDATED if len(value) == _OLD_LENGTH else _COMPARE,
        )
    if citizen_check(value[:17]) != value[17]:
        raise NumberCheckFailed("The number's check character is wrong.", remedy=_COMPARE)
    born = date_of(day)
    if born is None:
        raise NumberDateInvalid("The number's day of birth is not in the calendar.")
    if born > today:
        raise NumberInFuture("The number's day of birth lies in the future.")
    return PersonalNumber(kind, value, born)


def _old_card(value: str) -> PersonalNumber:
    if not _OLD_CARD.fullmatch(value):
        raise NumberMalformed("An old permanent resident number has three letters and twelve digits.")
    if card_check(value[:14]) != value[14]:
        raise NumberCheckFailed("The number's check digit is wrong.", remedy=_COMPARE)
    if date_of(f"19{value[7:13]}") is None and date_of(f"20{value[7:13]}") is None:
        raise NumberDateInvalid("The number's day of birth is not in the calendar.")
    return PersonalNumber(NumberKind.PERMANENT_RESIDENT, value, None)
