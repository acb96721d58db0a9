# SPDX-License-Identifier: Apache-2.0
"""Conditions over a provider's record: CEL that answers true, false or unknown, and nothing else.

A condition reads `record.<field>` of the resource and `today` (YYYY-MM-DD, UTC+8); `full_years(born, on)` counts completed
years. A field without a value is absent: `has(record.x)` asks for it, anything else over it is unknown. There is nothing
to iterate over in a flat record, so CEL's macros over lists are refused: what a condition costs is bounded by its length.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import cel

from services.exchange.domain.answer import Scalar

EXPRESSION_MAX: Final = 500
LABEL_MAX: Final = 200
_NAMES = frozenset({"record", "today"})
_FUNCTIONS = frozenset({"size", "startsWith", "endsWith", "contains", "int", "double", "string", "full_years", "@in"})
_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_FIELD = re.compile(r"\brecord\s*\.\s*([a-z][a-z0-9_]*)\b")
_RECORD = re.compile(r"\brecord\b")


class ConditionMalformed(ValueError):  # noqa: N818 - it states what is so
    """It is no CEL, or reads what a condition can't read."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of a record, for the machine and for people."""

    expression: str
    label_zh: str
    label_en: str


@dataclass(frozen=True, slots=True)
class Question:
    """A condition that a grantee may ask for by name; its answer is all that is told."""

    name: str
    condition: Condition


class Program:
    """One condition, compiled."""

    __slots__ = ("_program", "fields")

    def __init__(self, expression: str, known: Collection[str]) -> None:
        """Compile against the fields of a resource. Raises ConditionMalformed."""
        if not 0 < len(expression) <= EXPRESSION_MAX:
            raise ConditionMalformed(f"1 to {EXPRESSION_MAX} characters.")
        bare = _STRING.sub("''", expression)
        found = _FIELD.findall(bare)
        if not found or len(found) != len(_RECORD.findall(bare)):
            raise ConditionMalformed("It reads the record, field by field: record.<field>.")
        if unknown := sorted(set(found) - set(known)):
            raise ConditionMalformed(f"The resource has no field {unknown[0]}.")
        self.fields = tuple(dict.fromkeys(found))
        self._program = _compiled(expression)

    def answer(self, record: Mapping[str, Scalar], today: str) -> bool | None:
        """Tell whether it holds; None where a value is missing or of another type. What went wrong is told to nobody."""
        given = {name: value for name in self.fields if (value := record.get(name)) is not None}
        try:
            found = self._program.execute(
                cel.Context(variables={"record": given, "today": today}, functions={"full_years": full_years})
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - the engine raises many kinds, panics among them, with values in their words
            return None
        return found if isinstance(found, bool) else None


def full_years(born: str, on: str) -> int:
    """Completed years between two days (YYYY-MM-DD); in a common year 29 February is completed on 1 March."""
    first, last = date.fromisoformat(born), date.fromisoformat(on)
    return last.year - first.year - ((last.month, last.day) < (first.month, first.day))


def _compiled(expression: str) -> Any:
    try:
        program = cel.compile(expression)
    except ValueError:
        raise ConditionMalformed("It is no CEL.") from None
    if not _NAMES.issuperset(program.variables()):
        raise ConditionMalformed("It reads record.<field> and today, and nothing else.")
    named = {name for name in program.functions() if not (name.endswith("_") or name.startswith("_"))}
    if not named <= _FUNCTIONS:
        raise ConditionMalformed(f"Its functions are {', '.join(sorted(_FUNCTIONS - {'@in'}))}.")
    return program
