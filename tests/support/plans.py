# SPDX-License-Identifier: Apache-2.0
"""How a database goes about the statements of a read."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event

from services.gateway.store import SqlGatewayStore


async def plans(store: SqlGatewayStore, read: Callable[[], Awaitable[Any]]) -> list[str]:
    """Every line of the plans."""
    said: list[tuple[str, Any]] = []
    async with store.reading() as connection:
        engine = connection.sync_connection.engine  # type: ignore[union-attr]

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        await read()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN " if store.dialect == "postgresql" else "EXPLAIN QUERY PLAN "
    lines: list[str] = []
    async with store.reading() as connection:
        for statement, parameters in said:
            lines += [str(row[-1]) for row in (await connection.exec_driver_sql(explain + statement, parameters)).all()]
    return lines
