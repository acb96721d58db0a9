# SPDX-License-Identifier: Apache-2.0
"""What the city knows about its people, as the departments keep it."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Resident:
    """One person as the police register has them."""

    number: str
    name: str
    male: bool
    birth_date: date
    phone: str
    """E.164, or empty."""
    household_number: str
    relation: str
    """To the head of the household: 户主, 配偶, 子, 女."""


@dataclass(frozen=True, slots=True)
class Household:
    """One household register."""

    number: str
    address: str
    head_number: str


@dataclass(frozen=True, slots=True)
class Marriage:
    """One marriage registration as civil affairs keeps it; names are copies and may be wrong (see Flaw)."""

    certificate_number: str
    husband_number: str
    husband_name: str
    wife_number: str
    wife_name: str
    marriage_date: date
    status: str
    """`valid` or `dissolved`."""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """One resident's medical insurance."""

    number: str
    scheme: str
    """`employee` or `resident`."""
    status: str
    """`active` or `suspended`."""
    enroll_date: date


@dataclass(frozen=True, slots=True)
class Firm:
    """One firm of the business register."""

    uscc: str
    name: str
    representative_number: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """A mistake put in on purpose, for quality checks to find. `key` is the record's key in its register."""

    kind: str
    register: str
    key: str


@dataclass(frozen=True, slots=True)
class Family:
    """Everything that is known about the people of one household."""

    household: Household
    residents: tuple[Resident, ...]
    marriage: Marriage | None
    enrollments: tuple[Enrollment, ...]
    flaws: tuple[Flaw, ...]

    @property
    def mother(self) -> Resident:
        """The married woman of the family."""
        return next(
            resident for resident in self.residents if self.marriage and resident.number == self.marriage.wife_number
        )

    @property
    def father(self) -> Resident:
        """The married man of the family."""
        return next(
            resident for resident in self.residents if self.marriage and resident.number == self.marriage.husband_number
        )
