# SPDX-License-Identifier: Apache-2.0
"""Yes or no per field: the least that can be told about a record."""

import hmac
import unicodedata
from collections.abc import Mapping

from services.exchange.domain.answer import Scalar


def compare(given: Mapping[str, str], found: Mapping[str, Scalar]) -> dict[str, bool]:
    """Compare each field in constant time, so that no prefix of a value is told by the clock."""
    return {name: _same(value, found.get(name)) for name, value in given.items()}


def normal(value: Scalar) -> str:
    """Bring a value into the form that is compared: width, case and runs of spaces don't count (NFKC)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())


def _same(given: str, found: Scalar) -> bool:
    """A field without a value matches nothing, not even an empty text."""
    equal = hmac.compare_digest(normal(given).encode(), normal(found).encode())
    return equal and found is not None and normal(found) != ""
