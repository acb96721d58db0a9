# SPDX-License-Identifier: Apache-2.0
"""What one transaction of the exchange reads and writes."""

from datetime import datetime

from sqlalchemy import delete, select

from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.store import rows
from services.exchange.store.applications import ApplicationRows
from services.exchange.store.batches import BatchRows
from services.exchange.store.catalogue import CatalogueRows
from services.exchange.store.changes import ChangeRows
from services.exchange.store.consents import ConsentRows
from services.exchange.store.corrections import CorrectionRows
from services.exchange.store.demands import DemandRows
from services.exchange.store.drops import DropRows
from services.exchange.store.grants import GrantRows
from services.exchange.store.lines import LineRows
from services.exchange.store.opendata import OpenDataRows
from services.exchange.store.providers import ProviderRows
from services.exchange.store.requests import RequestRows
from services.exchange.store.subscriptions import SubscriptionRows
from services.exchange.store.tables import kept_answer
from services.kit.store import Tx


class ExchangeTx(
    DemandRows,
    ApplicationRows,
    CorrectionRows,
    GrantRows,
    CatalogueRows,
    DropRows,
    LineRows,
    OpenDataRows,
    ProviderRows,
    ChangeRows,
    BatchRows,
    ConsentRows,
    RequestRows,
    SubscriptionRows,
    Tx,
):
    """Rows of the exchange, beside the kit's guard, outbox and ledger."""

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
