# SPDX-License-Identifier: Apache-2.0
"""The police: the household register, which the broker reads as SQL, and the citizen numbers of newborns."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from sandbox import numbers
from sandbox.city import City
from sandbox.departments.department import Department
from sandbox.register import Output, Register
from sandbox.work import Operation, TaskRefused, Work
from services.kit.clock import Clock

AGE_DAYS_MAX = 365
"""A birth is registered by this way within a year."""


@dataclass(frozen=True, slots=True)
class Newborn:
    """A child with its new number, as it is told to the platform's register of persons."""

    case_id: str
    number: str
    name: str
    address: str


Registrar = Callable[[Newborn], Awaitable[str]]
"""Tells the platform of a newborn; gives the subject id. The same newborn twice gives the same id."""


class PublicSecurity(Department):
    """Keeps persons and households."""

    key: ClassVar[str] = "public_security"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS households (
        number TEXT PRIMARY KEY,
        address TEXT NOT NULL,
        head_name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS persons (
        number TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        male INTEGER NOT NULL,
        birth_date TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        household_number TEXT NOT NULL REFERENCES households,
        relation TEXT NOT NULL,
        case_id TEXT UNIQUE,
        license_serial TEXT UNIQUE,
        UNIQUE (birth_date, male, sequence)
    ) STRICT;
    """

    def __init__(self, register: Register, clock: Clock, registrar: Registrar) -> None:
        super().__init__(register, clock)
        self._registrar = registrar

    @property
    def operations(self) -> Mapping[str, Operation]:
        """One: the birth registration."""
        return {"household_registration": self.household_registration}

    async def load(self, city: City) -> None:
        """Enter households and persons."""
        heads = {resident.number: resident.name for resident in city.residents}
        households = [
            (family.household.number, family.household.address, heads[family.household.head_number])
            for family in city.families
        ]
        persons = [
            (
                resident.number,
                resident.name,
                int(resident.male),
                resident.birth_date.isoformat(),
                numbers.sequence_of(resident.number),
                resident.household_number,
                resident.relation,
            )
            for resident in city.residents
        ]

        def enter(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO households VALUES (?, ?, ?)", households)
            connection.executemany("INSERT OR IGNORE INTO persons VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)", persons)

        await self.register.write(enter)

    async def household_registration(self, work: Work) -> Output:
        """Give the child a number, tell the platform, then call it done: a kill in between repeats the rest."""
        if (done := await self.register.done(work.case_id, work.operation)) is not None:
            return done
        newborn, page = await self._enter(work)
        subject_id = await self._registrar(newborn)
        output = {"child_number": newborn.number, "child_subject_id": subject_id, **page}
        return await self.register.once(work.case_id, work.operation, lambda _: output)

    async def _enter(self, work: Work) -> tuple[Newborn, dict[str, str]]:
        """The child's row and page; number and serial are given once per case, whatever happens afterwards."""
        name, born, male = work.text("child_name"), work.day("birth_date"), work.male("child_sex")
        household_number = work.text("household_number")
        today = self.clock().date()

        def enter(connection: sqlite3.Connection) -> tuple[Newborn, dict[str, str]]:
            household = connection.execute("SELECT * FROM households WHERE number = ?", (household_number,)).fetchone()
            if household is None:
                raise TaskRefused("HOUSEHOLD_NOT_FOUND", "未查到该户口。", "There is no such household.")
            if not _entered(connection, work.case_id):
                _check_age(born, today)
                number = _assign(connection, born, male=male)
                connection.execute(
                    "INSERT INTO persons VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        number,
                        name,
                        int(male),
                        born.isoformat(),
                        numbers.sequence_of(number),
                        household_number,
                        "子" if male else "女",
                        work.case_id,
                        numbers.license_serial(),
                    ),
                )
            child = connection.execute("SELECT * FROM persons WHERE case_id = ?", (work.case_id,)).fetchone()
            page = {
                "household_number": household_number,
                "license_serial": child["license_serial"],
                "head_name": household["head_name"],
                "address": household["address"],
                "relation": child["relation"],
                "registration_date": today.isoformat(),
            }
            return Newborn(work.case_id, child["number"], name, household["address"]), page

        return await self.register.write(enter)


def _entered(connection: sqlite3.Connection, case_id: str) -> bool:
    return connection.execute("SELECT 1 FROM persons WHERE case_id = ?", (case_id,)).fetchone() is not None


def _check_age(born: date, today: date) -> None:
    """Within a year, with a day of grace: China is ahead of UTC."""
    if not -1 <= (today - born).days <= AGE_DAYS_MAX:
        raise TaskRefused("BIRTH_DATE_OUT_OF_RANGE", "出生日期不在一年之内。", "The birth date is not within a year.")


def _assign(connection: sqlite3.Connection, born: date, *, male: bool) -> str:
    row = connection.execute(
        "SELECT COALESCE(MAX(sequence), 0) FROM persons WHERE birth_date = ? AND male = ?",
        (born.isoformat(), int(male)),
    ).fetchone()
    sequence = numbers.next_sequence(int(row[0]), male=male)
    if sequence > numbers.SEQUENCE_MAX:
        raise TaskRefused(
            "NUMBERS_EXHAUSTED", "该日期的公民身份号码已用完。", "All citizen numbers of this birth date are taken."
        )
    return numbers.citizen_number(born, sequence)
