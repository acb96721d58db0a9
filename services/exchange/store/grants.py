# SPDX-License-Identifier: Apache-2.0
"""Rows of grants: their terms, and the calls counted against their quotas."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from services.exchange.domain.grant import Grant
from services.exchange.domain.refusals import GrantNotFound
from services.exchange.service.ports import Touched
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata, resource
from services.exchange.store.terms import terms_from, terms_plain
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

sharing_grant = Table(
    "sharing_grant",
    metadata,
    Column("grant_id", String(36), primary_key=True),
    Column("request_id", String(36), nullable=False),
    Column("resource", String(64), ForeignKey("resource.code"), nullable=False),
    Column("grantee", String(18), nullable=False),
    Column("purposes", Json, nullable=False),
    Column("fields", Json, nullable=False),
    Column("verify_fields", Json, nullable=False),
    Column("basis", String(200), nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("daily_quota", BigInteger, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("revoke_time", UtcDateTime, nullable=True),
    Column("grounds", String(500), nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("terms", Json, nullable=False, server_default="{}"),
    Column("application_id", String(36), nullable=False, server_default=""),
    Index("sharing_grant_by_pair", "grantee", "resource", "create_time"),
    Index("sharing_grant_by_resource", "resource", "create_time"),
    Index("sharing_grant_by_time", "create_time", "grant_id"),
    Index("sharing_grant_by_update", "update_time"),
)

quota_count = Table(
    "quota_count",
    metadata,
    Column("grant_id", String(36), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Index("quota_count_by_day", "day"),
)

_NEWEST_FIRST = (sharing_grant.c.create_time.desc(), sharing_grant.c.grant_id.desc())
_OF_PAIR = (  # Built once: a call that asks for something new waits for it.
    select(sharing_grant)
    .where(
        sharing_grant.c.grantee == bindparam("grantee"),
        sharing_grant.c.resource == bindparam("resource"),
        sharing_grant.c.revoke_time.is_(None),
    )
    .order_by(*_NEWEST_FIRST)
)


class GrantRows(Tx):
    """What a transaction reads and writes of grants."""

    async def find_grant(self, grant_id: str) -> Grant | None:
        """Read and lock, None where there is none."""
        found = await self.connection.execute(
            select(sharing_grant).where(sharing_grant.c.grant_id == grant_id).with_for_update()
        )
        row = found.mappings().one_or_none()
        return None if row is None else grant_from(row)

    async def grant(self, grant_id: str) -> Grant:
        """Read and lock. Raises GrantNotFound."""
        found = await self.find_grant(grant_id)
        if found is None:
            raise GrantNotFound("There is no such grant.")
        return found

    async def grants_beside(self, draft: Grant) -> int:
        """Count the pair's grants that hold when this one is made."""
        counted = select(func.count()).where(
            sharing_grant.c.grantee == draft.grantee,
            sharing_grant.c.resource == draft.resource,
            sharing_grant.c.revoke_time.is_(None),
            sharing_grant.c.expire_time > draft.create_time,
        )
        return int(await self.connection.scalar(counted) or 0)

    async def add_grant(self, grant: Grant, *, request_id: str) -> None:
        """Insert."""
        await self.connection.execute(self.insert(sharing_grant).values(grant_row(grant, request_id)))

    async def save_revocation(self, grant: Grant, *, grounds: str) -> None:
        """Write when and why."""
        await self.connection.execute(
            update(sharing_grant)
            .where(sharing_grant.c.grant_id == grant.grant_id)
            .values(revoke_time=grant.revoke_time, grounds=grounds, update_time=grant.revoke_time)
        )

    async def take_quota(self, grant_id: str, day: date, *, calls: int, quota: int) -> int:
        """Count up to `calls` more; the row's lock makes processes take turns."""
        row = (quota_count.c.grant_id == grant_id) & (quota_count.c.day == day)
        await self.connection.execute(
            self.insert(quota_count).values(grant_id=grant_id, day=day, calls=0).on_conflict_do_nothing()
        )
        counted = await self.connection.scalar(select(quota_count.c.calls).where(row).with_for_update())
        taken = max(0, min(calls, quota - int(counted or 0)))
        if taken:
            await self.connection.execute(update(quota_count).where(row).values(calls=quota_count.c.calls + taken))
        return taken

    async def return_quota(self, grant_id: str, day: date, *, calls: int) -> None:
        """Count fewer."""
        row = (quota_count.c.grant_id == grant_id) & (quota_count.c.day == day)
        await self.connection.execute(update(quota_count).where(row).values(calls=quota_count.c.calls - calls))

    async def drop_counts(self, *, before: date) -> None:
        """Delete the counts of old days."""
        await self.connection.execute(delete(quota_count).where(quota_count.c.day < before))


class GrantReads(Store[Any]):
    """What is read of grants outside a transaction."""

    async def list_grants(self, *, grantee: str, resource: str, page_size: int, page_token: str) -> Page[Grant]:
        """Give grants, newest first."""
        query = select(sharing_grant).order_by(*_NEWEST_FIRST).limit(page_size + 1)
        if grantee:
            query = query.where(sharing_grant.c.grantee == grantee)
        if resource:
            query = query.where(sharing_grant.c.resource == resource)
        if page_token:
            query = query.where(_older(page_token))
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(grant_from(row) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].create_time.isoformat(), id=page[-1].grant_id))

    async def grants_of(self, grantee: str, resource: str) -> Sequence[Grant]:
        """Give a pair's grants that were not revoked, newest first."""
        async with self.reading() as connection:
            found = await connection.execute(_OF_PAIR, {"grantee": grantee, "resource": resource})
            return tuple(grant_from(row) for row in found.mappings())

    async def calls_counted(self, grant_id: str, day: date) -> int:
        """Tell how many calls of a day are counted."""
        asked = select(quota_count.c.calls).where(quota_count.c.grant_id == grant_id, quota_count.c.day == day)
        async with self.reading() as connection:
            return int(await connection.scalar(asked) or 0)

    async def changed_since(self, moment: datetime, *, limit: int) -> Touched | None:
        """Tell what was written since: codes and pairs alone, from the indexes by time."""
        codes = select(resource.c.code).where(resource.c.update_time >= moment).limit(limit + 1)
        pairs = (
            select(sharing_grant.c.grantee, sharing_grant.c.resource)
            .where(sharing_grant.c.update_time >= moment)
            .limit(limit + 1)
        )
        async with self.reading() as connection:
            found = (await connection.execute(codes)).scalars().all()
            changed = (await connection.execute(pairs)).all()
        if max(len(found), len(changed)) > limit:
            return None
        return Touched(frozenset(found), frozenset((row.grantee, row.resource) for row in changed))


def grant_from(row: Row) -> Grant:
    """Read a grant."""
    return Grant(
        grant_id=row["grant_id"],
        resource=row["resource"],
        grantee=row["grantee"],
        purposes=tuple(row["purposes"]),
        fields=tuple(row["fields"]),
        verify_fields=tuple(row["verify_fields"]),
        basis=row["basis"],
        expire_time=row["expire_time"],
        daily_quota=row["daily_quota"],
        create_time=row["create_time"],
        revoke_time=row["revoke_time"],
        terms=terms_from(row["terms"]),
        application_id=row["application_id"],
    )


def grant_row(grant: Grant, request_id: str) -> dict[str, Any]:
    """Write a new grant."""
    return {
        "grant_id": grant.grant_id,
        "request_id": request_id,
        "resource": grant.resource,
        "grantee": grant.grantee,
        "purposes": list(grant.purposes),
        "fields": list(grant.fields),
        "verify_fields": list(grant.verify_fields),
        "basis": grant.basis,
        "expire_time": grant.expire_time,
        "daily_quota": grant.daily_quota,
        "create_time": grant.create_time,
        "revoke_time": None,
        "terms": terms_plain(grant.terms),
        "application_id": grant.application_id,
        "grounds": "",
        "update_time": grant.create_time,
    }


def _older(page_token: str) -> ColumnElement[bool]:
    moment, last = moment_after(page_token)
    return or_(
        sharing_grant.c.create_time < moment,
        and_(sharing_grant.c.create_time == moment, sharing_grant.c.grant_id < last),
    )
