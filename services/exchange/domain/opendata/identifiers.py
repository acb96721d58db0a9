# SPDX-License-Identifier: Apache-2.0
"""The last look at what is about to be published: values that tell who somebody is, wherever they hide."""

import re
from collections.abc import Iterable, Sequence

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import tells_a_person

_NUMBER = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?<![0-9])(?:\+?86[ -]?)?1[3-9][0-9]{9}(?![0-9])")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}")


def identifying(value: Scalar) -> bool:
    """Whether a value holds an identity number of GB 11643, a mobile number or an address of electronic mail."""
    if value is None or isinstance(value, bool):
        return False
    text = str(value)
    return (
        any(tells_a_person(found.upper()) for found in _NUMBER.findall(text))
        or _MOBILE.search(text) is not None
        or _EMAIL.search(text) is not None
    )


def columns_with_identifiers(columns: Sequence[str], rows: Iterable[Sequence[Scalar]]) -> list[str]:
    """Name the columns in which at least one value tells who somebody is."""
    found: set[int] = set()
    for row in rows:
        found.update(index for index, value in enumerate(row) if index not in found and identifying(value))
    return [columns[index] for index in sorted(found)]
