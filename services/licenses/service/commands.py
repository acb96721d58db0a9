# SPDX-License-Identifier: Apache-2.0
"""What is asked of the use cases, and what they answer."""

import json
from dataclasses import dataclass, field
from typing import Any

from services.kit.ledger.access import Receipt
from services.licenses.domain.catalogue import Attributes
from services.licenses.domain.license import License, LicenseState
from services.licenses.domain.step import Step


@dataclass(frozen=True, slots=True)
class IssueLicense:
    """An agency issues a license of its own."""

    request_id: str
    type_code: str
    holder_id: str
    serial: str
    attributes: Attributes = field(repr=False)
    case_id: str = ""


@dataclass(frozen=True, slots=True)
class ChangeLicense:
    """The issuer suspends, restores or revokes one of its licenses."""

    request_id: str
    license_id: str
    grounds: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StepLicense:
    """A step of a case asks for a license, in the name of an agency.

    `serial` may be empty: it is then derived from case and step. `reader_id` is the second reader, empty where there is none.
    """

    step: Step
    type_code: str
    holder_id: str
    serial: str
    attributes: Attributes = field(repr=False)
    issuer: str
    reader_id: str
    purpose: str
    basis: str


@dataclass(frozen=True, slots=True)
class EndLicenses:
    """A step of a case ends what a holder has of a type from its agency, in the name of that agency."""

    step: Step
    type_code: str
    holder_id: str
    attributes: Attributes = field(repr=False)
    """Only those that say this; empty for all."""
    successor_id: str
    """The license of the same case that takes their place; empty where they are revoked."""
    issuer: str
    purpose: str
    basis: str


@dataclass(frozen=True, slots=True)
class UndoLicense:
    """A case is given up: what one of its steps got is taken back, if it got anything."""

    step: Step
    """The one that asks for it."""
    undoes: str
    """The one whose license it is."""
    issuer: str
    purpose: str
    basis: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A license and the leaf of its issue."""

    license: License
    state: LicenseState
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Shown:
    """A license with everything in it, and the leaf of showing it."""

    license: License
    state: LicenseState
    credential: str = field(repr=False)
    attributes: Attributes = field(repr=False)
    receipt: Receipt


def canonical(*parts: Any) -> bytes:
    """Write values so that the same ones give the same bytes."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
