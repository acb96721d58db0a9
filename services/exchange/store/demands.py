# SPDX-License-Identifier: Apache-2.0
"""Rows of demands."""

from typing import Any, Final

from sqlalchemy import Column, Index, String, Table, and_, or_, select, update

from services.exchange.domain.demand import Demand, DemandState
from services.exchange.domain.refusals import DemandNotFound
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata
from services.kit.paging import Page, encode_token, moment_after
from services.kit.store import Json, Store, Tx, UtcDateTime

demand = Table(
    "demand",
    metadata,
    Column("demand_id", String(36), primary_key=True),
    Column("requester", String(18), nullable=False),
    Column("title", String(200), nullable=False),
    Column("needs", String(2000), nullable=False),
    Column("fields", Json, nullable=False),
    Column("scene", String(500), nullable=False),
    Column("basis", String(200), nullable=False),
    Column("file_time", UtcDateTime, nullable=False),
    Column("state", String(20), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("reason", String(500), nullable=False),
    Index("demand_by_time", "file_time", "demand_id"),
    Index("demand_by_requester", "requester", "file_time", "demand_id"),
    Index("demand_by_provider", "provider", "file_time", "demand_id"),
    Index("demand_by_state", "state", "file_time", "demand_id"),
)

_SAME: Final = tuple(column.name for column in demand.c if column.name not in {"fields", "state"})


class DemandRows(Tx):
    """What a transaction reads and writes of demands."""

    async def demand(self, demand_id: str) -> Demand:
        """Read and lock. Raises DemandNotFound."""
        query = select(demand).where(demand.c.demand_id == demand_id).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise DemandNotFound("There is no such demand.")
        return _demand_from(row)

    async def add_demand(self, filed: Demand) -> None:
        """Insert."""
        await self.connection.execute(self.insert(demand).values(_row(filed)))

    async def save_demand(self, changed: Demand) -> None:
        """Write where it is now."""
        row = _row(changed)
        await self.connection.execute(update(demand).where(demand.c.demand_id == changed.demand_id).values(row))


class DemandReads(Store[Any]):
    """What is read of demands outside a transaction."""

    async def read_demand(self, demand_id: str) -> Demand:
        """Read one. Raises DemandNotFound."""
        async with self.reading() as connection:
            found = await connection.execute(select(demand).where(demand.c.demand_id == demand_id))
        row = found.mappings().one_or_none()
        if row is None:
            raise DemandNotFound("There is no such demand.")
        return _demand_from(row)

    async def list_demands(
        self, *, requester: str, provider: str, state: DemandState | None, page_size: int, page_token: str
    ) -> Page[Demand]:
        """Give demands, newest first; empty does not narrow."""
        query = select(demand).order_by(demand.c.file_time.desc(), demand.c.demand_id.desc()).limit(page_size + 1)
        wanted = {"requester": requester, "provider": provider, "state": state.value if state else ""}
        query = query.where(*(demand.c[name] == value for name, value in wanted.items() if value))
        if page_token:
            moment, last = moment_after(page_token)
            same = and_(demand.c.file_time == moment, demand.c.demand_id < last)
            query = query.where(or_(demand.c.file_time < moment, same))
        async with self.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        page = tuple(_demand_from(row) for row in found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].file_time.isoformat(), id=page[-1].demand_id))


def _row(given: Demand) -> dict[str, Any]:
    said = {name: getattr(given, name) for name in _SAME}
    return {**said, "fields": list(given.fields), "state": given.state.value}


def _demand_from(row: Row) -> Demand:
    said = {name: row[name] for name in _SAME}
    return Demand(fields=tuple(row["fields"]), state=DemandState(row["state"]), **said)
