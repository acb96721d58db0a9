# SPDX-License-Identifier: Apache-2.0
"""What one transaction of the exchange reads and writes."""

from datetime import date, datetime

from sqlalchemy import delete, select, update

from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.refusals import GrantNotFound, ResourceNotFound
from services.exchange.domain.resource import Resource
from services.exchange.store import rows
from services.exchange.store.tables import kept_answer, quota_count, resource, sharing_grant
from services.kit.store import Tx


class ExchangeTx(Tx):
    """Rows of the exchange, beside the kit's guard, outbox and ledger."""

    async def find_resource(self, code: str) -> Resource | None:
        """Read and lock, None where there is none."""
        found = await self.connection.execute(select(resource).where(resource.c.code == code).with_for_update())
        row = found.mappings().one_or_none()
        return None if row is None else rows.resource_from(row, self.store.keyring)

    async def resource(self, code: str) -> Resource:
        """Read and lock. Raises ResourceNotFound."""
        found = await self.find_resource(code)
        if found is None:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        return found

    async def save_resource(self, changed: Resource, *, now: datetime) -> None:
        """Insert or replace."""
        row = rows.resource_row(changed, self.store.keyring, now)
        insert = self.insert(resource).values(row)
        await self.connection.execute(
            insert.on_conflict_do_update(
                index_elements=["code"], set_={name: insert.excluded[name] for name in row if name != "code"}
            )
        )

    async def find_grant(self, grant_id: str) -> Grant | None:
        """Read and lock, None where there is none."""
        found = await self.connection.execute(
            select(sharing_grant).where(sharing_grant.c.grant_id == grant_id).with_for_update()
        )
        row = found.mappings().one_or_none()
        return None if row is None else rows.grant_from(row)

    async def grant(self, grant_id: str) -> Grant:
        """Read and lock. Raises GrantNotFound."""
        found = await self.find_grant(grant_id)
        if found is None:
            raise GrantNotFound("There is no such grant.")
        return found

    async def add_grant(self, grant: Grant, *, request_id: str) -> None:
        """Insert."""
        await self.connection.execute(self.insert(sharing_grant).values(rows.grant_row(grant, request_id)))

    async def save_revocation(self, grant: Grant, *, grounds: str) -> None:
        """Write when and why."""
        await self.connection.execute(
            update(sharing_grant)
            .where(sharing_grant.c.grant_id == grant.grant_id)
            .values(revoke_time=grant.revoke_time, grounds=grounds, update_time=grant.revoke_time)
        )

    async def keep_answer(self, answer: KeptAnswer, *, expire_time: datetime) -> None:
        """Insert, sealed."""
        sealed = rows.answer_sealed(answer, self.store.keyring)
        await self.connection.execute(
            self.insert(kept_answer).values(answer_id=answer.answer_id, sealed=sealed, expire_time=expire_time)
        )

    async def drop_answers(self, *, before: datetime, limit: int) -> int:
        """Delete at most `limit` expired answers; give how many."""
        expired = select(kept_answer.c.answer_id).where(kept_answer.c.expire_time < before).limit(limit)
        result = await self.connection.execute(delete(kept_answer).where(kept_answer.c.answer_id.in_(expired)))
        return result.rowcount

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
