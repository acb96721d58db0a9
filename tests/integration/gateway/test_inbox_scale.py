# SPDX-License-Identifier: Apache-2.0
"""A department with very many tasks: a page, the counts and the median go by an index."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.gateway.service.inbox.ports import Scope, TaskFilter, Whose
from services.gateway.service.ports import TaskState
from services.gateway.store.tables import tasks
from services.kit.ids import new_id
from tests.support.gateway_inbox import ALICE, Desk, desk
from tests.support.gateway_matters import NOW, POLICE
from tests.support.plans import plans

MANY = 20_000
SCOPE = Scope(POLICE, {"complaints": frozenset({"9901"})}, frozenset({ALICE}))


async def fill(office: Desk) -> None:
    """One that is open, and very many that are done."""
    await office.case()
    [open_one] = await office.tasks()
    async with office.store.transaction() as tx:
        row = (await tx.connection.execute(tasks.select().where(tasks.c.task_id == open_one["id"]))).one()._asdict()
        done = {**row, "state": TaskState.DONE.value, "clerk": "another", "input": b"", "since": NOW}
        for start in range(0, MANY, 5_000):
            many = [
                {
                    **done,
                    "task_id": new_id(),
                    "due": NOW + timedelta(seconds=start + at),
                    "finished": NOW + timedelta(seconds=start + at),
                }
                for at in range(5_000)
            ]
            await tx.connection.execute(tasks.insert(), many)
        if office.store.dialect == "postgresql":
            await tx.connection.exec_driver_sql("ANALYZE task")


async def test_lists_counts_and_medians_go_by_an_index(database: str, tmp_path: Path) -> None:
    async with desk(database, tmp_path) as office:
        await fill(office)
        store = office.store
        done = TaskFilter(states=frozenset({TaskState.DONE}))
        reads: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.tasks_in(SCOPE, TaskFilter(), 50, None),
            lambda: store.tasks_in(SCOPE, TaskFilter(whose=Whose.MINE), 50, None),
            lambda: store.tasks_in(SCOPE, done, 50, (NOW + timedelta(seconds=MANY // 2), "")),
            lambda: store.counts_in(SCOPE, NOW),
            lambda: store.handling_of(POLICE, "complaints", 200),
        ]
        for read in reads:
            plan = str(await plans(store, read))
            assert "task_" in plan, plan
            assert "SCAN task" not in plan.replace("SCAN task USING", ""), plan
            assert "Seq Scan on task" not in plan, plan
        assert len(await store.tasks_in(SCOPE, TaskFilter(), 50, None)) == 1
        assert len(await store.tasks_in(SCOPE, done, 50, None)) == 50
