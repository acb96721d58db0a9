# SPDX-License-Identifier: Apache-2.0
"""Comparing what is said about a person with the record: yes or no per field, never a value.

Whoever may not ask whether a person exists must not learn it sideways either. So for such a caller an answer is told
field by field only after something matched that the number does not give away; and a number alone is not compared.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from services.identity.domain.names import checked_day, checked_name, checked_phone, civil_day, comparable_name
from services.identity.domain.numbers import NumberKind, PersonalNumber, personal_number
from services.identity.domain.person import Person
from services.kit.errors import Code, Refusal


class MatchResult(StrEnum):
    """Answer to one compared field, or to all together."""

    MATCH = "match"
    NO_MATCH = "no_match"
    NOT_FOUND = "not_found"


class NothingToCompare(Refusal):
    """A number alone would only ask whether it exists, which takes the right `identity.existence`."""

    code = Code.PERMISSION_DENIED


class PersonKeyMissing(Refusal):
    """Neither number nor subject id, or both."""

    code = Code.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class Claims:
    """What a caller says about a person; empty fields are left out."""

    number_kind: NumberKind | None = None
    number: str = field(default="", repr=False)
    subject_id: str = ""
    name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields given, as the answer lists them."""
        return tuple(name for name in ("number", "name", "birth_date", "phone") if getattr(self, name))


@dataclass(frozen=True, slots=True)
class CheckedClaims:
    """Claims that could be true."""

    fields: tuple[str, ...]
    number: PersonalNumber | None = field(repr=False)
    subject_id: str
    name: str = field(repr=False)
    birth_date: date | None = field(repr=False)
    phone: str = field(repr=False)

    @property
    def telling(self) -> tuple[str, ...]:
        """The fields that can't be read off the key by which the person is sought."""
        derived = ("number", "birth_date") if self.number else ()
        return tuple(name for name in self.fields if name not in derived)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer."""

    result: MatchResult
    fields: Mapping[str, MatchResult]
    subject_id: str
    """The person, only on MATCH."""


def check(claims: Claims, *, now: datetime) -> CheckedClaims:
    """Refuses claims that can't be true of anybody, before anything is looked up."""
    if bool(claims.number) == bool(claims.subject_id):
        raise PersonKeyMissing("Give either the number or the subject id.")
    return CheckedClaims(
        fields=claims.fields,
        number=personal_number(claims.number_kind, claims.number, today=civil_day(now)) if claims.number else None,
        subject_id=claims.subject_id,
        name=comparable_name(checked_name(claims.name)) if claims.name else "",
        birth_date=checked_day(claims.birth_date) if claims.birth_date else None,
        phone=checked_phone(claims.phone) if claims.phone else "",
    )


def compare(claims: CheckedClaims, person: Person | None, *, existence: bool) -> Comparison:
    """Compares; `existence` says whether the caller may tell an unknown person from a wrong answer."""
    if not existence and not claims.telling:
        raise NothingToCompare(
            "A number alone is compared only for callers with the right identity.existence.",
            remedy="Give a name or a phone as well.",
        )
    if person is None:
        result = MatchResult.NOT_FOUND if existence else MatchResult.NO_MATCH
        return Comparison(result, dict.fromkeys(claims.fields, result), "")
    results = {name: _match(same) for name, same in _same(claims, person).items()}
    if all(result is MatchResult.MATCH for result in results.values()):
        return Comparison(MatchResult.MATCH, results, person.subject_id)
    if not existence and MatchResult.MATCH not in (results[name] for name in claims.telling):
        results = dict.fromkeys(claims.fields, MatchResult.NO_MATCH)
    return Comparison(MatchResult.NO_MATCH, results, "")


def _same(claims: CheckedClaims, person: Person) -> dict[str, bool]:
    same: dict[str, bool] = {}
    if claims.number:
        same["number"] = _equal(claims.number.value, person.number.value)
    if claims.name:
        same["name"] = _equal(claims.name, comparable_name(person.name))
    if claims.birth_date:
        same["birth_date"] = person.number.born_on(claims.birth_date)
    if claims.phone:
        same["phone"] = _equal(claims.phone, person.phone)
    return same


def _equal(said: str, kept: str) -> bool:
    """Equal, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(said.encode(), kept.encode())


def _match(same: bool) -> MatchResult:
    return MatchResult.MATCH if same else MatchResult.NO_MATCH
