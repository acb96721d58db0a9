# SPDX-License-Identifier: Apache-2.0
"""Rows of corrections and recalls. What is claimed, about whom and why stands in sealed columns only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    and_,
    func,
    or_,
    select,
    text,
    update,
)

from services.exchange.domain.corrections import (
    SEALED,
    Claim,
    Correction,
    CorrectionState,
    Proof,
    ProofKind,
    Recall,
    RecallMeasure,
    RejectionGround,
)
from services.exchange.service.corrections.ports import (
    ACKNOWLEDGE,
    ANSWER,
    CorrectionFilter,
    Counted,
    Dispute,
    DueCorrection,
    DueRecall,
)
from services.exchange.store.tables import metadata
from services.kit.crypto import Keyring
from services.kit.paging import Page, decode_token, encode_token, moment_after
from services.kit.store import Store, Tx, UtcDateTime

_OPEN = text("state = 'open'")
_LATE = text("late")
_UNACKNOWLEDGED = text("acknowledge_time IS NULL")

correction = Table(
    "correction",
    metadata,
    Column("correction_id", String(36), primary_key=True),
    Column("resource", String(64), nullable=False),
    Column("field", String(64), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("region", String(6), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("claimant", String(80), nullable=False),
    Column("claim", LargeBinary, nullable=False),  # sealed
    Column("state", String(10), nullable=False),
    Column("extended", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("swept", Boolean, nullable=False),
    Column("rejection", String(20), nullable=False),
    Column("explanation", LargeBinary, nullable=False),  # sealed
    Column("open_time", UtcDateTime, nullable=False),
    Column("answer_time", UtcDateTime),
    Column("close_time", UtcDateTime),
    Column("update_time", UtcDateTime, nullable=False),
    Index("correction_by_claimant", "claimant", "open_time", "correction_id"),
    Index("correction_by_provider", "provider", "open_time", "correction_id"),
    Index("correction_by_provider_state", "provider", "state", "open_time", "correction_id"),
    Index("correction_by_state", "state", "open_time", "correction_id"),
    Index("correction_late", "open_time", "correction_id", sqlite_where=text("late = 1"), postgresql_where=_LATE),
    Index("correction_by_time", "open_time", "correction_id"),
    Index("correction_by_update", "update_time"),
    Index("correction_by_subject", "subject"),
    Index(
        "correction_open",
        "claimant",
        "resource",
        "subject",
        "field",
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    ),
)

recall = Table(
    "correction_recall",
    metadata,
    Column("correction_id", String(36), primary_key=True),
    Column("agency", String(18), primary_key=True),
    Column("uses", Integer, nullable=False),
    Column("last_use_time", UtcDateTime, nullable=False),
    Column("tell_time", UtcDateTime, nullable=False),
    Column("acknowledge_time", UtcDateTime),
    Column("measure", String(20), nullable=False),
    Column("late", Boolean, nullable=False),
    Index("correction_recall_by_agency", "agency", "tell_time", "correction_id"),
    Index(
        "correction_recall_to_do",
        "late",
        "tell_time",
        "correction_id",
        "agency",
        sqlite_where=_UNACKNOWLEDGED,
        postgresql_where=_UNACKNOWLEDGED,
    ),
)

deadline = metadata.tables["deadline"]
_DUE_ANSWER = and_(deadline.c.kind == ANSWER, deadline.c.owner == correction.c.correction_id)
_DUE_ACKNOWLEDGE = and_(
    deadline.c.kind == ACKNOWLEDGE, deadline.c.owner == recall.c.correction_id + ":" + recall.c.agency
)
_WITHOUT_WORDS = [column for column in correction.c if column.name not in {"claim", "explanation"}]
_COUNTS = (
    select(func.count()).where(recall.c.correction_id == correction.c.correction_id).scalar_subquery(),
    select(func.count(recall.c.acknowledge_time))
    .where(recall.c.correction_id == correction.c.correction_id)
    .scalar_subquery(),
)


class CorrectionRows(Tx):
    """What a transaction reads and writes of corrections."""

    async def find_correction(self, correction_id: str) -> Correction | None:
        """Read and lock; recalls of it change only under this lock."""
        found = await self.connection.execute(
            select(correction).where(correction.c.correction_id == correction_id).with_for_update()
        )
        row = found.mappings().one_or_none()
        return None if row is None else correction_from(row, self.store.keyring)

    async def add_correction(self, new: Correction) -> bool:
        """Insert; False where the claimant disputes this value already."""
        row = correction_row(new, self.store.keyring, new.open_time)
        result = await self.connection.execute(self.insert(correction).values(row).on_conflict_do_nothing())
        return result.rowcount == 1

    async def save_correction(self, after: Correction, *, now: datetime) -> None:
        """Write how it stands."""
        row = correction_row(after, self.store.keyring, now)
        await self.connection.execute(
            update(correction).where(correction.c.correction_id == after.correction_id).values(row)
        )

    async def corrections_about(self, subject: str, *, limit: int) -> Sequence[Correction]:
        """Read and lock some about a subject, by the ledger's name; none by the name of nobody."""
        asked = select(correction).where(correction.c.subject == subject, correction.c.subject != "")
        found = await self.connection.execute(asked.limit(limit).with_for_update())
        return [correction_from(row, self.store.keyring) for row in found.mappings()]

    async def open_corrections(self, claimant: str) -> int:
        """Count those of a claimant that are open."""
        asked = select(func.count()).where(correction.c.claimant == claimant, correction.c.state == "open")
        return int((await self.connection.execute(asked)).scalar_one())

    async def find_recall(self, correction_id: str, agency: str) -> Recall | None:
        """Read and lock."""
        asked = select(recall).where(recall.c.correction_id == correction_id, recall.c.agency == agency)
        row = (await self.connection.execute(asked.with_for_update())).mappings().one_or_none()
        return None if row is None else recall_from(row)

    async def save_recall(self, after: Recall) -> None:
        """Insert or replace."""
        row = recall_row(after)
        insert = self.insert(recall).values(row)
        await self.connection.execute(
            insert.on_conflict_do_update(index_elements=["correction_id", "agency"], set_=row)
        )

    async def outstanding_recalls(self, correction_id: str) -> int:
        """Count those that nobody has acknowledged."""
        asked = select(func.count()).where(recall.c.correction_id == correction_id, recall.c.acknowledge_time.is_(None))
        return int((await self.connection.execute(asked)).scalar_one())


class CorrectionReads(Store[Any]):
    """What is read of corrections outside a transaction."""

    async def read_correction(self, correction_id: str) -> Counted | None:
        """Read one, with the counts of its receivers."""
        asked = select(correction, _COUNTS[0].label("receivers"), _COUNTS[1].label("acknowledged"))
        async with self.reading() as connection:
            found = await connection.execute(asked.where(correction.c.correction_id == correction_id))
        row = found.mappings().one_or_none()
        if row is None:
            return None
        return Counted(correction_from(row, self.keyring), row["receivers"], row["acknowledged"])

    async def list_corrections(
        self, wanted: CorrectionFilter, *, page_size: int, page_token: str
    ) -> Page[DueCorrection]:
        """Give corrections, newest first, each with its due moment; their words stay sealed."""
        order = (correction.c.open_time.desc(), correction.c.correction_id.desc())
        query = (
            select(*_WITHOUT_WORDS, deadline.c.due.label("due"))
            .join(deadline, _DUE_ANSWER, isouter=True)
            .order_by(*order)
            .limit(page_size + 1)
        )
        for column, value in (
            (correction.c.claimant, wanted.claimant),
            (correction.c.provider, wanted.provider),
            (correction.c.state, wanted.state.value if wanted.state else ""),
        ):
            if value:
                query = query.where(column == value)
        if wanted.late:
            query = query.where(correction.c.late)
        if page_token:
            query = query.where(_older(page_token))
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(DueCorrection(bare_correction(row, SEALED), row["due"]) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        last = page[-1].correction
        return Page(page, encode_token(time=last.open_time.isoformat(), id=last.correction_id))

    async def list_recalls(
        self, *, agency: str, late: bool, acknowledged: bool, page_size: int, page_token: str
    ) -> Page[DueRecall]:
        """Give recalls, oldest first: those of one agency, or of all."""
        query = _recalls().order_by(recall.c.tell_time, recall.c.correction_id, recall.c.agency).limit(page_size + 1)
        if agency:
            query = query.where(recall.c.agency == agency)
        if late:
            query = query.where(recall.c.late)
        if not acknowledged:
            query = query.where(recall.c.acknowledge_time.is_(None))
        if page_token:
            query = query.where(_newer(page_token))
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(_due_recall(row) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        last = page[-1].recall
        token = encode_token(time=last.tell_time.isoformat(), id=last.correction_id, agency=last.agency)
        return Page(page, token)

    async def read_recall(self, correction_id: str, agency: str) -> DueRecall | None:
        """Read one."""
        asked = _recalls().where(recall.c.correction_id == correction_id, recall.c.agency == agency)
        async with self.reading() as connection:
            row = (await connection.execute(asked)).mappings().one_or_none()
        return None if row is None else _due_recall(row)

    async def disputes_since(self, moment: datetime | None) -> Sequence[Dispute]:
        """Give what changed since: (correction, resource, subject, field, whether in dispute); all open ones for None."""
        asked = select(
            correction.c.correction_id,
            correction.c.resource,
            correction.c.subject,
            correction.c.field,
            correction.c.state,
        )
        asked = asked.where(_OPEN if moment is None else correction.c.update_time >= moment)
        async with self.reading() as connection:
            found = (await connection.execute(asked)).all()
        return [Dispute(row[0], row[1], row[2], row[3], disputed=row[4] == "open") for row in found]

    async def dispute(self, correction_id: str) -> Dispute | None:
        """Give the same of one."""
        counted = await self.read_correction(correction_id)
        if counted is None:
            return None
        found = counted.correction
        return Dispute(correction_id, found.resource, found.subject, found.field_name, disputed=found.disputed)


def _recalls() -> Select[Any]:
    columns = (correction.c.resource, correction.c.field, deadline.c.due.label("due"))
    return (
        select(recall, *columns)
        .join(correction, correction.c.correction_id == recall.c.correction_id)
        .join(deadline, _DUE_ACKNOWLEDGE, isouter=True)
    )


def _due_recall(row: Mapping[Any, Any]) -> DueRecall:
    return DueRecall(recall_from(row), row["resource"], row["field"], row["due"])


def _older(token: str) -> ColumnElement[bool]:
    moment, id = moment_after(token)
    return or_(
        correction.c.open_time < moment,
        and_(correction.c.open_time == moment, correction.c.correction_id < id),
    )


def _newer(token: str) -> ColumnElement[bool]:
    moment, id = moment_after(token)
    agency = str(decode_token(token).get("agency", ""))
    return or_(
        recall.c.tell_time > moment,
        and_(
            recall.c.tell_time == moment,
            or_(recall.c.correction_id > id, and_(recall.c.correction_id == id, recall.c.agency > agency)),
        ),
    )


def correction_row(one: Correction, keyring: Keyring, now: datetime) -> dict[str, Any]:
    """Write a correction, its words sealed."""
    return {
        "correction_id": one.correction_id,
        "resource": one.resource,
        "field": one.field_name,
        "provider": one.provider,
        "region": one.region,
        "subject": one.subject,
        "claimant": one.claimant,
        "claim": keyring.seal(json.dumps(asdict(one.claim), ensure_ascii=False).encode(), _context(one.correction_id)),
        "state": one.state.value,
        "extended": one.extended,
        "late": one.late,
        "swept": one.swept,
        "rejection": one.rejection.value if one.rejection else "",
        "explanation": keyring.seal(one.explanation.encode(), _context(one.correction_id)),
        "open_time": one.open_time,
        "answer_time": one.answer_time,
        "close_time": one.close_time,
        "update_time": now,
    }


def correction_from(row: Mapping[Any, Any], keyring: Keyring) -> Correction:
    """Read a correction, its words opened."""
    context = _context(row["correction_id"])
    claim = json.loads(keyring.open_sealed(row["claim"], context))
    proofs = tuple(Proof(ProofKind(each["kind"]), each["reference"]) for each in claim.pop("proofs"))
    explanation = keyring.open_sealed(row["explanation"], context).decode()
    return replace(bare_correction(row, Claim(**claim, proofs=proofs)), explanation=explanation)


def bare_correction(row: Mapping[Any, Any], claim: Claim) -> Correction:
    """Read everything that is not sealed."""
    return Correction(
        correction_id=row["correction_id"],
        resource=row["resource"],
        field_name=row["field"],
        provider=row["provider"],
        region=row["region"],
        subject=row["subject"],
        claimant=row["claimant"],
        claim=claim,
        open_time=row["open_time"],
        state=CorrectionState(row["state"]),
        extended=row["extended"],
        late=row["late"],
        swept=row["swept"],
        answer_time=row["answer_time"],
        close_time=row["close_time"],
        rejection=RejectionGround(row["rejection"]) if row["rejection"] else None,
    )


def recall_row(one: Recall) -> dict[str, Any]:
    """Write a recall."""
    return {**asdict(one), "measure": one.measure.value if one.measure else ""}


def recall_from(row: Mapping[Any, Any]) -> Recall:
    """Read a recall."""
    return Recall(
        correction_id=row["correction_id"],
        agency=row["agency"],
        uses=row["uses"],
        last_use_time=row["last_use_time"],
        tell_time=row["tell_time"],
        acknowledge_time=row["acknowledge_time"],
        measure=RecallMeasure(row["measure"]) if row["measure"] else None,
        late=row["late"],
    )


def _context(correction_id: str) -> str:
    return f"exchange.correction:{correction_id}"
