# SPDX-License-Identifier: Apache-2.0
"""Disease control: opens the vaccination record with the two doses of the first day."""

import sqlite3
from collections.abc import Mapping
from typing import ClassVar

from sandbox.departments.department import Department
from sandbox.numbers import license_serial
from sandbox.register import Output, next_number
from sandbox.work import Operation, Work


class DiseaseControl(Department):
    """Keeps vaccination records."""

    key: ClassVar[str] = "disease_control"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS records (
        record_number TEXT PRIMARY KEY,
        case_id TEXT NOT NULL UNIQUE,
        child_name TEXT NOT NULL,
        birth_date TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS doses (
        record_number TEXT NOT NULL REFERENCES records,
        vaccine TEXT NOT NULL,
        dose INTEGER NOT NULL,
        given_on TEXT NOT NULL,
        PRIMARY KEY (record_number, vaccine, dose)
    ) STRICT;
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """One: the record."""
        return {"vaccination": self.vaccination}

    async def vaccination(self, work: Work) -> Output:
        """Open the record; hepatitis B and BCG are given at birth."""
        name, born = work.text("child_name"), work.day("birth_date").isoformat()

        def open_record(connection: sqlite3.Connection) -> Output:
            number = f"V99{next_number(connection, 'record'):09d}"
            connection.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (number, work.case_id, name, born))
            connection.executemany(
                "INSERT INTO doses VALUES (?, ?, 1, ?)", [(number, "hepatitis_b", born), (number, "bcg", born)]
            )
            return {
                "record_number": number,
                "license_serial": license_serial(),
                "hepatitis_b_date": born,
                "bcg_date": born,
            }

        return await self.register.once(work.case_id, work.operation, open_record)
