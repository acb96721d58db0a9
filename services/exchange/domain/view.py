# SPDX-License-Identifier: Apache-2.0
"""What a grant with conditions makes of a record: the only thing of it that leaves the broker."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from services.exchange.domain.answer import Scalar
from services.exchange.domain.conditions import Program


class View(Protocol):
    """One call's look at one record."""

    def __call__(self, record: Mapping[str, Scalar], today: str) -> dict[str, Scalar] | None:
        """Give what may be told, None where the record reads as none."""


class Matching:
    """Fields of a record for which a predicate holds. One that is unknown does not hold."""

    __slots__ = ("_fields", "_predicate", "needed")

    def __init__(self, fields: tuple[str, ...], predicate: Program) -> None:
        self._fields = fields
        self._predicate = predicate
        self.needed = _each_once((*fields, *predicate.fields))

    def __call__(self, record: Mapping[str, Scalar], today: str) -> dict[str, Scalar] | None:
        """Give the fields, None where the predicate does not hold."""
        if self._predicate.answer(record, today) is not True:
            return None
        return {name: record[name] for name in self._fields}


class Answers:
    """Answers of questions over a record: true, false, or null where it can't be told."""

    __slots__ = ("_predicate", "_questions", "needed", "read")

    def __init__(self, questions: Mapping[str, Program], predicate: Program | None) -> None:
        self._questions = questions
        self._predicate = predicate
        self.read = {name: each.fields for name, each in questions.items()}
        read = [name for each in questions.values() for name in each.fields]
        self.needed = _each_once((*read, *(predicate.fields if predicate is not None else ())))

    def __call__(self, record: Mapping[str, Scalar], today: str) -> dict[str, Scalar] | None:
        """Give each question's answer, None where the grant's predicate does not hold."""
        if self._predicate is not None and self._predicate.answer(record, today) is not True:
            return None
        return {name: each.answer(record, today) for name, each in self._questions.items()}


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
