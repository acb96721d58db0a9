# SPDX-License-Identifier: Apache-2.0
"""A provider's answer is believed only as far as it can be checked; what is not asked for is dropped."""

import math
from collections.abc import Mapping, Sequence

from services.exchange.domain.refusals import ProviderAnswerInvalid
from services.exchange.domain.resource import SUBJECT_KEY

ANSWER_BYTES_MAX = 1_000_000
COLUMNS_MAX = 1_000
_EXACT = 2**53  # Beyond it a number of JSON or Struct loses digits.

Scalar = str | int | float | bool | None


def accept(raw: object, *, fields: Sequence[str], subject_key: str) -> dict[str, Scalar]:
    """Give exactly `fields` (absent ones as null), or refuse the answer as a whole: half an answer misleads."""
    if not isinstance(raw, Mapping) or len(raw) > COLUMNS_MAX:
        raise ProviderAnswerInvalid("The provider's answer is not one record.")
    echoed = raw.get(SUBJECT_KEY)
    if echoed is not None and (not isinstance(echoed, str) or echoed.strip().upper() != subject_key.upper()):
        raise ProviderAnswerInvalid("The provider's answer is about another subject.")
    values: dict[str, Scalar] = {}
    size = 0
    for name in fields:
        value = raw.get(name)
        if isinstance(value, str):
            size += _bytes(name, value)
        elif not _is_scalar(value):
            raise ProviderAnswerInvalid(f"The provider's answer has a wrong type in {name}.")
        values[name] = value
    if size > ANSWER_BYTES_MAX:
        raise ProviderAnswerInvalid(f"The provider's answer is larger than {ANSWER_BYTES_MAX} bytes.")
    return values


def _bytes(name: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:  # half of a surrogate pair: no text that could be passed on
        raise ProviderAnswerInvalid(f"The provider's answer has no readable text in {name}.") from None


def _is_scalar(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= _EXACT
    return isinstance(value, float) and math.isfinite(value)
