# SPDX-License-Identifier: Apache-2.0
"""The medical insurance bureau: enrolls the child and settles the delivery.

Its enrollments are asked over a line that it dials itself (sandbox/connector.py): nobody reaches into its network.
"""

import sqlite3
from collections.abc import Mapping
from typing import ClassVar

from sandbox.city import City
from sandbox.departments.department import Department
from sandbox.register import Output, next_number
from sandbox.work import Operation, TaskRefused, Work

SETTLEMENT_FEN = 350_000
"""Lump sum for a delivery in fen (made up for the sandbox)."""


class MedicalInsurance(Department):
    """Keeps enrollments and settlements."""

    key: ClassVar[str] = "medical_insurance"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS enrollments (
        number TEXT PRIMARY KEY,
        scheme TEXT NOT NULL,
        status TEXT NOT NULL,
        enroll_date TEXT NOT NULL,
        enrollment_number TEXT UNIQUE,
        case_id TEXT UNIQUE
    ) STRICT;
    CREATE TABLE IF NOT EXISTS settlements (
        settlement_number TEXT PRIMARY KEY,
        case_id TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL,
        amount_fen INTEGER NOT NULL
    ) STRICT;
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Two: enrollment and settlement."""
        return {"medical_insurance": self.medical_insurance, "maternity_settlement": self.maternity_settlement}

    async def load(self, city: City) -> None:
        """Enter the enrollments of the city."""
        rows = [
            (enrollment.number, enrollment.scheme, enrollment.status, enrollment.enroll_date.isoformat())
            for family in city.families
            for enrollment in family.enrollments
        ]
        await self.register.write(
            lambda connection: connection.executemany(
                "INSERT OR IGNORE INTO enrollments VALUES (?, ?, ?, ?, NULL, NULL)", rows
            )
        )

    async def enrollment(self, number: str) -> Mapping[str, str] | None:
        """What the broker asks for, or None where the person isn't enrolled."""
        row = await self.register.read(
            lambda connection: connection.execute(
                "SELECT number AS subject_key, scheme, status, enroll_date FROM enrollments WHERE number = ?", (number,)
            ).fetchone()
        )
        return None if row is None else dict(row)

    async def medical_insurance(self, work: Work) -> Output:
        """Enroll the child in the residents' scheme, on its new citizen number."""
        number, today = work.text("child_number"), self.today()

        def enroll(connection: sqlite3.Connection) -> Output:
            enrollment_number = f"M990{next_number(connection, 'enrollment'):09d}"
            connection.execute(
                "INSERT INTO enrollments VALUES (?, 'resident', 'active', ?, ?, ?)",
                (number, today, enrollment_number, work.case_id),
            )
            return {
                "enrollment_number": enrollment_number,
                "scheme": "resident",
                "status": "active",
                "enroll_date": today,
            }

        return await self.register.once(work.case_id, work.operation, enroll)

    async def maternity_settlement(self, work: Work) -> Output:
        """Pay the lump sum to the mother's account; without an account there is nothing to pay to."""
        account = work.optional("settlement_account")
        if not account:
            raise TaskRefused(
                "ACCOUNT_MISSING", "未提供收款账户，可日后补办。", "No account was given; this can be done later."
            )

        def settle(connection: sqlite3.Connection) -> Output:
            number = f"Q990{next_number(connection, 'settlement'):09d}"
            connection.execute(
                "INSERT INTO settlements VALUES (?, ?, ?, ?)", (number, work.case_id, account, SETTLEMENT_FEN)
            )
            return {"settlement_number": number, "amount_fen": SETTLEMENT_FEN}

        return await self.register.once(work.case_id, work.operation, settle)
