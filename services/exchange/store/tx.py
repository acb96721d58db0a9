# SPDX-License-Identifier: Apache-2.0
"""What one transaction of the exchange reads and writes."""

from datetime import datetime

from sqlalchemy import delete, select

from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.refusals import ResourceNotFound
from services.exchange.domain.resource import Resource
from services.exchange.store import rows
from services.exchange.store.corrections import CorrectionRows
from services.exchange.store.grants import GrantRows
from services.exchange.store.tables import kept_answer, resource
from services.kit.store import Tx


class ExchangeTx(CorrectionRows, GrantRows, Tx):
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
