# SPDX-License-Identifier: Apache-2.0
"""Statements of the hot paths: written in Core, compiled once, sent with plain tuples.

SQLAlchemy builds, keys and binds a statement anew for every execution, 0.1 to 0.3 ms of Python each, and some 10 us for
each row of many. Where every answer waits for a statement (the ledger), that is skipped. Parameters go to the driver as
they are: integers, text and bytes; a moment as `Store.stored` gives it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler


class Prepared:
    """One statement. `names`: its parameters in the order in which callers give them."""

    def __init__(self, statement: Executable, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._compiled: dict[str, tuple[str, list[int] | None]] = {}

    async def one(self, connection: AsyncConnection, *parameters: Any) -> CursorResult[Any]:
        """Execute once."""
        sql, order = self._sql(connection)
        return await connection.exec_driver_sql(sql, parameters if order is None else _in(order, parameters))

    async def many(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute for each row."""
        if len(rows) == 1:
            await self.one(connection, *rows[0])
        elif rows:
            sql, order = self._sql(connection)
            await connection.exec_driver_sql(sql, list(rows) if order is None else [_in(order, row) for row in rows])

    def _sql(self, connection: AsyncConnection) -> tuple[str, list[int] | None]:
        dialect = connection.dialect
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled = self._statement.compile(dialect=dialect, column_keys=list(self._names))  # type: ignore[attr-defined]
            assert isinstance(compiled, SQLCompiler)
            places = [self._names.index(name) for name in compiled.positiontup or ()]
            known = str(compiled), None if places == list(range(len(self._names))) else places
            self._compiled[dialect.name] = known
        return known


def _in(order: Sequence[int], parameters: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(parameters[at] for at in order)
