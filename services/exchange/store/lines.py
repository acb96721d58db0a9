# SPDX-License-Identifier: Apache-2.0
"""Which process holds lines of which connectors: who dialed where, no question and no answer."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, String, Table, delete, or_, select

from services.exchange.store.tables import metadata
from services.kit.store import Store, Tx, UtcDateTime

connector_line = Table(
    "connector_line",
    metadata,
    Column("resource", String(64), primary_key=True),
    Column("provider", String(18), primary_key=True),
    Column("address", String(300), primary_key=True),
    Column("seen_time", UtcDateTime, nullable=False),
    Index("connector_line_by_address", "address"),
    Index("connector_line_by_time", "seen_time"),
)


class LineRows(Tx):
    """What a transaction writes of lines."""

    async def save_lines(
        self, address: str, lines: Collection[tuple[str, str]], *, now: datetime, before: datetime
    ) -> None:
        """Write all that a process holds, as (provider, resource); forget what nobody has seen since `before`."""
        lines_ = connector_line.c
        gone = or_(lines_.address == address, lines_.seen_time < before)
        await self.connection.execute(delete(connector_line).where(gone))
        if lines:
            rows = [
                {"resource": resource, "provider": provider, "address": address, "seen_time": now}
                for provider, resource in sorted(lines)
            ]
            await self.connection.execute(self.insert(connector_line), rows)


class LineReads(Store[Any]):
    """What is read of lines outside a transaction."""

    async def lines_of(self, provider: str, resource: str, *, since: datetime, limit: int) -> Sequence[str]:
        """Give the addresses of processes that held a line since a moment, newest first."""
        lines = connector_line.c
        query = (
            select(lines.address)
            .where(lines.resource == resource, lines.provider == provider, lines.seen_time >= since)
            .order_by(lines.seen_time.desc(), lines.address)
            .limit(limit)
        )
        async with self.reading() as connection:
            return (await connection.scalars(query)).all()
