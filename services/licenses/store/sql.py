# SPDX-License-Identifier: Apache-2.0
"""The store over SQL: one path for SQLite and PostgreSQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, tuple_, update

from services.kit.errors import VersionConflict
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Store, Tx
from services.licenses.domain.catalogue import Attributes
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License, LicenseState
from services.licenses.service.port import Content, Note, Request
from services.licenses.store.rows import COLUMNS, from_license, seal_grounds, to_content, to_license
from services.licenses.store.tables import license_table, metadata, note_table, reader_table, request_table

_HELD_PAGE = 100


class SqlLicensesTx(Tx):
    """One transaction. What it reads it holds until the end, so that what was decided on it still holds then."""

    async def license(self, license_id: str) -> License | None:
        """Find a license and hold it."""
        return await self._one(select(*COLUMNS).where(license_table.c.license_id == license_id))

    async def newest(self, type_code: str, issuer: str, serial: str) -> License | None:
        """Find the newest version of a license and hold it."""
        query = (
            select(*COLUMNS)
            .where(
                license_table.c.type_code == type_code,
                license_table.c.issuer == issuer,
                license_table.c.serial == serial,
            )
            .order_by(license_table.c.version.desc())
            .limit(1)
        )
        return await self._one(query)

    async def of_step(self, case_id: str, step_id: str) -> tuple[License, str] | None:
        """Find the newest license of a step, with the fingerprint of the wish."""
        query = (
            select(*COLUMNS)
            .where(license_table.c.case_id == case_id, license_table.c.step_id == step_id)
            .order_by(license_table.c.issue_time.desc(), license_table.c.version.desc())
            .limit(1)
        )
        row = (await self.connection.execute(query.with_for_update())).one_or_none()
        return None if row is None else (to_license(row), row.fingerprint)

    async def held(
        self, type_code: str, issuer: str, holder_id: str, *, after: str
    ) -> list[tuple[License, Attributes]]:
        """Find a page of what a holder has and has not been ended, with what it says, and hold it."""
        query = (
            select(license_table)
            .join(reader_table, reader_table.c.license_id == license_table.c.license_id)
            .where(
                reader_table.c.subject_id == holder_id,
                license_table.c.holder_id == holder_id,
                license_table.c.type_code == type_code,
                license_table.c.issuer == issuer,
                license_table.c.state.in_([LicenseState.ACTIVE.value, LicenseState.SUSPENDED.value]),
                license_table.c.license_id > after,
            )
            .order_by(license_table.c.license_id)
            .limit(_HELD_PAGE)
        )
        rows = (await self.connection.execute(query.with_for_update(of=license_table))).all()
        return [(to_license(row), to_content(row, self.store.keyring).attributes) for row in rows]

    async def add(self, license: License, content: Content) -> None:
        """Add a version and who may read it.

        Raises:
            VersionConflict: Somebody else added the same version first.
        """
        values = from_license(license, content, self.store.keyring)
        result = await self.connection.execute(self.insert(license_table).values(values).on_conflict_do_nothing())
        if result.rowcount != 1:
            raise VersionConflict("The same version was issued at this moment.", remedy="Ask again.")
        readers = [
            {"subject_id": reader, "license_id": license.license_id, "issue_time": license.issue_time}
            for reader in sorted(license.readers)
        ]
        await self.connection.execute(reader_table.insert(), readers)

    async def save(self, license: License) -> None:
        """Save the state; nothing else of a version ever changes."""
        await self.connection.execute(
            update(license_table)
            .where(license_table.c.license_id == license.license_id)
            .values(state=license.state.value)
        )

    async def note(self, note: Note) -> None:
        """Add to the file of a license."""
        await self.connection.execute(
            note_table.insert().values(
                license_id=note.license_id,
                change=note.change,
                change_time=note.change_time,
                caller=note.caller,
                grounds_sealed=seal_grounds(note.license_id, note.grounds, self.store.keyring),
            )
        )

    async def request(self, key: str) -> Request | None:
        """Find what a request was answered with."""
        query = select(request_table, license_table.c.holder_id).join(
            license_table, license_table.c.license_id == request_table.c.license_id
        )
        row = (await self.connection.execute(query.where(request_table.c.key == key))).one_or_none()
        if row is None:
            return None
        receipt = await self.store.ledger.receipt_again(self.connection, row.receipt_index, row.holder_id)
        return Request(row.key, row.fingerprint, row.license_id, LicenseState(row.state), receipt)

    async def remember(self, request: Request) -> None:
        """Keep what a request was answered with."""
        await self.connection.execute(
            request_table.insert().values(
                key=request.key,
                fingerprint=request.fingerprint,
                license_id=request.license_id,
                state=request.state.value,
                receipt_index=request.receipt.index,
                receipt_hash=request.receipt.leaf_hash,
            )
        )

    async def _one(self, query: Select[Any]) -> License | None:
        row = (await self.connection.execute(query.with_for_update())).one_or_none()
        return None if row is None else to_license(row)


class SqlLicensesStore(Store[SqlLicensesTx]):
    """Licenses in one database."""

    service = "licenses"
    metadata = metadata
    tx_type = SqlLicensesTx

    def digest(self, payload: bytes) -> str:
        """Give a keyed digest."""
        return self.keyring.digest(payload)

    async def find(self, license_id: str) -> License | None:
        """Find a license."""
        query = select(*COLUMNS).where(license_table.c.license_id == license_id)
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else to_license(row)

    async def find_identified(self, identifier: LicenseIdentifier) -> tuple[License, bytes] | None:
        """Find a license by its identifier, with the digest of its words."""
        query = select(*COLUMNS).where(
            license_table.c.type_code == identifier.type_code,
            license_table.c.issuer == identifier.issuer,
            license_table.c.serial == identifier.serial,
            license_table.c.version == identifier.version,
        )
        async with self.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (to_license(row), row.words)

    async def content(self, license: License) -> Content:
        """Open what a license says."""
        query = select(license_table).where(license_table.c.license_id == license.license_id)
        async with self.reading() as connection:
            row = (await connection.execute(query)).one()
        return to_content(row, self.keyring)

    async def of_reader(self, subject_id: str, page_size: int, page_token: str) -> Page[License]:
        """List the licenses that a resident may read, newest first.

        Raises:
            PageTokenInvalid: The token is not one of ours.
        """
        query = (
            select(*COLUMNS)
            .join(reader_table, reader_table.c.license_id == license_table.c.license_id)
            .where(reader_table.c.subject_id == subject_id)
            .order_by(reader_table.c.issue_time.desc(), reader_table.c.license_id.desc())
            .limit(page_size + 1)
        )
        if page_token:
            query = query.where(tuple_(reader_table.c.issue_time, reader_table.c.license_id) < read_token(page_token))
        async with self.reading() as connection:
            rows = [to_license(row) for row in (await connection.execute(query)).all()]
        more, page = len(rows) > page_size, rows[:page_size]
        return Page(tuple(page), write_token(page[-1]) if more else "")


def write_token(last: License) -> str:
    """Write where the next page begins."""
    return encode_token(after=last.license_id, time=last.issue_time.isoformat())


def read_token(token: str) -> tuple[datetime, str]:
    """Read where a page begins.

    Raises:
        PageTokenInvalid: The token is not one of ours.
    """
    return moment_after(token, key="after")
