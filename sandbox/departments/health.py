# SPDX-License-Identifier: Apache-2.0
"""The health commission: registers the family for parenting guidance."""

import sqlite3
from collections.abc import Mapping
from typing import ClassVar

from sandbox.departments.department import Department
from sandbox.register import Output, next_number
from sandbox.work import Operation, Work


class Health(Department):
    """Keeps the register of guided families."""

    key: ClassVar[str] = "health"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS guided (
        registration_number TEXT PRIMARY KEY,
        case_id TEXT NOT NULL UNIQUE,
        child_name TEXT NOT NULL,
        certificate_number TEXT NOT NULL,
        registered_on TEXT NOT NULL
    ) STRICT;
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """One: the registration."""
        return {"parenting_registration": self.parenting_registration}

    async def parenting_registration(self, work: Work) -> Output:
        """Register the family on the birth certificate."""
        name, certificate, today = work.text("child_name"), work.optional("certificate_number"), self.today()

        def enter(connection: sqlite3.Connection) -> Output:
            number = f"P990{next_number(connection, 'registration'):08d}"
            connection.execute(
                "INSERT INTO guided VALUES (?, ?, ?, ?, ?)", (number, work.case_id, name, certificate, today)
            )
            return {"registration_number": number, "registration_date": today}

        return await self.register.once(work.case_id, work.operation, enter)
