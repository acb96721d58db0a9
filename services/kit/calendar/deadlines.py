# SPDX-License-Identifier: Apache-2.0
"""Durable deadlines of one service, in its own store.

Changes belong to the transaction of the use case; bells ring in transactions of their own, in any of the service's
processes, each bell once: its effect and the note that it was told are one commit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import RowMapping, and_, func, or_, select, update

from services.kit import logs
from services.kit.calendar.deadline import Deadline, State
from services.kit.calendar.published import Calendars
from services.kit.calendar.reckoning import Bell, Reckoning, reckon
from services.kit.calendar.rows import deadline_from, deadline_row, deadline_table
from services.kit.calendar.terms import Terms
from services.kit.errors import NotFound, Unavailable, VersionConflict
from services.kit.store import Store, Tx

POLL_SECONDS: Final = 1.0
POSTPONE: Final = timedelta(minutes=1)
RECOUNT_ROWS: Final = 200


class DeadlineNotFound(NotFound):
    """There is no such deadline."""


@dataclass(frozen=True)
class Rung:
    """A bell that rings now. `reckoned` is the count before it, with the due moment it is about."""

    kind: str
    owner: str
    bell: Bell
    number: int
    deadline: Deadline
    """After the bell: an expired one is overdue, or deemed done."""
    reckoned: Reckoning


Transaction = Any
"""The service's own `Tx`, which its use cases know by a protocol of theirs."""

Reaction = Callable[[Any, Rung], Awaitable[None]]
"""What a service does about a bell, in the transaction that notes it (the first argument: the service's own Tx)."""


class Deadlines:
    """Keeps, changes and rings. A kind (`correction.answer`) names what a deadline is for, the owner whose it is.

    A service opens one, says by `react` who hears each kind, adds `run` to its background work, `deadline_table` to its
    metadata and `schema.add_deadlines` to a migration.
    """

    def __init__(self, store: Store[Any], calendars: Calendars) -> None:
        self._store = store
        self._calendars = calendars
        self._table = deadline_table(store.metadata)
        self._reactions: dict[str, Reaction] = {}

    def react(self, kind: str, reaction: Reaction) -> None:
        """Say who hears the bells of a kind; each kind has one who does."""
        if kind in self._reactions:
            raise ValueError(f"Two react to {kind}.")
        self._reactions[kind] = reaction

    async def start(self, tx: Transaction, kind: str, owner: str, terms: Terms, at: datetime) -> Reckoning:
        """Start one; a second start of the same one counts anew, as if the first had not been."""
        deadline = Deadline.started(terms, at)
        row, reckoned = self._row(deadline)
        statement = tx.insert(self._table).values(kind=kind, owner=owner, **row)
        await tx.connection.execute(statement.on_conflict_do_update(index_elements=["kind", "owner"], set_=row))
        return reckoned

    async def change(self, tx: Transaction, kind: str, owner: str, change: Callable[[Deadline], Deadline]) -> Reckoning:
        """Change one: `change` is e.g. `lambda each: each.pause(now, why)`.

        Raises:
            DeadlineNotFound: it was never started.
            VersionConflict: its bell rings right now, or it has run out and that was not told yet: repeat.
            DeadlineNotRunning, DeadlineNotPaused, ExtensionNotAllowed: the deadline refuses.
        """
        before = await self._read(tx, kind, owner)
        after = change(before)
        ran_out = self._reckon(before).next
        if (
            ran_out is not None
            and ran_out.bell is Bell.EXPIRY
            and ran_out.at <= after.events[-1].at
            and (before.terms.deemed is not None or after.state is not State.MET)
        ):
            raise VersionConflict("The deadline has just run out; repeat when that is told.", retry_after_seconds=1.0)
        return await self._write(tx, kind, owner, after)

    async def meet(self, tx: Transaction, kind: str, owner: str, at: datetime) -> Reckoning:
        """What was awaited has happened."""
        return await self.change(tx, kind, owner, lambda each: each.meet(at))

    async def withdraw(self, tx: Transaction, kind: str, owner: str, at: datetime) -> Reckoning:
        """Nothing is awaited any more, whether it has run out or not."""
        before = await self._read(tx, kind, owner)
        return await self._write(tx, kind, owner, before.withdraw(at))

    async def read(self, kind: str, owner: str) -> tuple[Deadline, Reckoning]:
        """Give one as it stands, with its count. Raises DeadlineNotFound."""
        async with self._store.reading() as connection:
            row = (await connection.execute(select(self._table).where(*self._is(kind, owner)))).mappings().first()
        if row is None:
            raise DeadlineNotFound("There is no such deadline.")
        deadline = deadline_from(dict(row))
        return deadline, self._reckon(deadline)

    async def run(self) -> None:
        """Recount what an older calendar counted, then ring what is due and wait for what comes, as long as the process lives."""
        recounted = False
        while True:
            try:
                if not recounted:
                    await self.recount()
                    recounted = True
                while await self.ring():
                    pass
            except (Unavailable, VersionConflict) as away:
                logs.get_logger().info("deadlines_wait", reason=type(away).__name__)
            await asyncio.sleep(await self._seconds_to_next())

    async def ring(self) -> bool:
        """Ring one bell that is due; False where there is none.

        A reaction that breaks must not hold up the others: its bell is put off by a minute and logged.
        """
        found: list[tuple[str, str]] = []
        try:
            async with self._store.transaction() as tx:
                row = await self._take_due(tx)
                if row is None:
                    return False
                found.append((row["kind"], row["owner"]))
                await self._ring(tx, row)
        except (Unavailable, VersionConflict):
            raise
        except Exception as error:
            if not found:
                raise
            kind, owner = found[0]
            logs.get_logger().error(
                "deadline_broke", kind=kind, owner=owner, error=type(error).__name__, stack=logs.stack_of(error)
            )
            await self._postpone(kind, owner)
        return True

    async def recount(self) -> int:
        """Count anew what an older version of a calendar counted; again, nothing changes. Gives how many it was."""
        counted = 0
        while some := await self._recount_some():
            counted += some
        return counted

    async def _ring(self, tx: Tx, row: RowMapping) -> None:
        kind, owner = row["kind"], row["owner"]
        before = deadline_from(dict(row))
        reckoned = self._reckon(before)
        due, now = reckoned.next, self._store.clock()
        if due is None or due.at > now:  # it was put off, or a newer calendar has moved it
            await self._write(tx, kind, owner, before)
            return
        after = before.told(due.note(now))
        await self._write(tx, kind, owner, after)
        logs.get_logger().info("deadline_rang", kind=kind, owner=owner, bell=due.bell.value, number=due.number)
        await self._reactions[kind](tx, Rung(kind, owner, due.bell, due.number, after, reckoned))

    async def _take_due(self, tx: Tx) -> RowMapping | None:
        """Lock the bell that is due the longest; one that another process holds is that one's."""
        asked = (
            select(self._table)
            .where(self._table.c.next_time <= self._store.clock())
            .order_by(self._table.c.next_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        return (await tx.connection.execute(asked)).mappings().first()

    async def _read(self, tx: Tx, kind: str, owner: str) -> Deadline:
        """Lock it, without waiting: a bell that rings locks first the deadline and then its owner, a use case the other way round."""
        asked = select(self._table).where(*self._is(kind, owner))
        row = (await tx.connection.execute(asked.with_for_update(skip_locked=True))).mappings().first()
        if row is not None:
            return deadline_from(dict(row))
        if (await tx.connection.execute(asked)).first() is None:
            raise DeadlineNotFound("There is no such deadline.")
        raise VersionConflict("The deadline's bell is just ringing; repeat.", retry_after_seconds=1.0)

    async def _write(self, tx: Tx, kind: str, owner: str, deadline: Deadline) -> Reckoning:
        row, reckoned = self._row(deadline)
        await tx.connection.execute(update(self._table).where(*self._is(kind, owner)).values(**row))
        return reckoned

    async def _postpone(self, kind: str, owner: str) -> None:
        later = self._store.clock() + POSTPONE
        async with self._store.transaction() as tx:
            await tx.connection.execute(
                update(self._table)
                .where(*self._is(kind, owner), self._table.c.next_time.is_not(None))
                .values(next_time=later)
            )

    async def _recount_some(self) -> int:
        table = self._table
        older = [
            and_(table.c.calendar == name, table.c.calendar_version < version)
            for name, version in self._calendars.versions().items()
        ]
        asked = select(table).where(or_(*older), table.c.next_time.is_not(None)).limit(RECOUNT_ROWS)
        async with self._store.transaction() as tx:
            rows = (await tx.connection.execute(asked.with_for_update(skip_locked=True))).mappings().all()
            for row in rows:
                await self._recounted(tx, row)
        return len(rows)

    async def _recounted(self, tx: Tx, row: RowMapping) -> None:
        """One that can't be read keeps its time and is logged: it must not keep the service from starting."""
        kind, owner = row["kind"], row["owner"]
        try:
            before = deadline_from(dict(row))
        except ValueError as error:
            logs.get_logger().error("deadline_unreadable", kind=kind, owner=owner, error=type(error).__name__)
            version = self._calendars.versions()[row["calendar"]]
            await tx.connection.execute(
                update(self._table).where(*self._is(kind, owner)).values(calendar_version=version)
            )
        else:
            await self._write(tx, kind, owner, before)

    async def _seconds_to_next(self) -> float:
        try:
            async with self._store.reading() as connection:
                found: datetime | None = (
                    await connection.execute(select(func.min(self._table.c.next_time)))
                ).scalar_one_or_none()
        except Unavailable:
            return POLL_SECONDS
        if found is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.01, (found - self._store.clock()).total_seconds()))

    def _reckon(self, deadline: Deadline) -> Reckoning:
        return reckon(deadline, self._calendars.of(deadline.terms.jurisdiction))

    def _row(self, deadline: Deadline) -> tuple[dict[str, Any], Reckoning]:
        reckoned = self._reckon(deadline)
        return deadline_row(deadline, reckoned), reckoned

    def _is(self, kind: str, owner: str) -> tuple[Any, Any]:
        return self._table.c.kind == kind, self._table.c.owner == owner
