# SPDX-License-Identifier: Apache-2.0
"""Check characters and dates as the numbering standards define them. Pure arithmetic, no refusals."""

from datetime import date

_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_CHECKS = "10X98765432"
_CARD_WEIGHTS = (7, 3, 1)
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANIZATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Fullwidth ASCII (U+FF01 to U+FF5E) is what a Chinese input method writes for the same key.
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}


def folded(text: str) -> str:
    """The text with fullwidth characters narrowed, ends trimmed and letters in capitals.

    Digits of other scripts stay what they are, so that a later check refuses them: `str.isdigit` would let them pass.
    """
    return text.translate(_NARROW).strip().upper()


def citizen_check(first17: str) -> str:
    """ISO 7064 MOD 11-2 over 17 digits (GB 11643-1999): one of `0` to `9` and `X`."""
    total = sum(int(digit) * weight for digit, weight in zip(first17, _CITIZEN_WEIGHTS, strict=True))
    return _CITIZEN_CHECKS[total % 11]


def card_check(first14: str) -> str:
    """Weights 7-3-1 modulo 10 with A=10 to Z=35, as in the lines that a passport reader reads (ICAO 9303)."""
    total = sum(
        _ALPHANUMERIC.index(character) * _CARD_WEIGHTS[position % 3] for position, character in enumerate(first14)
    )
    return str(total % 10)


def credit_check(first17: str) -> str:
    """Check character of a unified social credit code: GB 32100-2015, modulo 31."""
    total = sum(
        _CREDIT_ALPHABET.index(character) * weight for character, weight in zip(first17, _CREDIT_WEIGHTS, strict=True)
    )
    return _CREDIT_ALPHABET[-total % 31]


def organization_check(first8: str) -> str:
    """Check character of an organization code: GB 11714, modulo 11 over 36 characters; here I, O, S, V and Z count."""
    total = sum(
        _ALPHANUMERIC.index(character) * weight for character, weight in zip(first8, _ORGANIZATION_WEIGHTS, strict=True)
    )
    return "0123456789X0"[11 - total % 11]


def date_of(digits: str) -> date | None:
    """The day that `YYYYMMDD` names, or None where the calendar has no such day."""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
