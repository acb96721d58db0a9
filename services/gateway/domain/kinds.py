# SPDX-License-Identifier: Apache-2.0
"""What values of each kind look like. Says what is wrong with a value without repeating it."""

import re
from datetime import date
from uuid import UUID

_CITIZEN = re.compile(r"[1-9][0-9]{16}[0-9X]")
_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_CHECK = "10X98765432"
_ACCOUNT = re.compile(r"[0-9A-Z]{8,34}")
_SERIAL = re.compile(r"[0-9A-Z]{1,32}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def fault_of_text(value: str, minimum: int, maximum: int) -> str:
    """Length in characters, and no control characters."""
    if not minimum <= len(value) <= maximum:
        return f"Must have {minimum} to {maximum} characters."
    if _CONTROL.search(value) or value != value.strip():
        return "Must not begin or end with a space, or hold control characters."
    return ""


def fault_of_date(value: str) -> str:
    """A day that exists, YYYY-MM-DD."""
    try:
        if _DATE.fullmatch(value) and date.fromisoformat(value):
            return ""
    except ValueError:
        pass
    return "Must be a day that exists, YYYY-MM-DD."


def fault_of_citizen_number(value: str) -> str:
    """Eighteen characters with a birth date that exists and the check character of GB 11643 (ISO 7064, MOD 11-2)."""
    if _CITIZEN.fullmatch(value) and not fault_of_date(f"{value[6:10]}-{value[10:12]}-{value[12:14]}"):
        total = sum(int(digit) * weight for digit, weight in zip(value, _WEIGHTS, strict=False))
        if _CHECK[total % 11] == value[17]:
            return ""
    return "Must be a citizen number of 18 characters with the right check character (GB 11643)."


def fault_of_account(value: str) -> str:
    """A bank account or card."""
    return "" if _ACCOUNT.fullmatch(value) else "Must be 8 to 34 digits or upper-case letters, without spaces."


def fault_of_serial(value: str) -> str:
    """What can stand in a license's identifier (GB/T 36904)."""
    return "" if _SERIAL.fullmatch(value) else "Must be 1 to 32 digits or upper-case letters."


def fault_of_uuid(value: str) -> str:
    """A subject id and the like."""
    try:
        return "" if str(UUID(value)) == value else "Must be a UUID in lower case."
    except ValueError:
        return "Must be a UUID in lower case."
