# SPDX-License-Identifier: Apache-2.0
"""What pydantic says about a body, as violations: where and which rule, never a value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.kit.errors import Violation

_VIOLATIONS_MAX = 20
_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,63}")
_SAYS_NO_VALUE = {
    "string_type", "string_too_long", "string_too_short", "int_type", "int_parsing", "dict_type",
    "list_type", "too_long", "too_short", "greater_than_equal", "less_than_equal", "enum", "literal_error", "bool_type",
    "string_unicode", "model_type", "model_attributes_type",
}  # fmt: skip
_RULES: Mapping[str, str] = {
    "missing": "Is required.",
    "extra_forbidden": "Is not a known field.",
    "json_invalid": "Is not valid JSON.",
    "uuid_parsing": "Must be a UUID.",
    "string_pattern_mismatch": "Does not have the form that the contract asks for.",
    "model_attributes_type": "Must be a JSON object.",
    "model_type": "Must be a JSON object.",
    "string_unicode": "Must be valid Unicode.",
}


def violations_of(errors: Sequence[Any]) -> list[Violation]:
    """Give the first twenty; who has more starts with those."""
    return list(_violations(errors))[:_VIOLATIONS_MAX]


def _violations(errors: Sequence[Any]) -> Iterator[Violation]:
    for error in errors:
        kind = str(error.get("type", ""))
        rule = _RULES.get(kind) or (str(error.get("msg", "")) if kind in _SAYS_NO_VALUE else "") or "Breaks its rule."
        yield Violation(field=_path(error.get("loc", ()), kind), description=rule)


def _path(location: Sequence[object], kind: str) -> str:
    """Name the field. Where the caller chose the name himself it may hold anything, so only plain words go back."""
    where = [part for part in location if part != "[key]"]
    if kind == "json_invalid":
        return str(where[0]) if where else ""
    if len(where) > 1 and where[0] in {"body", "query", "path", "header"}:
        where = where[1:]
    return ".".join(str(part) if isinstance(part, int) or _NAME.fullmatch(str(part)) else "(unnamed)" for part in where)
