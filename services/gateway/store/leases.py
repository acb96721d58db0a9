# SPDX-License-Identifier: Apache-2.0
"""Leases on tasks: taken oldest first, by one holder at a time, again once they have run out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.service.ports import TaskState
from services.gateway.store.tables import tasks
from services.kit.ids import new_id


def to_take(agency: str, operations: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """Tasks that nobody holds."""
    free = or_(
        tasks.c.state == TaskState.OPEN.value,
        and_(tasks.c.state == TaskState.LEASED.value, tasks.c.lease_until <= now),
    )
    wanted = and_(tasks.c.agency == agency, free)
    return and_(wanted, tasks.c.operation.in_(list(operations))) if operations else wanted


async def held(connection: AsyncConnection, holder: str, now: datetime) -> int:
    """How many a holder has in hand."""
    asked = select(func.count()).where(
        tasks.c.holder == holder, tasks.c.state == TaskState.LEASED.value, tasks.c.lease_until > now
    )
    return int((await connection.execute(asked)).scalar_one())


async def take(
    connection: AsyncConnection,
    agency: str,
    operations: Sequence[str],
    holder: str,
    *,
    now: datetime,
    until: datetime,
    limit: int,
) -> list[Row[Any]]:
    """Lease up to `limit`, each with a token of its own; rows that another transaction has in hand are passed over."""
    asked = select(tasks.c.task_id).where(to_take(agency, operations, now)).order_by(tasks.c.created).limit(limit)
    found = (await connection.execute(asked.with_for_update(skip_locked=True))).scalars().all()
    taken: list[Row[Any]] = []
    for task_id in found:
        leased = (
            update(tasks)
            .where(tasks.c.task_id == task_id)
            .values(state=TaskState.LEASED.value, holder=holder, lease_token=new_id(), lease_until=until)
            .returning(tasks)
        )
        taken.append((await connection.execute(leased)).one())
    return taken
