# SPDX-License-Identifier: Apache-2.0
"""Identifiers of GB/T 36904: root, type, issuer, serial, version and check character, joined by dots."""

import re
from dataclasses import dataclass, replace
from typing import Self

from services.kit.errors import Code, Refusal

ROOT = "1.2.156.3005.2"
VERSION_MAX = 999
LENGTH_MAX = 200

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TYPE_CODE = re.compile(r"[0-9A-Z]{18}[0-9]{3}")
_ISSUER = re.compile(r"[0-9A-Z]{18}")
_SERIAL = re.compile(r"[0-9A-Z]{1,32}")
_VERSION = re.compile(r"[0-9]{3}")
_PARTS = 5


class IdentifierMalformed(Refusal):
    """It is not written as GB/T 36904 says."""

    code = Code.INVALID_ARGUMENT


class IdentifierCheckFailed(Refusal):
    """Its check character fits neither the standard nor the known variant: mistyped or forged."""

    code = Code.INVALID_ARGUMENT


class IdentifierCheckNonstandard(Refusal):
    """Its check character was made by a variant seen in the field.

    The variant counts letters from 11 and shifts the result by one. Such a license need not be forged,
    so it has a reason of its own; we never issue it.
    """

    code = Code.INVALID_ARGUMENT


class VersionsExhausted(Refusal):
    """The three digits of the version are used up; the license needs a new serial."""


@dataclass(frozen=True, slots=True)
class LicenseIdentifier:
    """The parts that identify one version of one license.

    Attributes:
        type_code: 21 characters, USCC of the body that defines the type and a 3-digit number.
        issuer: USCC of the issuing agency, 18 characters.
        serial: The issuer's own number, 1 to 32 digits and upper-case letters.
        version: 1 to 999.
    """

    type_code: str
    issuer: str
    serial: str
    version: int

    def __post_init__(self) -> None:
        """Refuse parts that could not be written down and read again.

        Raises:
            IdentifierMalformed: A part is not in its alphabet or has another length.
            VersionsExhausted: The version has more than three digits.
        """
        if not _TYPE_CODE.fullmatch(self.type_code):
            raise IdentifierMalformed("The type code must be 18 digits or upper-case letters and 3 digits.")
        if not _ISSUER.fullmatch(self.issuer):
            raise IdentifierMalformed("The issuer must be a unified social credit code of 18 characters.")
        if not _SERIAL.fullmatch(self.serial):
            raise IdentifierMalformed("The serial must be 1 to 32 digits and upper-case letters.")
        if self.version < 1:
            raise IdentifierMalformed("The version must be 001 or more.")
        if self.version > VERSION_MAX:
            raise VersionsExhausted(f"A license has at most {VERSION_MAX} versions; issue it under a new serial.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an identifier; the root and the check character must be right.

        Raises:
            IdentifierMalformed: Root, parts or lengths are wrong.
            IdentifierCheckFailed: The check character is wrong.
            IdentifierCheckNonstandard: The check character is that of the deviating variant.
        """
        root, parts = text[: len(ROOT) + 1], text[len(ROOT) + 1 :].split(".")
        if len(text) > LENGTH_MAX or root != f"{ROOT}." or len(parts) != _PARTS:
            raise IdentifierMalformed(f"An identifier is {ROOT} and five parts, joined by dots.")
        type_code, issuer, serial, version, check = parts
        if not _VERSION.fullmatch(version) or len(check) != 1:
            raise IdentifierMalformed("The version must be three digits and the check one character.")
        identifier = cls(type_code, issuer, serial, int(version))
        if check == identifier.check:
            return identifier
        if check == variant_check(identifier.checked_text):
            raise IdentifierCheckNonstandard("The check character was made by a non-standard variant of ISO 7064.")
        raise IdentifierCheckFailed("The check character does not fit the identifier.")

    @property
    def checked_text(self) -> str:
        """What the check character covers: all parts but root and check, without dots."""
        return f"{self.type_code}{self.issuer}{self.serial}{self.version:03d}"

    @property
    def check(self) -> str:
        """The check character; letter O and digit 0 both occur."""
        return check_character(self.checked_text)

    def next_version(self) -> Self:
        """Return the identifier of a re-issue.

        Raises:
            VersionsExhausted: This was the last one.
        """
        return replace(self, version=self.version + 1)

    def __str__(self) -> str:
        return f"{ROOT}.{self.type_code}.{self.issuer}.{self.serial}.{self.version:03d}.{self.check}"


def check_character(text: str) -> str:
    """Return the check character of ISO 7064 MOD 37,36 (GB/T 17710) over digits and upper-case letters."""
    product = 36
    for character in text:
        product = _doubled(product + _ALPHABET.index(character))
    return _ALPHABET[(37 - product) % 36]


def variant_check(text: str) -> str:
    """Return what the deviating variant computes; empty where it has no answer.

    Letters count 11 to 36 and are reduced by 37 before they are reduced by 36, and the result is shifted by
    one. Source: a public implementation in use in Shandong; it alone reproduces the one published sample of
    seven that the standard does not.
    """
    product = 36
    for character in text:
        if character.isdigit():
            product = _doubled(product + int(character))
        else:
            total = product + _ALPHABET.index(character) + 1
            product = _doubled(total % 37 if total > 37 else total)  # noqa: PLR2004 - the modulus
    return _ALPHABET[36 - product] if product else ""


def _doubled(total: int) -> int:
    return (total % 36 or 36) * 2 % 37
