# SPDX-License-Identifier: Apache-2.0
"""One transaction of identity."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import delete, select, update

from services.identity.domain.agency import Agency
from services.identity.domain.numbers import NumberKind, PersonalNumber
from services.identity.domain.organization import Organization
from services.identity.domain.person import Person
from services.identity.domain.persona import Persona
from services.identity.domain.use import Use
from services.identity.service.ports import Request
from services.identity.store import reads
from services.identity.store.ledger import access_of
from services.identity.store.rows import Rows, agency_of, agency_values, organization_values, request_values
from services.identity.store.tables import AGENCY, ORGANIZATION, PERSON, PERSON_NUMBER, PERSONA, REQUEST
from services.kit.errors import RequestIdReused, VersionConflict
from services.kit.store import Tx


class IdentityTx(Tx):
    """Rows of identity within one transaction."""

    @property
    def _rows(self) -> Rows:
        return Rows(self.store.keyring)

    async def account_for(self, uses: Sequence[Use]) -> None:
        """Adds a leaf for each; the tree stays locked until the commit, so this comes last."""
        if uses:
            ledger = self.store.ledger
            await ledger.append_in(self.connection, [ledger.entry(access_of(use)) for use in uses])

    async def earlier_answer(self, request: Request) -> tuple[str, ...] | None:
        """The first answer to this request. Two transactions with one id wait for each other at the insert."""
        key = _key(request)
        claimed = await self.connection.execute(
            self.insert(REQUEST)
            .values(request_values(key, request.fingerprint, self.store.clock()))
            .on_conflict_do_nothing()
        )
        if claimed.rowcount == 1:
            return None
        first = (
            await self.connection.execute(
                select(REQUEST).where(*(REQUEST.c[name] == value for name, value in key.items()))
            )
        ).one()
        if first.fingerprint != request.fingerprint:
            raise RequestIdReused("This request id came before with other content.", remedy="Take a new request id.")
        return tuple(first.subject_ids)

    async def keep_answer(self, request: Request, subject_ids: Sequence[str]) -> None:
        """Keeps the answer beside the request."""
        where = (REQUEST.c[name] == value for name, value in _key(request).items())
        await self.connection.execute(update(REQUEST).where(*where).values(subject_ids=list(subject_ids)))

    async def persons(self, subject_ids: Collection[str]) -> Mapping[str, Person]:
        """Those on record, by subject id."""
        return await reads.persons(self.connection, self._rows, subject_ids)

    async def persons_by_number(self, numbers: Collection[PersonalNumber]) -> Mapping[tuple[NumberKind, str], Person]:
        """Those on record, by number."""
        return await reads.persons_by_number(self.connection, self._rows, numbers)

    async def add_persons(self, persons: Sequence[Person]) -> frozenset[str]:
        """Adds those whose number is free.

        Numbers are claimed first, in one order for everybody: two batches with common numbers then wait for each
        other instead of locking each other out.
        """
        if not persons:
            return frozenset()
        rows = self._rows
        numbers = sorted((rows.number_values(person) for person in persons), key=lambda row: row["number_index"])
        claimed = await self.connection.execute(
            self.insert(PERSON_NUMBER).values(numbers).on_conflict_do_nothing().returning(PERSON_NUMBER.c.subject_id)
        )
        added = frozenset(claimed.scalars())
        if added:
            values = [rows.person_values(person) for person in persons if person.subject_id in added]
            await self.connection.execute(PERSON.insert(), values)
        return added

    async def organizations(self, usccs: Collection[str]) -> Mapping[str, Organization]:
        """Those on record, by code."""
        return await reads.organizations(self.connection, usccs)

    async def add_organizations(self, organizations: Sequence[Organization]) -> None:
        """Adds those whose code is free; of several with one code, the first."""
        values = {row["uscc"]: row for row in map(organization_values, reversed(organizations))}
        rows = [values[uscc] for uscc in sorted(values)]
        await self.connection.execute(self.insert(ORGANIZATION).values(rows).on_conflict_do_nothing())

    async def end_organization(self, organization: Organization) -> None:
        """Keeps when it was struck off, unless that is on record already."""
        standing = (ORGANIZATION.c.uscc == organization.uscc) & ORGANIZATION.c.deregister_time.is_(None)
        ended = update(ORGANIZATION).where(standing).values(deregister_time=organization.deregister_time)
        await self.connection.execute(ended)

    async def agency(self, uscc: str) -> Agency | None:
        """The agency, locked until the commit where the database knows row locks."""
        row = (
            await self.connection.execute(select(AGENCY).where(AGENCY.c.uscc == uscc).with_for_update())
        ).one_or_none()
        return agency_of(row) if row else None

    async def save_agency(self, agency: Agency) -> None:
        """Keeps the agency over the version before."""
        insert = self.insert(AGENCY).values(agency_values(agency))
        saved = await self.connection.execute(
            insert.on_conflict_do_update(
                index_elements=[AGENCY.c.uscc],
                set_={name: insert.excluded[name] for name in ("name_zh", "name_en", "rights", "active", "version")},
                where=AGENCY.c.version == agency.version - 1,
            )
        )
        if saved.rowcount != 1:
            raise VersionConflict("Somebody else changed the agency meanwhile.", remedy="Read it again, then repeat.")

    async def save_personas(self, personas: Sequence[Persona]) -> None:
        """Keeps them; of several with one key, the last."""
        values = {persona.key: self._rows.persona_values(persona) for persona in personas}
        insert = self.insert(PERSONA).values([values[key] for key in sorted(values)])
        changed = {column.name: insert.excluded[column.name] for column in PERSONA.c if not column.primary_key}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=[PERSONA.c.key], set_=changed))

    async def forget_requests(self, *, days: int) -> int:
        """Forgets answers older than that."""
        before = self.store.clock() - timedelta(days=days)
        return (await self.connection.execute(delete(REQUEST).where(REQUEST.c.create_time < before))).rowcount


def _key(request: Request) -> dict[str, str]:
    return {"caller": request.caller, "operation": request.operation, "request_id": request.request_id}
