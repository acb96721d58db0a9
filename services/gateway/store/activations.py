# SPDX-License-Identifier: Apache-2.0
"""Rows of versions that were proposed and confirmed, and the open cases of a matter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Row, String, Table, Text, and_, or_, select

from services.gateway.domain.activation import Activation
from services.gateway.domain.plan import Plan
from services.gateway.service.ports import CaseRow
from services.gateway.store.rows import case_row
from services.gateway.store.tables import cases, definitions, metadata
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Store, Tx, UtcDateTime

activations = Table(
    "activation",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("matter", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("proposed_by", String(100), nullable=False),
    Column("proposed", UtcDateTime, nullable=False),
    Column("confirmed_by", String(100), nullable=False),
    Column("confirmed", UtcDateTime, nullable=True),
    Index("activation_by_matter", "matter", "proposed", "digest"),
)
_COLUMNS = ("digest", "matter", "body", "why", "proposed_by", "proposed", "confirmed_by", "confirmed")


class ActivationRows(Tx):
    """What a transaction reads and writes of versions."""

    async def activation(self, digest: str) -> Activation | None:
        """One, locked until the end."""
        asked = select(activations).where(activations.c.digest == digest).with_for_update()
        row = (await self.connection.execute(asked)).one_or_none()
        return _activation(row) if row else None

    async def put_activation(self, activation: Activation) -> None:
        """As it is now."""
        values = {name: getattr(activation, name) for name in _COLUMNS}
        statement = self.insert(activations).values(**values)
        changed = {"confirmed_by": activation.confirmed_by, "confirmed": activation.confirmed}
        await self.connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=changed))

    async def keep_definition(self, plan: Plan, now: datetime) -> None:
        """So that cases can be pinned to it."""
        values = {"digest": plan.digest, "code": plan.matter.code, "body": plan.matter.canonical(), "first_used": now}
        await self.connection.execute(self.insert(definitions).values(**values).on_conflict_do_nothing())


class ActivationReads(Store[Any]):
    """What is read outside a transaction."""

    async def activated(self) -> Sequence[Activation]:
        """Every confirmed version, oldest first: of a matter's, the last one counts."""
        asked = select(activations).where(activations.c.confirmed.is_not(None)).order_by(activations.c.confirmed)
        async with self.reading() as connection:
            return [_activation(row) for row in (await connection.execute(asked)).all()]

    async def activations(self, matter: str, limit: int, token: str) -> Page[Activation]:
        """Versions, newest first. Raises PageTokenInvalid."""
        asked = select(activations).order_by(activations.c.proposed.desc(), activations.c.digest.desc())
        if matter:
            asked = asked.where(activations.c.matter == matter)
        if token:
            proposed, digest = moment_after(token)
            same = and_(activations.c.proposed == proposed, activations.c.digest < digest)
            asked = asked.where(or_(activations.c.proposed < proposed, same))
        async with self.reading() as connection:
            rows = [_activation(row) for row in (await connection.execute(asked.limit(limit + 1))).all()]
        if len(rows) <= limit:
            return Page(tuple(rows))
        last = rows[limit - 1]
        return Page(tuple(rows[:limit]), encode_token(time=last.proposed.isoformat(), id=last.digest))

    async def open_cases(self, matter: str, other_than: str, limit: int, token: str) -> Page[CaseRow]:
        """Drafts and cases under way that are not pinned to a version, oldest first. Raises PageTokenInvalid."""
        asked = select(cases).where(cases.c.matter == matter, cases.c.ended.is_(None), cases.c.definition != other_than)
        if token:
            created, case_id = moment_after(token)
            same = and_(cases.c.created == created, cases.c.case_id > case_id)
            asked = asked.where(or_(cases.c.created > created, same))
        asked = asked.order_by(cases.c.created, cases.c.case_id).limit(limit + 1)
        async with self.reading() as connection:
            rows = [case_row(row) for row in (await connection.execute(asked)).all()]
        if len(rows) <= limit:
            return Page(tuple(rows))
        last = rows[limit - 1]
        return Page(tuple(rows[:limit]), encode_token(time=last.created.isoformat(), id=last.case_id))


def _activation(row: Row[Any]) -> Activation:
    return Activation(**{name: getattr(row, name) for name in _COLUMNS})
