# SPDX-License-Identifier: Apache-2.0
"""CEL, compiled once: conditions and mappings over `answers`, `applicant`, `case` and `steps.<id>`.

Pure: the same names give the same value. What goes wrong while one runs is told without the values it ran over.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import cel

Scalar = str | int | float | bool

NAMES = frozenset({"answers", "applicant", "case", "steps"})
_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_STEP = re.compile(r"\bsteps\s*\.\s*([a-z][a-z0-9_]*)(?:\s*\.\s*output\s*\.\s*([a-z][a-z0-9_]*))?")
_PATH = re.compile(r"(?:answers|applicant|case|steps)(?:\.[a-z][a-z0-9_]*)+")
_STEPS = re.compile(r"\bsteps\b")
_ANSWER = re.compile(r"\banswers\s*\.\s*([a-z][a-z0-9_]*)")


class ExpressionMalformed(ValueError):  # noqa: N818 - it states what is so
    """It is no CEL, or names what there isn't."""


class ExpressionFailed(Exception):  # noqa: N818 - it states what is so
    """It could not be evaluated over this case. Says why without a value."""


def full_years(born: str, on: str) -> int:
    """Completed years between two days (YYYY-MM-DD); in a common year 29 February is completed on 1 March."""
    first, last = date.fromisoformat(born), date.fromisoformat(on)
    return last.year - first.year - ((last.month, last.day) < (first.month, first.day))


_FUNCTIONS = {"full_years": full_years}


class Expression:
    """One compiled expression."""

    def __init__(self, source: str) -> None:
        """Raises ExpressionMalformed."""
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise ExpressionMalformed(str(error).splitlines()[0][:200]) from error
        self.source = source
        bare = _STRING.sub("''", source)
        found = list(_STEP.finditer(bare))
        self.steps = frozenset((match[1], match[2] or "") for match in found)
        """(step, output name or "") that it reads."""
        self.answers = frozenset(match[1] for match in _ANSWER.finditer(bare))
        self.constant = not self._program.variables()
        self.path = tuple(source.split(".")) if _PATH.fullmatch(source) else ()
        """The parts of a plain path; empty for anything more."""
        self._reads_all_steps = len(_STEPS.findall(bare)) != len(found)

    @property
    def variables(self) -> frozenset[str]:
        """Names that it reads, comprehension variables among them."""
        return frozenset(self._program.variables())

    def value(self, names: Mapping[str, Any]) -> Scalar:
        """Evaluate to text, number or truth.

        Raises:
            ExpressionFailed: it reads what there is not, or gives another kind of value.
        """
        if self.path:
            return _scalar(_walked(self.path, names))
        given = dict(names)
        if not self._reads_all_steps and "steps" in given:
            # To hand values over to CEL costs more than to evaluate: only what is read goes along.
            read = {step_id for step_id, _ in self.steps}
            given["steps"] = {step_id: one for step_id, one in given["steps"].items() if step_id in read}
        try:
            found = self._program.execute(cel.Context(variables=given, functions=_FUNCTIONS))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the engine behind raises many kinds, panics among them
            raise ExpressionFailed(type(error).__name__) from None
        return _scalar(found)

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Evaluate a condition. Raises ExpressionFailed where it gives no truth value."""
        found = self.value(names)
        if not isinstance(found, bool):
            raise ExpressionFailed("NotBoolean")
        return found


def _walked(path: tuple[str, ...], names: Mapping[str, Any]) -> Any:
    """A plain path, as most mappings are, without the detour over CEL."""
    found: Any = names
    for part in path:
        if not isinstance(found, Mapping) or part not in found:
            raise ExpressionFailed("KeyError")
        found = found[part]
    return found


def _scalar(found: Any) -> Scalar:
    if not isinstance(found, str | float | int | bool):
        raise ExpressionFailed("NotScalar")
    return found
