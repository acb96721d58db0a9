# SPDX-License-Identifier: Apache-2.0
"""Licenses as rows and back."""

import json
from typing import Any

from sqlalchemy import Row

from services.kit.crypto import Keyring
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License, LicenseState
from services.licenses.service.port import Content
from services.licenses.store.tables import license_table

COLUMNS = tuple(
    column for column in license_table.columns if column.name not in {"attributes_sealed", "credential_sealed"}
)
"""Everything but what is sealed: few reads need that."""


def to_license(row: Row[Any]) -> License:
    """Read a license from a row."""
    return License(
        license_id=row.license_id,
        identifier=LicenseIdentifier(row.type_code, row.issuer, row.serial, row.version),
        holder_id=row.holder_id,
        state=LicenseState(row.state),
        issue_time=row.issue_time,
        expire_time=row.expire_time,
        reader_id=row.reader_id,
        case_id=row.case_id,
        step_id=row.step_id,
    )


def from_license(license: License, content: Content, keyring: Keyring) -> dict[str, Any]:
    """Write a license as a row, sealed for this license only."""
    return {
        "license_id": license.license_id,
        "type_code": license.identifier.type_code,
        "issuer": license.identifier.issuer,
        "serial": license.identifier.serial,
        "version": license.identifier.version,
        "holder_id": license.holder_id,
        "reader_id": license.reader_id,
        "state": license.state.value,
        "issue_time": license.issue_time,
        "expire_time": license.expire_time,
        "case_id": license.case_id,
        "step_id": license.step_id,
        "fingerprint": content.fingerprint,
        "words": content.words,
        "attributes_sealed": keyring.seal(
            json.dumps(dict(content.attributes), ensure_ascii=False).encode(),
            _context(license.license_id, "attributes"),
        ),
        "credential_sealed": keyring.seal(content.credential.encode(), _context(license.license_id, "credential")),
    }


def to_content(row: Row[Any], keyring: Keyring) -> Content:
    """Open what a row holds."""
    attributes = keyring.open_sealed(row.attributes_sealed, _context(row.license_id, "attributes"))
    credential = keyring.open_sealed(row.credential_sealed, _context(row.license_id, "credential"))
    return Content(json.loads(attributes), credential.decode(), row.words, row.fingerprint)


def seal_grounds(license_id: str, grounds: str, keyring: Keyring) -> bytes:
    """Seal why a license changed: officers write names there."""
    return keyring.seal(grounds.encode(), _context(license_id, "grounds"))


def _context(license_id: str, part: str) -> str:
    return f"license.{part}:{license_id}"
