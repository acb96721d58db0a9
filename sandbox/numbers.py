# SPDX-License-Identifier: Apache-2.0
"""Makes valid numbers of region 990100, which no real person or body can have.

Citizen numbers: GB 11643-1999 with ISO 7064 MOD 11-2. Credit codes: GB 32100-2015 with the organization code of
GB 11714. The services check them with code of their own; the city must not borrow it.
"""

from datetime import date
from uuid import uuid4

REGION = "990100"

_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_CHECKS = "10X98765432"
_CODE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANIZATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)

SEQUENCE_MAX = 995
"""996 to 999 stand for centenarians in the numbers of 15 digits; the city leaves them free."""


def citizen_number(birth: date, sequence: int) -> str:
    """The number of the `sequence`-th person registered with this birth date; odd for men, even for women."""
    if not 1 <= sequence <= SEQUENCE_MAX:
        raise ValueError(f"A birth date has sequences 1 to {SEQUENCE_MAX}, not {sequence}.")
    body = f"{REGION}{birth:%Y%m%d}{sequence:03d}"
    remainder = sum(int(digit) * weight for digit, weight in zip(body, _CITIZEN_WEIGHTS, strict=True)) % 11
    return body + _CITIZEN_CHECKS[remainder]


def sequence_of(number: str) -> int:
    """The sequence within a number."""
    return int(number[14:17])


def next_sequence(used: int, *, male: bool) -> int:
    """The first free sequence of a sex, where `used` is the highest one of that sex (0 for none)."""
    if used == 0:
        return 1 if male else 2
    return used + 2


def license_serial() -> str:
    """Serial for the identifier of a license (GB/T 36904): identifiers travel, so it tells nothing of what it stands for."""
    return uuid4().hex.upper()


def organization_code(body: str) -> str:
    """Eight characters and their check (GB 11714, values in base 36)."""
    total = sum(int(character, 36) * weight for character, weight in zip(body, _ORGANIZATION_WEIGHTS, strict=True))
    check = 11 - total % 11
    return body + {10: "X", 11: "0"}.get(check, str(check))


def credit_code(department: str, category: str, body: str) -> str:
    """A unified social credit code of the city: `department` and `category` one character each, `body` eight."""
    head = department + category + REGION + organization_code(body)
    total = sum(_CODE_ALPHABET.index(character) * weight for character, weight in zip(head, _CODE_WEIGHTS, strict=True))
    return head + _CODE_ALPHABET[(31 - total % 31) % 31]
