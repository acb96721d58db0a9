# SPDX-License-Identifier: Apache-2.0
"""Files that a provider drops: each row believed or set apart with its reason, each file a version or refused as a whole."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from services.exchange.domain.answer import Scalar
from services.exchange.domain.settings import DropSettings

KEY_MAX, TEXT_MAX = 64, 10_000
REJECTS_KEPT = 1_000
_EXACT = 2**53
_YES, _NO = {"true", "1", "yes", "是"}, {"false", "0", "no", "否"}


class DropState(StrEnum):
    """Life of a drop."""

    LOADING = "loading"
    CURRENT = "current"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


class Reason(StrEnum):
    """Why a row was set apart. Never its values."""

    KEY_MISSING = "KEY_MISSING"
    KEY_MALFORMED = "KEY_MALFORMED"
    COLUMNS_DIFFER = "COLUMNS_DIFFER"
    TYPE_DIFFERS = "TYPE_DIFFERS"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    SUBJECT_REPEATED = "SUBJECT_REPEATED"


@dataclass(frozen=True, slots=True)
class Row:
    """One row that may be given as an answer."""

    line: int
    key: str = field(repr=False)
    values: Mapping[str, Scalar] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that was set apart: where it stands, which field, why."""

    line: int
    field: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Drop:
    """One file of a resource. `digest`: SHA-256 of its bytes; `refusal`: why it was refused as a whole."""

    drop_id: str
    resource: str
    version: int
    state: DropState
    digest: str
    receive_time: datetime
    rows: int = 0
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    refusal: str = ""
    switch_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileDropLoaded:
    """A drop is the current one of its resource, or was refused."""

    drop: Drop


def read_row(line: int, given: Mapping[str, object] | None, settings: DropSettings) -> Row | Reject:
    """Believe a row, or set it apart. `given`: by column, None where the row has not the columns of the head."""
    if given is None:
        return Reject(line, "", Reason.COLUMNS_DIFFER)
    name = ""
    try:
        key = _key(given.get(settings.key))
        values: dict[str, Scalar] = {}
        for name, column in settings.columns.items():
            values[name] = _value(given, column, settings.types.get(name, "text"))
    except _ApartError as apart:
        return Reject(line, name, apart.reason)
    return Row(line, key, values)


def refusal_of(*, rows: int, rejected: int, settings: DropSettings) -> str:
    """Say why a file is refused as a whole; empty where it is not."""
    if not rows:
        return "NO_ROWS"
    if rejected * 100 > int(settings.rejected_percent_max) * (rows + rejected):
        return "TOO_MANY_REJECTED"
    return ""


class _ApartError(Exception):
    """A row is set apart."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def _key(given: object) -> str:
    if given is None or not str(given).strip():
        raise _ApartError(Reason.KEY_MISSING)
    key = str(given).strip().upper()
    if not isinstance(given, str | int) or len(key) > KEY_MAX or not key.isascii() or not key.isalnum():
        raise _ApartError(Reason.KEY_MALFORMED)
    return key


def _value(given: Mapping[str, object], column: str, kind: str) -> Scalar:
    """Give a value of a type; an empty text is none."""
    if column not in given:
        raise _ApartError(Reason.COLUMNS_DIFFER)
    value = given[column]
    if isinstance(value, str):
        value = value.strip()
        if len(value) > TEXT_MAX:
            raise _ApartError(Reason.TEXT_TOO_LONG)
    if value is None or value == "":
        return None
    try:
        return _TYPES[kind](value)
    except (ValueError, TypeError, ArithmeticError):
        raise _ApartError(Reason.TYPE_DIFFERS) from None


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal | date):
        raise TypeError
    return value.isoformat() if isinstance(value, date) else str(value)


def _date(value: object) -> str:
    if isinstance(value, datetime):
        value = value.date()
    return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()


def _number(value: object) -> float:
    number = float(str(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _boolean(value: object) -> bool:
    word = str(value).lower()
    if word not in _YES | _NO:
        raise ValueError
    return word in _YES


def _integer(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    number = int(value) if isinstance(value, float) else int(str(value))
    if abs(number) > _EXACT:
        raise ValueError
    return number


_TYPES: Mapping[str, Callable[[object], Scalar]] = {
    "text": _text,
    "date": _date,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
}
