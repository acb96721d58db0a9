# SPDX-License-Identifier: Apache-2.0
"""The tax bureau: collects the insurance premium; a newborn's first year is paid by the city."""

import sqlite3
from collections.abc import Mapping
from typing import ClassVar

from sandbox.departments.department import Department
from sandbox.register import Output, next_number
from sandbox.work import Operation, Work

PREMIUM_FEN = 40_000
"""Yearly premium of the residents' scheme in fen (made up for the sandbox)."""


class Tax(Department):
    """Keeps the book of payments."""

    key: ClassVar[str] = "tax"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS payments (
        payment_number TEXT PRIMARY KEY,
        case_id TEXT NOT NULL UNIQUE,
        number TEXT NOT NULL,
        enrollment_number TEXT NOT NULL,
        due_fen INTEGER NOT NULL,
        relief_fen INTEGER NOT NULL,
        paid_on TEXT NOT NULL
    ) STRICT;
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """One: the premium."""
        return {"premium": self.premium}

    async def premium(self, work: Work) -> Output:
        """Book the premium and the relief that covers it."""
        number, enrollment, today = work.text("child_number"), work.optional("enrollment_number"), self.today()

        def book(connection: sqlite3.Connection) -> Output:
            payment = f"T990{next_number(connection, 'payment'):09d}"
            connection.execute(
                "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?)",
                (payment, work.case_id, number, enrollment, PREMIUM_FEN, PREMIUM_FEN, today),
            )
            return {"payment_number": payment, "due_fen": PREMIUM_FEN, "relief_fen": PREMIUM_FEN, "pay_date": today}

        return await self.register.once(work.case_id, work.operation, book)
