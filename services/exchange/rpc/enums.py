# SPDX-License-Identifier: Apache-2.0
"""Enums of the contract as words of ours: `UPDATE_CYCLE_DAILY` is `UpdateCycle.DAILY`, zero is none."""

from enum import StrEnum
from typing import Any, Generic, TypeVar

from services.kit.errors import RequestInvalid, Violation

W = TypeVar("W", bound=StrEnum)


class Enum(Generic[W]):
    """One enum both ways; the names of our words are those of the contract behind its prefix."""

    def __init__(self, wire: Any, words: type[W], prefix: str) -> None:
        self._words = {int(wire.Value(f"{prefix}_{word.name}")): word for word in words}
        self._codes: dict[W, int] = {word: code for code, word in self._words.items()}

    def read(self, code: int, field: str) -> W:
        """Read a word that must be there. Raises RequestInvalid."""
        word = self._words.get(code)
        if word is None:
            raise RequestInvalid(
                "A value is missing or unknown.", violations=[Violation(field, "One of the contract's.")]
            )
        return word

    def read_any(self, code: int, field: str) -> W | None:
        """Read a word that may be missing. Raises RequestInvalid for one that the contract doesn't know."""
        return self.read(code, field) if code else None

    def write(self, word: W | None) -> Any:
        """Write a word; none is zero."""
        return 0 if word is None else self._codes[word]
