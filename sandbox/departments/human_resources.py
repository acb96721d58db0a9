# SPDX-License-Identifier: Apache-2.0
"""Human resources and social security: opens the child's social security card."""

import sqlite3
from collections.abc import Mapping
from typing import ClassVar

from sandbox.departments.department import Department
from sandbox.numbers import license_serial
from sandbox.register import Output, next_number
from sandbox.work import Operation, Work


class HumanResources(Department):
    """Keeps the register of cards; the photo of a newborn is waived by local rule."""

    key: ClassVar[str] = "human_resources"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS cards (
        card_number TEXT PRIMARY KEY,
        case_id TEXT NOT NULL UNIQUE,
        number TEXT NOT NULL UNIQUE,
        opened_on TEXT NOT NULL
    ) STRICT;
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """One: the card."""
        return {"social_security_card": self.social_security_card}

    async def social_security_card(self, work: Work) -> Output:
        """Open the card on the child's new citizen number."""
        number, today = work.text("child_number"), self.today()

        def open_card(connection: sqlite3.Connection) -> Output:
            card = f"S990{next_number(connection, 'card'):07d}"
            connection.execute("INSERT INTO cards VALUES (?, ?, ?, ?)", (card, work.case_id, number, today))
            return {"card_number": card, "license_serial": license_serial(), "open_date": today}

        return await self.register.once(work.case_id, work.operation, open_card)
