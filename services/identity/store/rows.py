# SPDX-License-Identifier: Apache-2.0
"""Between rows and domain objects. A sealed value is bound to its column and row: moved elsewhere it does not open."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from services.identity.domain.agency import Agency
from services.identity.domain.numbers import NumberKind, PersonalNumber
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person, PersonState
from services.identity.domain.persona import Persona, Role
from services.kit.crypto import Keyring

Values = dict[str, Any]


class Rows:
    """Seals on the way in, opens on the way out."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def number_index(self, number: PersonalNumber) -> bytes:
        """What the number is found by; the same number of another kind has another index."""
        return self._keyring.blind_index(number.value, f"person_number.number/{number.kind}")

    def person_values(self, person: Person) -> Values:
        """The row of `person`."""
        born = person.birth_date.isoformat() if person.birth_date else ""
        return {
            "subject_id": person.subject_id,
            "state": person.state.value,
            "region": person.region,
            "create_time": person.create_time,
            "name": self._seal(person.name, "person.name", person.subject_id),
            "phone": self._seal(person.phone, "person.phone", person.subject_id),
            "address": self._seal(person.address, "person.address", person.subject_id),
            "birth_date": self._seal(born, "person.birth_date", person.subject_id),
        }

    def number_values(self, person: Person) -> Values:
        """The row of `person_number`."""
        return {
            "kind": person.number.kind.value,
            "number_index": self.number_index(person.number),
            "subject_id": person.subject_id,
            "number": self._seal(person.number.value, "person_number.number", person.subject_id),
            "since_time": person.create_time,
            "until_time": None,
        }

    def person(self, row: Row[Any]) -> Person:
        """The person of a row of `person` joined with the present number."""
        subject_id: str = row.subject_id
        born = self._open(row.birth_date, "person.birth_date", subject_id)
        number = PersonalNumber(
            NumberKind(row.kind),
            self._open(row.number, "person_number.number", subject_id),
            date.fromisoformat(born) if born else None,
        )
        return Person(
            subject_id=subject_id,
            state=PersonState(row.state),
            region=row.region,
            create_time=row.create_time,
            number=number,
            name=self._open(row.name, "person.name", subject_id),
            phone=self._open(row.phone, "person.phone", subject_id),
            address=self._open(row.address, "person.address", subject_id),
        )

    def persona_values(self, persona: Persona) -> Values:
        """The row of `persona`."""
        return {
            "key": persona.key,
            "role": persona.role.value,
            "subject_id": persona.subject_id,
            "agency": persona.agency,
            "rights": list(persona.rights),
            "title_zh": persona.title_zh,
            "title_en": persona.title_en,
            "samples": self._seal(persona.samples_json, "persona.samples", persona.key),
        }

    def persona(self, row: Row[Any]) -> Persona:
        """The persona of a row."""
        return Persona(
            key=row.key,
            role=Role(row.role),
            subject_id=row.subject_id,
            agency=row.agency,
            rights=tuple(row.rights),
            title_zh=row.title_zh,
            title_en=row.title_en,
            samples_json=self._open(row.samples, "persona.samples", row.key),
        )

    def _seal(self, text: str, column: str, row: str) -> bytes:
        return self._keyring.seal(text.encode(), f"{column}/{row}")

    def _open(self, sealed: bytes, column: str, row: str) -> str:
        return self._keyring.open_sealed(bytes(sealed), f"{column}/{row}").decode()


def organization_values(organization: Organization) -> Values:
    """The row of `organization`."""
    return {
        "subject_id": organization.subject_id,
        "uscc": organization.uscc,
        "name": organization.name,
        "create_time": organization.create_time,
        "deregister_time": organization.deregister_time,
    }


def organization_of(row: Row[Any]) -> Organization:
    """The organization of a row."""
    return Organization(row.subject_id, row.uscc, row.name, row.create_time, row.deregister_time)


def agency_values(agency: Agency) -> Values:
    """The row of `agency`."""
    return {
        "uscc": agency.uscc,
        "name_zh": agency.name_zh,
        "name_en": agency.name_en,
        "rights": list(agency.rights),
        "active": agency.active,
        "version": agency.version,
    }


def agency_of(row: Row[Any]) -> Agency:
    """The agency of a row."""
    return Agency(row.uscc, row.name_zh, row.name_en, tuple(row.rights), row.active, row.version)


def request_values(key: Mapping[str, str], fingerprint: str, now: datetime) -> Values:
    """The row of `request`, before its answer is known."""
    return {**key, "fingerprint": fingerprint, "subject_ids": [], "create_time": now}
