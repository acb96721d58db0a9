# SPDX-License-Identifier: Apache-2.0
"""Rows of clocks: for lists and figures, and to find what an older calendar has counted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Column, Index, Integer, String, Table, and_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.domain.effects import ClockRow
from services.gateway.store.tables import metadata
from services.kit.store import Tx, UtcDateTime

_OPEN = text("ended IS NULL")

clocks = Table(
    "clock",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("clock", String(80), primary_key=True),
    Column("step_id", String(64), nullable=False),
    Column("state", String(10), nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("promised", UtcDateTime),
    Column("due", UtcDateTime),
    Column("calendar", String(20), nullable=False),
    Column("calendar_version", Integer, nullable=False),
    Index("clock_by_calendar", "calendar", "calendar_version", sqlite_where=_OPEN, postgresql_where=_OPEN),
)
_CHANGING = ("step_id", "state", "started", "ended", "promised", "due", "calendar", "calendar_version")


class ClockRows(Tx):
    """What a transaction writes of clocks."""

    async def put_clocks(self, rows: Sequence[ClockRow]) -> None:
        """Write them as they stand."""
        statement = self.insert(clocks)
        anew = {name: statement.excluded[name] for name in _CHANGING}
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=["case_id", "clock"], set_=anew),
            [asdict(row) for row in rows],
        )


async def counted_before(connection: AsyncConnection, versions: Mapping[str, int], limit: int) -> Sequence[str]:
    """Cases with a clock that goes on and was counted by an older version of a calendar."""
    older = [and_(clocks.c.calendar == name, clocks.c.calendar_version < number) for name, number in versions.items()]
    asked = select(clocks.c.case_id).where(clocks.c.ended.is_(None), or_(*older)).distinct().limit(limit)
    return [str(row.case_id) for row in (await connection.execute(asked)).all()]
