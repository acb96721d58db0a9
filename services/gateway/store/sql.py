# SPDX-License-Identifier: Apache-2.0
"""The gateway's store: reads of committed state, and the way into a transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from sqlalchemy import MetaData, and_, bindparam, delete, func, or_, select

from services.gateway.domain.bounds import Standing
from services.gateway.domain.case import CaseStatus
from services.gateway.domain.history import Event
from services.gateway.service.ports import CaseFile, CaseRow, Remembered
from services.gateway.store.activations import ActivationReads
from services.gateway.store.clocks import counted_before
from services.gateway.store.contacts import ContactReads
from services.gateway.store.files import Files
from services.gateway.store.finding import FindingReads
from services.gateway.store.inbox import InboxReads
from services.gateway.store.leases import to_take
from services.gateway.store.materials import MaterialReads
from services.gateway.store.notices import NoticeReads
from services.gateway.store.rows import case_row, event_of, key_kept
from services.gateway.store.standing import standing_of
from services.gateway.store.statistics import StatisticReads
from services.gateway.store.tables import (
    cases,
    definitions,
    draft_counts,
    events,
    idempotency,
    metadata,
    tasks,
    timers,
)
from services.gateway.store.tx import DRAFT, SqlGatewayTx
from services.gateway.store.webhooks import WebhookReads
from services.kit.store import Store
from services.kit.store.engine import Engines
from services.kit.store.store import Encode, Resources

_EVENTS_AFTER = (
    select(events)
    .where(events.c.case_id == bindparam("of_case"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
)


class SqlGatewayStore(
    ActivationReads,
    ContactReads,
    FindingReads,
    InboxReads,
    MaterialReads,
    NoticeReads,
    StatisticReads,
    WebhookReads,
    Store[SqlGatewayTx],
):
    """SQLite or PostgreSQL."""

    service: ClassVar[str] = "gateway"
    metadata: ClassVar[MetaData] = metadata
    tx_type: ClassVar[type[SqlGatewayTx]] = SqlGatewayTx

    def __init__(self, engines: Engines, runtime: Resources, *, encode: Encode) -> None:
        super().__init__(engines, runtime, encode=encode)
        self.files = Files(self.keyring)

    def keep(self, file: CaseFile) -> None:
        """Take note of a state that was committed just now."""
        self.files.keep(file)

    def forget(self, case_id: str) -> None:
        """Let go of the state of a case that was deleted just now."""
        self.files.forget(case_id)

    def digest(self, text: str) -> str:
        """A keyed digest, for comparing requests without keeping them."""
        return self.keyring.digest(text.encode())

    async def case_file(self, case_id: str) -> CaseFile | None:
        """The committed state of a case."""
        async with self.reading() as connection:
            file = await self.files.read(connection, case_id)
        if file is not None:
            self.files.keep(file)
        return file

    async def definition_of(self, digest: str) -> str:
        """The stored canonical definition."""
        async with self.reading() as connection:
            asked = select(definitions.c.body).where(definitions.c.digest == digest)
            return str((await connection.execute(asked)).scalar_one())

    async def events_after(self, case_id: str, seq: int) -> Sequence[tuple[int, Event]]:
        """Events with a number above `seq`, in order."""
        async with self.reading() as connection:
            rows = (await connection.execute(_EVENTS_AFTER, {"of_case": case_id, "after": seq})).all()
        return [(row.seq, event_of(self.keyring, row)) for row in rows]

    async def find(self, receipt_or_case_id: str) -> CaseRow | None:
        """One case by its id or receipt number."""
        asked = select(cases).where(or_(cases.c.case_id == receipt_or_case_id, cases.c.receipt == receipt_or_case_id))
        async with self.reading() as connection:
            row = (await connection.execute(asked)).one_or_none()
        return case_row(row) if row else None

    async def cases_of(self, applicant_id: str, limit: int, before: tuple[datetime, str] | None) -> Sequence[CaseRow]:
        """The applicant's cases, newest first, older than `before`."""
        asked = select(cases).where(cases.c.applicant_id == applicant_id)
        if before is not None:
            created, case_id = before
            older = or_(cases.c.created < created, and_(cases.c.created == created, cases.c.case_id < case_id))
            asked = asked.where(older)
        asked = asked.order_by(cases.c.created.desc(), cases.c.case_id.desc()).limit(limit)
        async with self.reading() as connection:
            return [case_row(row) for row in (await connection.execute(asked)).all()]

    async def parked_cases(self, limit: int, after: tuple[datetime, str] | None) -> Sequence[CaseRow]:
        """Cases that need an operator, oldest first, younger than `after`."""
        asked = select(cases).where(cases.c.status == CaseStatus.PARKED.value)
        if after is not None:
            created, case_id = after
            younger = or_(cases.c.created > created, and_(cases.c.created == created, cases.c.case_id > case_id))
            asked = asked.where(younger)
        asked = asked.order_by(cases.c.created, cases.c.case_id).limit(limit)
        async with self.reading() as connection:
            return [case_row(row) for row in (await connection.execute(asked)).all()]

    async def draft_of(self, applicant_id: str, matter: str) -> str:
        """The id of the applicant's latest draft of a matter; empty for none."""
        async with self.reading() as connection:
            found = await connection.execute(DRAFT, {"of_applicant": applicant_id, "of_matter": matter})
        return str(found.scalar_one_or_none() or "")

    async def drafts_of(self, applicant_id: str) -> int:
        """How many drafts the applicant has."""
        asked = select(draft_counts.c.drafts).where(draft_counts.c.applicant_id == applicant_id)
        async with self.reading() as connection:
            return int((await connection.execute(asked)).scalar_one_or_none() or 0)

    async def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        """The applicant's open cases of a matter, and submissions of all matters from a moment on."""
        async with self.reading() as connection:
            return await standing_of(connection, applicant_id, matter, since)

    async def remembered(self, caller: str, key: str) -> Remembered | None:
        """What was done under an idempotency key."""
        asked = select(idempotency).where(idempotency.c.caller == caller, idempotency.c.key == key_kept(key))
        async with self.reading() as connection:
            row = (await connection.execute(asked)).one_or_none()
        return Remembered(row.fingerprint, row.case_id) if row else None

    async def has_tasks(self, agency: str, operations: Sequence[str], now: datetime) -> bool:
        """Whether there is a task to lease."""
        asked = select(tasks.c.task_id).where(to_take(agency, operations, now)).limit(1)
        async with self.reading() as connection:
            return (await connection.execute(asked)).first() is not None

    async def next_due(self) -> datetime | None:
        """When the next timer is due."""
        async with self.reading() as connection:
            due: datetime | None = (await connection.execute(select(func.min(timers.c.due)))).scalar_one_or_none()
        return due

    async def cases_counted_before(self, versions: Mapping[str, int], limit: int) -> Sequence[str]:
        """Cases whose clocks were counted by an older version of a calendar."""
        async with self.reading() as connection:
            return await counted_before(connection, versions, limit)

    async def forget_keys(self, before: datetime) -> int:
        """Let go of idempotency keys that are older than anybody's retry."""
        async with self.transaction() as tx:
            result = await tx.connection.execute(delete(idempotency).where(idempotency.c.created < before))
        return int(result.rowcount)
