# SPDX-License-Identifier: Apache-2.0
"""Pages by key, never by offset: a row that comes or goes doesn't shift the next page."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from services.kit.errors import PageTokenInvalid

T = TypeVar("T")

_TOKEN_CHARACTERS_MAX = 1000
_INTEGER_MAX = (1 << 31) - 1
LONG_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows and the token of the next page, empty on the last."""

    rows: tuple[T, ...]
    next_token: str = ""


def encode_token(**values: str | int) -> str:
    """Write the key of the last row as an opaque token. It is readable by whoever holds it: no personal data in it."""
    text = json.dumps(values, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_token(token: str) -> dict[str, str | int]:
    """Read a token back; an empty one is the first page. Raises PageTokenInvalid on anything that we didn't write."""
    if not token:
        return {}
    if len(token) > _TOKEN_CHARACTERS_MAX:
        raise _not_ours()
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        values = json.loads(text)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _not_ours() from error
    if not isinstance(values, dict) or not values or not all(_is_plain(value) for value in values.values()):
        raise _not_ours()
    return values


def number_after(token: str, name: str, *, most: int = _INTEGER_MAX) -> int | None:
    """Read the number that a page goes on after, None for the first page. Raises PageTokenInvalid.

    `most`: what the column holds; PostgreSQL breaks off at a number that an integer column could not hold.
    """
    if not token:
        return None
    value = decode_token(token).get(name)
    if not isinstance(value, int) or abs(value) > most:
        raise _not_ours()
    return value


def text_after(token: str, name: str) -> str:
    """Read the name that a page goes on after, empty for the first page. Raises PageTokenInvalid."""
    if not token:
        return ""
    value = decode_token(token).get(name)
    if not isinstance(value, str) or not value:
        raise _not_ours()
    return value


def moment_after(token: str, *, time: str = "time", key: str = "id") -> tuple[datetime, str]:
    """Read the moment and the key of its row that a page goes on after. Raises PageTokenInvalid."""
    values = decode_token(token)
    try:
        moment = datetime.fromisoformat(str(values[time]))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC), str(values[key])
    except (KeyError, ValueError, OverflowError) as error:
        raise _not_ours() from error
    raise _not_ours()


def _is_plain(value: object) -> bool:
    """Whether any database takes it: 64 bits, or printable characters only."""
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LONG_MAX


def _not_ours() -> PageTokenInvalid:
    return PageTokenInvalid("The page token is not one of ours.")
