# SPDX-License-Identifier: Apache-2.0
"""Leases on tasks: taken oldest first, by one holder at a time, again once they have run out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.domain.inbox import TO_PROGRAM
from services.gateway.service.ports import TaskState
from services.gateway.store.tables import tasks
from services.kit.ids import new_id


def to_take(agency: str, operations: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """Tasks that nobody holds, of those that go to the agency's own system."""
    free = or_(
        tasks.c.state == TaskState.OPEN.value,
        and_(tasks.c.state == TaskState.LEASED.value, tasks.c.lease_until <= now),
    )
    wanted = and_(tasks.c.agency == agency, tasks.c.queue == TO_PROGRAM, free)
    return and_(wanted, tasks.c.operation.in_(list(operations))) if operations else wanted


async def take(
    connection: AsyncConnection,
    agency: str,
    operations: Sequence[str],
    holder: str,
    *,
    now: datetime,
    until: datetime,
    most: int,
) -> list[Row[Any]]:
    """Lease until the holder has `most`, each task with a token of its own; rows in other hands are passed over."""
    mine = tasks.alias("mine")
    held = (
        select(func.count())
        .where(mine.c.holder == holder, mine.c.state == TaskState.LEASED.value, mine.c.lease_until > now)
        .scalar_subquery()
    )
    asked = (
        select(tasks.c.task_id, held.label("held"))
        .where(to_take(agency, operations, now))
        .order_by(tasks.c.created)
        .limit(most)
        .with_for_update(skip_locked=True, of=tasks)
    )
    found = (await connection.execute(asked)).all()
    taken: list[Row[Any]] = []
    for row in found[: max(0, most - found[0].held)] if found else ():
        leased = (
            update(tasks)
            .where(tasks.c.task_id == row.task_id)
            .values(state=TaskState.LEASED.value, holder=holder, lease_token=new_id(), lease_until=until)
            .returning(tasks)
        )
        taken.append((await connection.execute(leased)).one())
    return taken
