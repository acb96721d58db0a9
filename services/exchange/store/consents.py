# SPDX-License-Identifier: Apache-2.0
"""Consents and previews. Neither holds a value: a consent names fields, a preview the keyed digest of what was shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, String, Table, and_, delete, func, or_, select, update

from services.exchange.domain.consents import Consent, ConsentNotFound
from services.exchange.domain.previews import Preview, PreviewNotFound, PreviewState
from services.exchange.store.tables import metadata
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

_CONSENTS_MAX = 1_000
"""Of one resident to one recipient that are looked at; the newest count."""

consent = Table(
    "consent",
    metadata,
    Column("consent_id", String(36), primary_key=True),
    Column("subject_id", String(36), nullable=False),
    Column("grantee", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("purpose", String(100), nullable=False),
    Column("fields", Json, nullable=False),
    Column("give_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("withdraw_time", UtcDateTime, nullable=True),
    Index("consent_by_subject", "subject_id", "give_time", "consent_id"),
    Index("consent_by_pair", "subject_id", "grantee", "give_time"),
)

preview = Table(
    "preview",
    metadata,
    Column("preview_id", String(36), primary_key=True),
    Column("subject_id", String(36), nullable=False),
    Column("agency", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("purpose", String(100), nullable=False),
    Column("case_id", String(200), nullable=False),
    Column("fields", Json, nullable=False),
    Column("state", String(20), nullable=False),
    Column("token", String(36), nullable=False),
    Column("token_time", UtcDateTime, nullable=True),
    Column("digest", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Index("preview_by_subject", "subject_id", "create_time", "preview_id"),
    Index("preview_by_expiry", "expire_time"),
)


class ConsentRows(Tx):
    """What a transaction reads and writes of consents and previews."""

    async def find_consent(self, consent_id: str) -> Consent | None:
        """Read and lock, None where there is none."""
        query = select(consent).where(consent.c.consent_id == consent_id).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        return None if row is None else _consent_from(row)

    async def consent(self, consent_id: str, *, subject_id: str) -> Consent:
        """Read and lock a resident's own. Raises ConsentNotFound."""
        found = await self.find_consent(consent_id)
        if found is None or found.subject_id != subject_id:
            raise ConsentNotFound("There is no such consent of yours.")
        return found

    async def add_consent(self, added: Consent) -> None:
        """Insert."""
        row = {name: getattr(added, name) for name in consent.c.keys()}  # noqa: SIM118 - a collection of columns
        await self.connection.execute(self.insert(consent).values({**row, "fields": list(added.fields)}))

    async def save_consent(self, withdrawn: Consent) -> None:
        """Write when."""
        await self.connection.execute(
            update(consent)
            .where(consent.c.consent_id == withdrawn.consent_id)
            .values(withdraw_time=withdrawn.withdraw_time)
        )

    async def find_preview(self, preview_id: str, *, now: datetime) -> Preview | None:
        """Read and lock, None where there is none, or its time is over."""
        query = select(preview).where(preview.c.preview_id == preview_id, preview.c.expire_time > now)
        row = (await self.connection.execute(query.with_for_update())).mappings().one_or_none()
        return None if row is None else _preview_from(row)

    async def preview(self, preview_id: str, *, now: datetime, subject_id: str = "", agency: str = "") -> Preview:
        """Read and lock the resident's or the agency's own. Raises PreviewNotFound."""
        return _own(await self.find_preview(preview_id, now=now), subject_id=subject_id, agency=agency)

    async def count_pending_previews(self, *, agency: str, subject_id: str, now: datetime) -> int:
        """Count."""
        query = (
            select(func.count())
            .select_from(preview)
            .where(
                preview.c.subject_id == subject_id,
                preview.c.agency == agency,
                preview.c.state == PreviewState.PENDING.value,
                preview.c.expire_time > now,
            )
        )
        return int(await self.connection.scalar(query) or 0)

    async def save_preview(self, saved: Preview) -> None:
        """Insert or replace."""
        row = {name: getattr(saved, name) for name in preview.c.keys()}  # noqa: SIM118 - a collection of columns
        row |= {"fields": list(saved.fields), "state": saved.state.value}
        insert = self.insert(preview).values(row)
        changes = {name: insert.excluded[name] for name in row if name != "preview_id"}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=["preview_id"], set_=changes))

    async def drop_previews(self, *, before: datetime, limit: int) -> int:
        """Delete at most `limit`; give how many."""
        late = select(preview.c.preview_id).where(preview.c.expire_time < before).limit(limit)
        return (await self.connection.execute(delete(preview).where(preview.c.preview_id.in_(late)))).rowcount


class ConsentReads(Store[Any]):
    """What is read of consents and previews outside a transaction."""

    def keyed_digest(self, payload: bytes) -> str:
        """Give the digest that only this service can make."""
        return self.keyring.digest(payload)

    async def consents_of(self, subject_id: str, grantee: str) -> Sequence[Consent]:
        """Give those that were not withdrawn, newest first."""
        query = select(consent).where(
            consent.c.subject_id == subject_id, consent.c.grantee == grantee, consent.c.withdraw_time.is_(None)
        )
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(consent.c.give_time.desc()).limit(_CONSENTS_MAX))
        return tuple(_consent_from(row) for row in found.mappings())

    async def list_consents(self, *, subject_id: str, page_size: int, page_token: str) -> Page[Consent]:
        """Give a resident's, newest first."""
        columns = (consent.c.give_time, consent.c.consent_id)
        query = select(consent).where(consent.c.subject_id == subject_id)
        rows, token = await self._newest_of_resident(query, columns, page_size, page_token)
        return Page(tuple(_consent_from(row) for row in rows), token)

    async def read_preview(self, preview_id: str, *, now: datetime, subject_id: str = "", agency: str = "") -> Preview:
        """Read the resident's or the agency's own. Raises PreviewNotFound."""
        query = select(preview).where(preview.c.preview_id == preview_id, preview.c.expire_time > now)
        async with self.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return _own(None if row is None else _preview_from(row), subject_id=subject_id, agency=agency)

    async def list_previews(self, *, subject_id: str, now: datetime, page_size: int, page_token: str) -> Page[Preview]:
        """Give a resident's, newest first."""
        columns = (preview.c.create_time, preview.c.preview_id)
        query = select(preview).where(preview.c.subject_id == subject_id, preview.c.expire_time > now)
        rows, token = await self._newest_of_resident(query, columns, page_size, page_token)
        return Page(tuple(_preview_from(row) for row in rows), token)

    async def _newest_of_resident(
        self, query: Any, columns: tuple[Any, Any], page_size: int, page_token: str
    ) -> tuple[Sequence[Mapping[Any, Any]], str]:
        time, key = columns
        if page_token:
            moment, last = moment_after(page_token)
            query = query.where(or_(time < moment, and_(time == moment, key < last)))
        async with self.reading() as connection:
            found = await connection.execute(query.order_by(time.desc(), key.desc()).limit(page_size + 1))
        rows = found.mappings().all()
        if len(rows) <= page_size:
            return rows, ""
        last_row = rows[page_size - 1]
        return rows[:page_size], encode_token(time=last_row[time.name].isoformat(), id=last_row[key.name])


def _consent_from(row: Mapping[Any, Any]) -> Consent:
    return Consent(**{**row, "fields": tuple(row["fields"])})


def _preview_from(row: Mapping[Any, Any]) -> Preview:
    return Preview(**{**row, "fields": tuple(row["fields"]), "state": PreviewState(row["state"])})


def _own(found: Preview | None, *, subject_id: str, agency: str) -> Preview:
    if found is None or (found.subject_id != subject_id if subject_id else found.agency != agency):
        raise PreviewNotFound("There is no such preview of yours, or its time is over.")
    return found
