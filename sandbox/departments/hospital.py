# SPDX-License-Identifier: Apache-2.0
"""The maternity hospital: writes the birth medical certificate. Every case is a new delivery."""

import sqlite3
from collections.abc import Mapping
from random import Random
from typing import ClassVar

from sandbox.departments.department import Department
from sandbox.numbers import license_serial
from sandbox.register import Output, next_number
from sandbox.work import Operation, Work


class Hospital(Department):
    """Keeps the book of deliveries."""

    key: ClassVar[str] = "hospital"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS births (
        certificate_number TEXT PRIMARY KEY,
        case_id TEXT NOT NULL UNIQUE,
        child_name TEXT NOT NULL,
        child_sex TEXT NOT NULL,
        birth_date TEXT NOT NULL,
        mother_number TEXT NOT NULL,
        father_number TEXT NOT NULL,
        weight_grams INTEGER NOT NULL,
        length_centimeters INTEGER NOT NULL,
        gestation_weeks INTEGER NOT NULL
    ) STRICT;
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """One: the certificate."""
        return {"birth_certificate": self.birth_certificate}

    async def birth_certificate(self, work: Work) -> Output:
        """Enter the birth and give the certificate's number."""
        name, born = work.text("child_name"), work.day("birth_date")
        sex = "male" if work.male("child_sex") else "female"
        parents = (work.optional("mother_number"), work.optional("father_number"))

        def enter(connection: sqlite3.Connection) -> Output:
            certificate = f"B99{born:%y}{next_number(connection, 'certificate'):07d}"
            # What the midwife measured; drawn from the certificate's number, so that it is the same at every look.
            measured = Random(certificate)  # noqa: S311 - no secret
            grams, length, weeks = measured.randint(2600, 4100), measured.randint(47, 53), measured.randint(37, 41)
            connection.execute(
                "INSERT INTO births VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (certificate, work.case_id, name, sex, born.isoformat(), *parents, grams, length, weeks),
            )
            return {
                "certificate_number": certificate,
                "license_serial": license_serial(),
                "birth_time": f"{measured.randint(0, 23):02d}:{measured.randint(0, 59):02d}",
                "birth_place": "通办市妇幼保健院",
                "birth_weight_grams": grams,
                "birth_length_centimeters": length,
                "gestation_weeks": weeks,
            }

        return await self.register.once(work.case_id, work.operation, enter)
