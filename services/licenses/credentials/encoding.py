# SPDX-License-Identifier: Apache-2.0
"""Strict base64url and JSON: one text, one meaning, or a refusal."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from services.kit.errors import Code, Refusal


class CredentialMalformed(Refusal):
    """It is not written as RFC 9901 says."""

    code = Code.INVALID_ARGUMENT


def encode_bytes(raw: bytes) -> str:
    """Write base64url without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_bytes(text: str) -> bytes:
    """Read base64url without padding.

    Raises:
        CredentialMalformed: Padding, other characters, or unused bits that are not zero: a second way of
            writing the same bytes would be a second text with the same signature.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise CredentialMalformed("A part of the credential is not base64url.") from error
    if encode_bytes(raw) != text:
        raise CredentialMalformed("A part of the credential is not base64url in its one form.")
    return raw


def write_json(value: Mapping[str, Any] | list[Any]) -> bytes:
    """Write JSON without spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def read_json(raw: bytes) -> Any:
    """Read JSON.

    Raises:
        CredentialMalformed: Not JSON or not UTF-8, a name twice in one object, a number that JSON doesn't have,
            half of a surrogate pair, or nesting beyond what the reader can follow.
    """
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_once_each, parse_constant=_no_constant)
        write_json([value])
    except (ValueError, RecursionError) as error:
        raise CredentialMalformed("A part of the credential is not strict JSON.") from error
    return value


def read_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CredentialMalformed: It is anything else.
    """
    value = read_json(raw)
    if not isinstance(value, dict):
        raise CredentialMalformed("A part of the credential is not a JSON object.")
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A name occurs twice.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")
