# SPDX-License-Identifier: Apache-2.0
"""Rows of the inbox: tasks in queues, what was said beside them, the roster and who is away."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, delete, false, func, or_, select, true, tuple_, update

from services.gateway.domain.effects import ClockRow, Effects, TimerKind
from services.gateway.domain.inbox import TO_PROGRAM, Absence, Clerk
from services.gateway.service.inbox.ports import ListedTask, LogEntry, LogKind, QueueCount, Scope, TaskFilter, Whose
from services.gateway.service.ports import TaskRow, TaskState
from services.gateway.store.rows import NEVER, seal, task_row, unseal
from services.gateway.store.tables import absences, cases, clerks, task_logs, tasks
from services.kit.ids import new_id
from services.kit.ledger.access import Access
from services.kit.store import Store, Tx
from services.kit.text import Text

LIVE = (TaskState.OPEN.value, TaskState.LEASED.value)


class InboxRows(Tx):
    """What a transaction changes."""

    async def pass_task(self, before: TaskRow, clerk_id: str, since: datetime | None) -> bool:
        """A new token with every change of hands: whoever held it before can't answer it any more."""
        return await self._change(
            before,
            clerk=clerk_id,
            since=since,
            state=(TaskState.LEASED if clerk_id else TaskState.OPEN).value,
            lease_token=new_id() if clerk_id else "",
            proposer="",
            proposal=None,
        )

    async def lease_task(self, task_id: str, holder: str, token: str, until: datetime | None) -> None:
        """Into the hands of a system, or with an empty token in nobody's."""
        state = TaskState.LEASED if token else TaskState.OPEN
        leased = {"holder": holder, "lease_token": token, "lease_until": until, "state": state.value}
        changed = update(tasks).where(tasks.c.task_id == task_id, tasks.c.state.in_(LIVE))
        await self.connection.execute(changed.values(**leased, version=tasks.c.version + 1))

    async def holder_of(self, task_id: str) -> str:
        """Whom a system's lease is for."""
        asked = select(tasks.c.holder).where(tasks.c.task_id == task_id)
        return str((await self.connection.execute(asked)).scalar_one())

    async def propose(self, before: TaskRow, clerk_id: str, proposal: Mapping[str, Any] | None) -> bool:
        """Keep an answer until a second clerk has seen it, or with None keep none; False where the task has changed."""
        sealed = None if proposal is None else seal(self.store.keyring, f"proposal:{before.task_id}", proposal)
        return await self._change(before, proposer=clerk_id, proposal=sealed)

    async def set_expert(self, before: TaskRow, clerk_id: str) -> bool:
        """Who is asked for an opinion, or with an empty name nobody any more; False where the task has changed."""
        return await self._change(before, expert=clerk_id)

    async def _change(self, before: TaskRow, **columns: Any) -> bool:
        changed = update(tasks).where(
            tasks.c.task_id == before.task_id, tasks.c.version == before.version, tasks.c.state.in_(LIVE)
        )
        done = await self.connection.execute(changed.values(version=before.version + 1, **columns))
        return done.rowcount == 1

    async def date_tasks(self, rows: Sequence[ClockRow]) -> None:
        """Tasks of steps whose clock has changed are due when it says."""
        for row in rows:
            if row.step_id and row.ended is None:
                meant = update(tasks).where(
                    tasks.c.case_id == row.case_id,
                    tasks.c.step_id == row.step_id,
                    tasks.c.queue != TO_PROGRAM,
                    tasks.c.state.in_(LIVE),
                )
                await self.connection.execute(meant.values(due=_first(row), version=tasks.c.version + 1))

    async def log_task(self, task_id: str, entry: LogEntry) -> None:
        """The next entry of the task."""
        last = select(func.coalesce(func.max(task_logs.c.seq), 0)).where(task_logs.c.task_id == task_id)
        seq = int((await self.connection.execute(last)).scalar_one()) + 1
        words = seal(self.store.keyring, f"task_log:{task_id}:{seq}", {"words": entry.words}) if entry.words else b""
        await self.connection.execute(
            task_logs.insert().values(
                task_id=task_id,
                seq=seq,
                kind=entry.kind.value,
                clerk_id=entry.clerk_id,
                other=entry.other,
                occur_time=entry.time,
                words=words,
            )
        )

    async def put_clerk(self, clerk: Clerk) -> None:
        """On the roster from now on as given."""
        row = _clerk_columns(clerk)
        changed = {name: value for name, value in row.items() if name not in {"agency", "clerk_id"}}
        await self.connection.execute(
            self.insert(clerks).values(**row).on_conflict_do_update(index_elements=["agency", "clerk_id"], set_=changed)
        )

    async def found_roster(self, first: Iterable[Clerk]) -> None:
        """Clerks that are not on the roster yet; those that are stay as somebody changed them."""
        if rows := [_clerk_columns(clerk) for clerk in first]:
            await self.connection.execute(self.insert(clerks).on_conflict_do_nothing(), rows)

    async def put_absence(self, agency: str, absence: Absence) -> None:
        """The clerk's absence from now on as given."""
        days = {
            "first_day": absence.first.isoformat(),
            "last_day": absence.last.isoformat(),
            "substitute": absence.substitute,
        }
        await self.connection.execute(
            self.insert(absences)
            .values(agency=agency, clerk_id=absence.clerk_id, **days)
            .on_conflict_do_update(index_elements=["agency", "clerk_id"], set_=days)
        )

    async def drop_absence(self, agency: str, clerk_id: str) -> bool:
        """No absence any more; False where there was none."""
        dropped = delete(absences).where(absences.c.agency == agency, absences.c.clerk_id == clerk_id)
        return (await self.connection.execute(dropped)).rowcount == 1


class InboxReads(Store[Any]):
    """What is read outside a transaction."""

    async def account(self, access: Access) -> None:
        """Write the leaf of a use of personal data into the gateway's own ledger."""
        await self.ledger.append(access)

    async def task_of(self, task_id: str) -> TaskRow | None:
        """The committed state of a task."""
        async with self.reading() as connection:
            row = (await connection.execute(select(tasks).where(tasks.c.task_id == task_id))).one_or_none()
        return task_row(self.keyring, row) if row else None

    async def tasks_in(
        self, scope: Scope, narrow: TaskFilter, limit: int, after: tuple[datetime, str] | None
    ) -> Sequence[ListedTask]:
        """By due date. Inputs stay sealed: a list shows nobody's data."""
        asked = select(tasks, cases.c.receipt).join(cases, cases.c.case_id == tasks.c.case_id)
        asked = asked.where(seen(scope), _wanted(scope, narrow))
        if after is not None:
            asked = asked.where(tuple_(tasks.c.due, tasks.c.task_id) > tuple_(*after))
        asked = asked.order_by(tasks.c.due, tasks.c.task_id).limit(limit)
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        return [
            ListedTask(task_row(self.keyring, row, opened=False), row.receipt, (row.due, row.task_id)) for row in rows
        ]

    async def waiting_tasks(self, agency: str, limit: int, after: tuple[datetime, str] | None) -> Sequence[TaskRow]:
        """Oldest first, those that somebody holds as well. Inputs stay sealed: whoever leases one reads it."""
        asked = select(tasks).where(tasks.c.agency == agency, tasks.c.queue == TO_PROGRAM, tasks.c.state.in_(LIVE))
        if after is not None:
            asked = asked.where(tuple_(tasks.c.created, tasks.c.task_id) > tuple_(*after))
        async with self.reading() as connection:
            rows = (await connection.execute(asked.order_by(tasks.c.created, tasks.c.task_id).limit(limit))).all()
        return [task_row(self.keyring, row, opened=False) for row in rows]

    async def counts_in(self, scope: Scope, now: datetime) -> Sequence[QueueCount]:
        """Live tasks by queue."""
        asked = (
            select(
                tasks.c.queue,
                func.count().label("open"),
                _how_many(tasks.c.clerk == "").label("unclaimed"),
                _how_many(tasks.c.clerk.in_(scope.own)).label("mine"),
                _how_many(tasks.c.due < now).label("overdue"),
            )
            .where(seen(scope), tasks.c.state.in_(LIVE))
            .group_by(tasks.c.queue)
            .order_by(tasks.c.queue)
        )
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        return [QueueCount(row.queue, row.open, row.unclaimed, row.mine, row.overdue) for row in rows]

    async def handling_of(self, agency: str, queue: str, most: int) -> Sequence[float]:
        """Seconds from claim to answer of the queue's last tasks."""
        asked = (
            select(tasks.c.since, tasks.c.finished)
            .where(tasks.c.agency == agency, tasks.c.queue == queue, tasks.c.queue != TO_PROGRAM)
            .where(tasks.c.finished.is_not(None), tasks.c.since.is_not(None))
            .order_by(tasks.c.finished.desc())
            .limit(most)
        )
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        return [(row.finished - row.since).total_seconds() for row in rows]

    async def task_log(self, task_id: str, limit: int) -> Sequence[LogEntry]:
        """What happened to a task: the last entries, the newest last."""
        asked = select(task_logs).where(task_logs.c.task_id == task_id).order_by(task_logs.c.seq.desc()).limit(limit)
        async with self.reading() as connection:
            rows = (await connection.execute(asked)).all()
        return [self._entry(row) for row in reversed(rows)]

    def _entry(self, row: Row[Any]) -> LogEntry:
        context = f"task_log:{row.task_id}:{row.seq}"
        words = str(unseal(self.keyring, context, row.words)["words"]) if row.words else ""
        return LogEntry(row.occur_time, LogKind(row.kind), row.clerk_id, row.other, words)

    async def clerks_of(self, agency: str, ids: Iterable[str]) -> Sequence[Clerk]:
        """These of the roster, by account."""
        asked = select(clerks).where(clerks.c.agency == agency, clerks.c.clerk_id.in_(sorted(ids)))
        async with self.reading() as connection:
            return [_clerk(row) for row in (await connection.execute(asked.order_by(clerks.c.clerk_id))).all()]

    async def roster(self, agency: str, limit: int, after: str) -> Sequence[Clerk]:
        """The roster by account, after one."""
        asked = select(clerks).where(clerks.c.agency == agency, clerks.c.clerk_id > after)
        async with self.reading() as connection:
            rows = (await connection.execute(asked.order_by(clerks.c.clerk_id).limit(limit))).all()
        return [_clerk(row) for row in rows]

    async def absences_of(self, agency: str, day: date, limit: int) -> Sequence[Absence]:
        """Who is away on a day or later."""
        asked = select(absences).where(absences.c.agency == agency, absences.c.last_day >= day.isoformat())
        async with self.reading() as connection:
            rows = (await connection.execute(asked.order_by(absences.c.clerk_id).limit(limit))).all()
        return [
            Absence(row.clerk_id, date.fromisoformat(row.first_day), date.fromisoformat(row.last_day), row.substitute)
            for row in rows
        ]


def dues(effects: Effects) -> dict[str, datetime]:
    """When new tasks are due, by step: what comes first of the clock and of the time that an attempt may take."""
    found = {one.step_id: one.due for one in effects.timers if one.kind is TimerKind.LIMIT}
    for row in effects.clocks:
        if row.step_id:
            found[row.step_id] = min(_first(row), found.get(row.step_id, NEVER))
    return found


def _first(row: ClockRow) -> datetime:
    return min((each for each in (row.promised, row.due) if each is not None), default=NEVER)


def seen(scope: Scope, of: Any = tasks) -> ColumnElement[bool]:
    """Tasks (or `of`, an alias of them) in queues of this department within somebody's competence, or in their hands."""
    competent = [
        and_(of.c.queue == queue, or_(*(_within(of, prefix) for prefix in sorted(prefixes))))
        for queue, prefixes in sorted(scope.queues.items())
    ]
    within = or_(*competent, of.c.clerk.in_(scope.own), of.c.expert.in_(scope.own))
    return and_(of.c.agency == scope.agency, of.c.queue != TO_PROGRAM, within)


def _within(of: Any, prefix: str) -> ColumnElement[bool]:
    """LIKE, whose share of the rows a planner can estimate."""
    return of.c.region.startswith(prefix, autoescape=True) if prefix else true()


def _wanted(scope: Scope, narrow: TaskFilter) -> ColumnElement[bool]:
    wanted: list[ColumnElement[bool]] = [tasks.c.state.in_(sorted(narrow.states))] if narrow.states else [false()]
    if narrow.queue:
        wanted.append(tasks.c.queue == narrow.queue)
    if narrow.matter:
        wanted.append(tasks.c.matter == narrow.matter)
    if narrow.due_before is not None:
        wanted.append(tasks.c.due < narrow.due_before)
    if narrow.proposed is not None:
        wanted.append(tasks.c.proposer != "" if narrow.proposed else tasks.c.proposer == "")
    if narrow.whose is Whose.MINE:
        wanted.append(tasks.c.clerk.in_(scope.own))
    elif narrow.whose is Whose.UNCLAIMED:
        wanted.append(tasks.c.clerk == "")
    return and_(*wanted)


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _clerk(row: Row[Any]) -> Clerk:
    skills = frozenset(row.skills)
    return Clerk(row.agency, row.clerk_id, Text(row.name_zh, row.name_en), row.region, skills, active=row.active)


def _clerk_columns(clerk: Clerk) -> dict[str, Any]:
    return {
        "agency": clerk.agency,
        "clerk_id": clerk.clerk_id,
        "name_zh": clerk.name.zh,
        "name_en": clerk.name.en,
        "region": clerk.region,
        "skills": sorted(clerk.skills),
        "active": clerk.active,
    }
