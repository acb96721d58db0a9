# SPDX-License-Identifier: Apache-2.0
"""A person: an own random subject id, and what is kept about it."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from services.identity.domain.names import checked_name, checked_phone, civil_day
from services.identity.domain.numbers import NumberKind, PersonalNumber, personal_number
from services.kit.errors import Code, Refusal

PERSONAL_FIELDS = ("number", "name", "phone", "birth_date", "address")
"""The fields of a person that tell who it is, by the names that the ledger uses."""


class PersonState(StrEnum):
    """State of the record."""

    ACTIVE = "active"
    DECEASED = "deceased"


class PersonNotFound(Refusal):
    """No person has this subject id."""

    code = Code.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Person:
    """A person on record."""

    subject_id: str
    state: PersonState
    region: str
    create_time: datetime
    number: PersonalNumber = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)
    address: str = field(repr=False)

    @property
    def birth_date(self) -> date | None:
        """The day of birth, where the number tells it."""
        return self.number.birth_date


@dataclass(frozen=True, slots=True)
class NewPerson:
    """What a department says about a person to register."""

    number_kind: NumberKind | None
    number: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)
    address: str = field(repr=False)
    region: str


@dataclass(frozen=True, slots=True)
class PersonRegistered:
    """A person was registered. Carries nothing that tells who it is."""

    subject_id: str
    region: str


def register(new: NewPerson, *, subject_id: str, now: datetime) -> tuple[Person, PersonRegistered]:
    """A new record; refuses a number, name or phone that can't be one."""
    person = Person(
        subject_id=subject_id,
        state=PersonState.ACTIVE,
        region=new.region,
        create_time=now,
        number=personal_number(new.number_kind, new.number, today=civil_day(now)),
        name=checked_name(new.name),
        phone=checked_phone(new.phone),
        address=new.address.strip(),
    )
    return person, PersonRegistered(subject_id, new.region)


def attributes(person: Person) -> dict[str, object]:
    """What the record holds in clear, by the names of the ledger's fields."""
    return {
        "number": person.number.value,
        "name": person.name,
        "phone": person.phone,
        "birth_date": person.birth_date,
        "address": person.address,
    }
