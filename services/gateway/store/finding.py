# SPDX-License-Identifier: Apache-2.0
"""Cases found again: a department's by when its tasks came, all by submission; each page goes by an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select, true, tuple_

from services.gateway.service.inbox.finding import CaseFilter, FoundRow
from services.gateway.service.inbox.ports import Scope
from services.gateway.service.ports import TaskRow
from services.gateway.store.inbox import seen
from services.gateway.store.rows import case_row, task_row
from services.gateway.store.tables import cases, tasks
from services.kit.store import Store

_BESIDE = select(
    *(column for column in tasks.c if column.name != "agency"),
    (tasks.c.agency + "").label("agency"),  # As an expression it tempts no planner away from the index by case.
).subquery("beside")
"""The tasks of known cases."""


class FindingReads(Store[Any]):
    """What is read outside a transaction."""

    async def find_cases(
        self, scope: Scope | None, narrow: CaseFilter, limit: int, before: tuple[datetime, str] | None
    ) -> Sequence[FoundRow]:
        """Newest first."""
        asked = _asked(scope, narrow, before).where(_wanted(narrow)).limit(limit)
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        return [FoundRow(case_row(row), (row.at, row.key)) for row in rows]

    async def tasks_of_cases(self, scope: Scope | None, case_ids: Sequence[str], most: int) -> Sequence[TaskRow]:
        """Inputs stay sealed: a list shows nobody's data."""
        newest = _newest(_BESIDE.c.created, _BESIDE.c.task_id)
        place = func.row_number().over(partition_by=_BESIDE.c.case_id, order_by=newest).label("place")
        meant = select(_BESIDE, place).where(_BESIDE.c.case_id.in_(case_ids))
        if scope is not None:
            meant = meant.where(seen(scope, _BESIDE))
        last = meant.subquery()
        asked = select(last).where(last.c.place <= most).order_by(last.c.case_id, last.c.place)
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        return [task_row(self.keyring, row, opened=False) for row in rows]


def _asked(scope: Scope | None, narrow: CaseFilter, before: tuple[datetime, str] | None) -> Select[Any]:
    if narrow.receipt:
        return _by_receipt(scope, narrow, before)
    if scope is not None or narrow.agency:
        return _by_task(scope, narrow, before)
    return _by_submission(before)


def _by_receipt(scope: Scope | None, narrow: CaseFilter, before: tuple[datetime, str] | None) -> Select[Any]:
    """One at most."""
    meant = exists().where(_BESIDE.c.case_id == cases.c.case_id, _meant(_BESIDE, scope, narrow))
    asked = _by_submission(before)
    return asked.where(meant) if scope is not None or narrow.agency else asked


def _by_submission(before: tuple[datetime, str] | None) -> Select[Any]:
    asked = select(cases, cases.c.submitted.label("at"), cases.c.case_id.label("key"))
    if before is not None:
        asked = asked.where(tuple_(cases.c.submitted, cases.c.case_id) < tuple_(*before))
    return asked.order_by(*_newest(cases.c.submitted, cases.c.case_id))


def _by_task(scope: Scope | None, narrow: CaseFilter, before: tuple[datetime, str] | None) -> Select[Any]:
    """Each case once, where the last of its tasks that are meant stands."""
    asked = select(cases, tasks.c.created.label("at"), tasks.c.task_id.label("key"))
    asked = asked.join_from(tasks, cases, cases.c.case_id == tasks.c.case_id).where(_meant(tasks, scope, narrow))
    later = tuple_(_BESIDE.c.created, _BESIDE.c.task_id) > tuple_(tasks.c.created, tasks.c.task_id)
    asked = asked.where(~exists().where(_BESIDE.c.case_id == tasks.c.case_id, later, _meant(_BESIDE, scope, narrow)))
    if before is not None:
        asked = asked.where(tuple_(tasks.c.created, tasks.c.task_id) < tuple_(*before))
    return asked.order_by(*_newest(tasks.c.created, tasks.c.task_id))


def _meant(of: Any, scope: Scope | None, narrow: CaseFilter) -> ColumnElement[bool]:
    """Tasks that the caller may see, of a department and in the hands of a clerk where these are named."""
    meant: list[ColumnElement[bool]] = [seen(scope, of)] if scope is not None else []
    if narrow.agency and scope is None:
        meant.append(of.c.agency == narrow.agency)
    if narrow.assigned:
        meant.append(of.c.clerk == narrow.assigned)
    if narrow.since is not None:
        meant.append(of.c.created >= narrow.since)  # A task comes after the submission.
    return and_(true(), *meant)


def _wanted(narrow: CaseFilter) -> ColumnElement[bool]:
    wanted: list[ColumnElement[bool]] = [cases.c.submitted.is_not(None)]
    if narrow.receipt:
        wanted.append(cases.c.receipt == narrow.receipt)
    if narrow.matter:
        wanted.append(cases.c.matter == narrow.matter)
    if narrow.status is not None:
        wanted.append(cases.c.status == narrow.status.value)
    if narrow.since is not None:
        wanted.append(cases.c.submitted >= narrow.since)
    if narrow.before is not None:
        wanted.append(cases.c.submitted < narrow.before)
    return and_(*wanted)


def _newest(moment: ColumnElement[Any], key: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return moment.desc(), key.desc()
