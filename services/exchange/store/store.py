# SPDX-License-Identifier: Apache-2.0
"""The exchange's store: what is read outside a change."""

from datetime import datetime

from sqlalchemy import select

from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.refusals import AnswerNotFound
from services.exchange.store import rows
from services.exchange.store.applications import ApplicationReads
from services.exchange.store.batches import BatchReads
from services.exchange.store.catalogue import CatalogueReads
from services.exchange.store.changes import ChangeReads
from services.exchange.store.consents import ConsentReads
from services.exchange.store.corrections import CorrectionReads
from services.exchange.store.demands import DemandReads
from services.exchange.store.drops import DropReads
from services.exchange.store.grants import GrantReads
from services.exchange.store.lines import LineReads
from services.exchange.store.opendata import OpenDataReads
from services.exchange.store.providers import ProviderReads
from services.exchange.store.requests import RequestReads
from services.exchange.store.search import SearchReads
from services.exchange.store.subscriptions import SubscriptionReads
from services.exchange.store.tables import kept_answer, metadata
from services.exchange.store.tx import ExchangeTx
from services.exchange.store.xroad import NeighborReads
from services.kit.ledger.access import content_digest
from services.kit.store import Store


class ExchangeStore(
    ApplicationReads,
    CorrectionReads,
    GrantReads,
    NeighborReads,
    OpenDataReads,
    CatalogueReads,
    SearchReads,
    DropReads,
    LineReads,
    ProviderReads,
    ChangeReads,
    BatchReads,
    ConsentReads,
    RequestReads,
    SubscriptionReads,
    DemandReads,
    Store[ExchangeTx],
):
    """One database: catalogue, grants, counts, answers, and the kit's outbox, guard and ledger."""

    service = "exchange"
    metadata = metadata
    tx_type = ExchangeTx

    def digest(self, payload: bytes) -> str:
        """Give the digest of an answer; the ledger blinds it with the person's key."""
        return content_digest(payload)

    def pseudonym(self, subject_id: str) -> str:
        """Give the ledger's name of a subject."""
        return self.ledger.name(subject_id)

    def subject_mark(self, kind: str, value: str) -> str:
        """Give the keyed mark of a number or code."""
        return f"{kind}:{self.keyring.blind_index(value, f'exchange.subject.{kind}').hex()}"

    async def read_answer(self, answer_id: str, *, now: datetime) -> KeptAnswer:
        """Open a kept answer. Raises AnswerNotFound."""
        query = select(kept_answer).where(kept_answer.c.answer_id == answer_id, kept_answer.c.expire_time > now)
        async with self.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise AnswerNotFound("There is no such answer, or it is no longer kept.")
        return rows.answer_from(row, self.keyring)
