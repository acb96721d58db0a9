# SPDX-License-Identifier: Apache-2.0
"""Pages by key, never by offset: a row that comes or goes doesn't shift the next page."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.kit.errors import PageTokenInvalid

T = TypeVar("T")

_TOKEN_CHARACTERS_MAX = 1000


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
        raise PageTokenInvalid("The page token is not one of ours.")
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        values = json.loads(text)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise PageTokenInvalid("The page token is not one of ours.") from error
    if not isinstance(values, dict) or not all(_is_plain(value) for value in values.values()):
        raise PageTokenInvalid("The page token is not one of ours.")
    return values


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
