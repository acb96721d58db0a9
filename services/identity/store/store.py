# SPDX-License-Identifier: Apache-2.0
"""The store of identity: changes by transaction, and reads of committed state."""

from sqlalchemy import select

from services.identity.domain.agency import Agency
from services.identity.domain.numbers import PersonalNumber
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person
from services.identity.domain.persona import Persona
from services.identity.store import reads
from services.identity.store.rows import Rows, agency_of
from services.identity.store.tables import AGENCY, METADATA, PERSONA
from services.identity.store.tx import IdentityTx
from services.kit.store import Store


class IdentityStore(Store[IdentityTx]):
    """Rows of identity in and out."""

    service = "identity"
    metadata = METADATA
    tx_type = IdentityTx

    @property
    def _rows(self) -> Rows:
        return Rows(self.keyring)

    async def person(self, subject_id: str) -> Person | None:
        """The person."""
        async with self.reading() as connection:
            return (await reads.persons(connection, self._rows, [subject_id])).get(subject_id)

    async def person_by_number(self, number: PersonalNumber) -> Person | None:
        """The person who has, or had, this number."""
        async with self.reading() as connection:
            found = await reads.persons_by_number(connection, self._rows, [number])
        return found.get((number.kind, number.value))

    async def organization(self, uscc: str) -> Organization | None:
        """The organization."""
        async with self.reading() as connection:
            return (await reads.organizations(connection, [uscc])).get(uscc)

    async def agency(self, uscc: str) -> Agency | None:
        """The agency."""
        if not reads.keepable(uscc):
            return None
        async with self.reading() as connection:
            row = (await connection.execute(select(AGENCY).where(AGENCY.c.uscc == uscc))).one_or_none()
        return agency_of(row) if row else None

    async def agencies(self, *, after: str, limit: int) -> tuple[Agency, ...]:
        """By code, those after this one."""
        query = select(AGENCY).where(AGENCY.c.uscc > after).order_by(AGENCY.c.uscc).limit(limit)
        async with self.reading() as connection:
            return tuple(agency_of(row) for row in await connection.execute(query))

    async def persona(self, key: str) -> Persona | None:
        """The persona."""
        if not reads.keepable(key):
            return None
        async with self.reading() as connection:
            row = (await connection.execute(select(PERSONA).where(PERSONA.c.key == key))).one_or_none()
        return self._rows.persona(row) if row else None

    async def personas(self) -> tuple[Persona, ...]:
        """All, by key; there are at most a few hundred."""
        async with self.reading() as connection:
            found = await connection.execute(select(PERSONA).order_by(PERSONA.c.key))
            return tuple(self._rows.persona(row) for row in found)
