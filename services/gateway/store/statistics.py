# SPDX-License-Identifier: Apache-2.0
"""Sums of what cases that have ended were like."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Index, String, Table, func, select

from services.gateway.domain.statistics import Figure
from services.gateway.store.tables import metadata
from services.kit.store import Store, Tx

statistic = Table(
    "statistic",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("matter", String(64), primary_key=True),
    Column("role", String(64), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Index("statistic_by_matter", "matter", "day"),
)


class StatisticRows(Tx):
    """What a transaction adds."""

    async def add_figures(self, figures: Mapping[Figure, int]) -> None:
        """Add to the sums, in the order given: whoever adds to the same ones waits, and nobody waits for each other."""
        statement = self.insert(statistic)
        statement = statement.on_conflict_do_update(
            index_elements=["day", "matter", "role", "name"],
            set_={"value": statistic.c.value + statement.excluded.value},
        )
        rows = [
            {"day": each.day, "matter": each.matter, "role": each.role, "name": each.name, "value": value}
            for each, value in figures.items()
        ]
        if rows:
            await self.connection.execute(statement, rows)


class StatisticReads(Store[Any]):
    """What is read of sums."""

    async def figures(self, first: str, last: str, matter: str) -> Sequence[tuple[str, str, str, int]]:
        """Matter, role, name and sum, from day to day; of one matter, or of all where it is empty."""
        added = func.sum(statistic.c.value)
        query = select(statistic.c.matter, statistic.c.role, statistic.c.name, added).where(
            statistic.c.day >= first, statistic.c.day <= last
        )
        if matter:
            query = query.where(statistic.c.matter == matter)
        query = query.group_by(statistic.c.matter, statistic.c.role, statistic.c.name)
        async with self.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [(row[0], row[1], row[2], int(row[3])) for row in rows]
