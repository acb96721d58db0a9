# SPDX-License-Identifier: Apache-2.0
"""The types of license that can be issued, and what a license of a type may and must say."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from services.kit.errors import Code, Refusal, Violation

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value]"
Attributes: TypeAlias = Mapping[str, Value]

TEXT_CHARACTERS_MAX = 500
NUMBER_MAX = 1e12
RECORDS_MAX = 100
RECORD_FIELDS_MAX = 20
_RECORD_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")


class LicenseTypeUnknown(Refusal):
    """No type has this code."""

    code = Code.NOT_FOUND


class AttributesMissing(Refusal):
    """The type asks for attributes that are not given."""


class AttributesUnknown(Refusal):
    """Attributes are given that the type doesn't name."""

    code = Code.INVALID_ARGUMENT


class AttributesMalformed(Refusal):
    """A value is not of its attribute's kind."""

    code = Code.INVALID_ARGUMENT


class AttributeKind(StrEnum):
    """What a value may look like."""

    TEXT = "text"
    DATE = "date"
    SEX = "sex"
    NUMBER = "number"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class AttributeType:
    """One attribute that licenses of a type carry.

    Attributes:
        name: Name of the claim within the credential.
        kind: What its values look like.
        label_zh: Chinese label.
        label_en: English label.
        disclosable: True where the holder may leave it out when showing the license. Personal attributes always are.
        required: True where a license can't be issued without it.
    """

    name: str
    kind: AttributeKind
    label_zh: str
    label_en: str
    disclosable: bool
    required: bool


@dataclass(frozen=True, slots=True)
class LicenseType:
    """One type of license.

    Attributes:
        code: 21 characters, USCC of the defining body and a 3-digit number.
        key: Name in code and in the shape `birth_medical_certificate`.
        name_zh: Chinese name.
        name_en: English name.
        vct: Type of its credentials (SD-JWT VC).
        attributes: What its licenses carry.
        validity_months: How long they are valid; 0 for long-term (长期).
    """

    code: str
    key: str
    name_zh: str
    name_en: str
    vct: str
    attributes: tuple[AttributeType, ...]
    validity_months: int = 0

    def check(self, given: Attributes) -> Attributes:
        """Return the attributes that were really given, in the type's order; an empty text counts as not given.

        Raises:
            AttributesUnknown: One is not of this type.
            AttributesMissing: A required one is not given.
            AttributesMalformed: A value is not of its kind. The refusal names the attribute, never the value.
        """
        present = {name: value for name, value in given.items() if value not in ("", [], {})}
        known = {attribute.name for attribute in self.attributes}
        unknown = sorted(present.keys() - known)
        if unknown:
            raise AttributesUnknown(
                f"Licenses of type {self.code} have no such attributes.",
                violations=_named(unknown, "is not of the type"),
            )
        missing = [one.name for one in self.attributes if one.required and one.name not in present]
        if missing:
            raise AttributesMissing(
                f"Licenses of type {self.code} need more attributes.", violations=_named(missing, "must be given")
            )
        malformed = [
            one.name for one in self.attributes if one.name in present and not _fits(one.kind, present[one.name])
        ]
        if malformed:
            raise AttributesMalformed(
                f"Attributes of type {self.code} are not of their kind.", violations=_named(malformed, "is malformed")
            )
        return {one.name: present[one.name] for one in self.attributes if one.name in present}


class Catalogue:
    """Every type, by code."""

    def __init__(self, types: Iterable[LicenseType]) -> None:
        self.types = tuple(sorted(types, key=lambda one: one.code))
        self._by_code = {one.code: one for one in self.types}
        if len(self._by_code) != len(self.types):
            raise ValueError("Two license types have the same code.")

    def type_of(self, code: str) -> LicenseType:
        """Find a type.

        Raises:
            LicenseTypeUnknown: There is none with this code.
        """
        try:
            return self._by_code[code]
        except KeyError:
            raise LicenseTypeUnknown("No license type has this code.", remedy="See ListLicenseTypes.") from None

    def get(self, code: str) -> LicenseType | None:
        """Find a type, or nothing."""
        return self._by_code.get(code)


def _named(names: Iterable[str], rule: str) -> tuple[Violation, ...]:
    return tuple(Violation(field=f"attributes.{name[:100]}", description=rule) for name in names)


def _fits(kind: AttributeKind, value: Value) -> bool:
    match kind:
        case AttributeKind.TEXT:
            return _is_text(value)
        case AttributeKind.SEX:
            return value in ("male", "female")
        case AttributeKind.DATE:
            return _is_date(value)
        case AttributeKind.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX
        case AttributeKind.RECORDS:
            return isinstance(value, list) and len(value) <= RECORDS_MAX and all(_is_record(one) for one in value)


def _is_text(value: Value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_CHARACTERS_MAX and value.isprintable()


def _is_date(value: Value) -> bool:
    if not isinstance(value, str) or len(value) != len("2026-01-31"):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_record(value: Value) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= RECORD_FIELDS_MAX
        and all(_RECORD_FIELD.fullmatch(name) and _is_text(text) for name, text in value.items())
    )
