# SPDX-License-Identifier: Apache-2.0
"""One transaction of the gateway: history, read model, tasks, timers and facts change together or not at all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.domain.bounds import Standing
from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.effects import Effects, NewTask, Timer, TimerKind
from services.gateway.domain.history import CaseOpened, Event
from services.gateway.domain.inbox import Place
from services.gateway.domain.plan import Plan
from services.gateway.service.ports import CaseFile, CaseMoved, Remembered, TaskRow, TaskState
from services.gateway.store import leases
from services.gateway.store.activations import ActivationRows
from services.gateway.store.clocks import ClockRows
from services.gateway.store.contacts import ContactRows
from services.gateway.store.files import Files
from services.gateway.store.inbox import InboxRows, dues
from services.gateway.store.materials import MaterialRows, material_content
from services.gateway.store.notices import NoticeRows
from services.gateway.store.rows import NEVER, case_columns, event_row, key_kept, seal, task_row
from services.gateway.store.snapshots import is_due, snapshot_row
from services.gateway.store.standing import standing_of
from services.gateway.store.statistics import StatisticRows
from services.gateway.store.tables import (
    cases,
    definitions,
    draft_counts,
    events,
    idempotency,
    serials,
    snapshots,
    tasks,
    timers,
)
from services.gateway.store.webhooks import WebhookRows
from services.kit.ids import derived_id
from services.kit.store import Store, Tx
from services.kit.telemetry import current_traceparent

_DONE_WITH = {"input": b"", "proposer": "", "proposal": None, "expert": ""}
"""Of a task that has ended: what was kept for it has served its purpose."""
_LIVE = (TaskState.OPEN.value, TaskState.LEASED.value)
# Built once: to build a statement costs as much as to run it.
ADD_EVENTS = events.insert()
MOVE_CASE = update(cases).where(cases.c.case_id == bindparam("of_case"))
CLEAR_TIMERS = delete(timers).where(timers.c.case_id == bindparam("of_case"), timers.c.step_id == bindparam("of_step"))
CLOSE_DRAFT = (
    update(draft_counts)
    .where(draft_counts.c.applicant_id == bindparam("of_applicant"))
    .values(drafts=draft_counts.c.drafts - 1)
)
FINISH_TASK = (
    update(tasks)
    .where(
        tasks.c.task_id == bindparam("of_task"), tasks.c.lease_token == bindparam("of_token"), tasks.c.state.in_(_LIVE)
    )
    .values(
        version=tasks.c.version + 1,
        **_DONE_WITH,
        **{name: bindparam(name) for name in ("state", "request_id", "answer_digest", "finished")},
    )
)
DRAFT = (
    select(cases.c.case_id)
    .where(
        cases.c.applicant_id == bindparam("of_applicant"),
        cases.c.matter == bindparam("of_matter"),
        cases.c.submitted.is_(None),
    )
    .order_by(cases.c.created.desc())
    .limit(1)
)
TASK = select(tasks).where(tasks.c.task_id == bindparam("of_task"))
TASK_LOCKED = TASK.with_for_update()


class SqlGatewayTx(
    ActivationRows, ClockRows, ContactRows, InboxRows, MaterialRows, NoticeRows, StatisticRows, WebhookRows, Tx
):
    """What a use case holds between begin and commit."""

    def __init__(self, store: Store[Any], connection: AsyncConnection) -> None:
        super().__init__(store, connection)
        self._wrote = False

    @property
    def _files(self) -> Files:
        return cast(Files, self.store.files)  # type: ignore[attr-defined] # SqlGatewayStore has them

    async def load(self, case_id: str) -> CaseFile | None:
        """The case, locked until the end: SQLite has one writer, PostgreSQL locks the row."""
        file = await self._files.read(self.connection, case_id, lock=True)
        if file is not None and not self._wrote:
            self._files.keep(file)  # Still what is committed.
        return file

    async def definition(self, digest: str) -> str:
        """The stored canonical definition."""
        asked = select(definitions.c.body).where(definitions.c.digest == digest)
        return str((await self.connection.execute(asked)).scalar_one())

    async def next_serial(self, day: str) -> int:
        """Count up; others who open a case on this day wait for our commit."""
        statement = (
            self.insert(serials)
            .values(day=day, last=1)
            .on_conflict_do_update(index_elements=["day"], set_={"last": serials.c.last + 1})
            .returning(serials.c.last)
        )
        return int((await self.connection.execute(statement)).scalar_one())

    async def open_case(self, case_id: str, plan: Plan, event: CaseOpened) -> int:
        """Row, first event, the definition where it was not used before, and the count, whose row is the lock."""
        await self.connection.execute(
            self.insert(definitions)
            .values(digest=plan.digest, code=plan.matter.code, body=plan.matter.canonical(), first_used=event.at)
            .on_conflict_do_nothing()
        )
        file = CaseFile(case_id, "", fold([event]))
        await self.connection.execute(
            cases.insert().values(
                case_id=case_id,
                receipt=event.receipt,
                matter=event.matter,
                applicant_id=event.applicant_id,
                created=event.at,
                **case_columns(file),
            )
        )
        await self._write(CaseFile(case_id, "", CaseState()), [event])
        counted = (
            self.insert(draft_counts)
            .values(applicant_id=event.applicant_id, drafts=1)
            .on_conflict_do_update(index_elements=["applicant_id"], set_={"drafts": draft_counts.c.drafts + 1})
            .returning(draft_counts.c.drafts)
        )
        return int((await self.connection.execute(counted)).scalar_one())

    async def draft_of(self, applicant_id: str, matter: str) -> str:
        """The latest draft; the applicant's count is the lock, and there is one from here on."""
        statement = self.insert(draft_counts).values(applicant_id=applicant_id, drafts=0)
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=["applicant_id"], set_={"drafts": draft_counts.c.drafts})
        )
        found = await self.connection.execute(DRAFT, {"of_applicant": applicant_id, "of_matter": matter})
        return str(found.scalar_one_or_none() or "")

    async def delete_draft(self, file: CaseFile) -> None:
        """Row, events, files and timer; a draft has no tasks and no notices."""
        for table in (events, snapshots, timers, material_content, cases):
            await self.connection.execute(delete(table).where(table.c.case_id == file.case_id))
        await self.connection.execute(CLOSE_DRAFT, {"of_applicant": file.state.applicant_id})

    async def append(self, before: CaseFile, after: CaseFile, events: Sequence[Event]) -> None:
        """The next events; (case, number) is unique, which is the lock that holds whatever else fails.

        The applicant's count of drafts is the lock of their submissions, too.
        """
        await self._write(before, events)
        await self.connection.execute(MOVE_CASE, {"of_case": before.case_id, **case_columns(after)})
        if is_due(before.state, after.state):
            await self._keep_snapshot(after)
        if before.state.submitted is None and after.state.submitted is not None:
            await self.connection.execute(CLOSE_DRAFT, {"of_applicant": after.state.applicant_id})

    async def _keep_snapshot(self, file: CaseFile) -> None:
        row = snapshot_row(self.store.keyring, file.case_id, file.state)
        statement = self.insert(snapshots).values(row)
        anew = {name: statement.excluded[name] for name in ("version", "shape", "body")}
        await self.connection.execute(statement.on_conflict_do_update(index_elements=["case_id"], set_=anew))

    async def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        """What the applicant has now."""
        return await standing_of(self.connection, applicant_id, matter, since)

    async def _write(self, before: CaseFile, new: Sequence[Event]) -> None:
        self._wrote = True
        start = before.state.version + 1
        rows = [event_row(self.store.keyring, before.case_id, start + at, event) for at, event in enumerate(new)]
        try:
            await self.connection.execute(ADD_EVENTS, rows)
        except IntegrityError as taken:
            raise CaseMoved from taken

    async def carry_out(self, effects: Effects, places: Sequence[Place]) -> None:
        """Close first, then open, then tell."""
        for case_id, step_id in effects.closed_tasks:
            await self._close_tasks(case_id, tasks.c.step_id == step_id)
        for case_id, step_id in effects.closed_timers:
            await self.connection.execute(CLEAR_TIMERS, {"of_case": case_id, "of_step": step_id})
        if effects.ended:
            await self._close_tasks(effects.ended)
            await self.connection.execute(delete(timers).where(timers.c.case_id == effects.ended))
        now = self.store.clock()
        if effects.tasks:
            limits = dues(effects)
            new = zip(effects.tasks, places, strict=True)
            rows = [self._task(one, place, now, limits.get(one.step_id, NEVER)) for one, place in new]
            await self.connection.execute(tasks.insert(), rows)
        for renewed in effects.renewed:
            await self._renew_task(renewed)
        if effects.timers:
            await self._put_timers(effects.timers)
        await self.add_notices(effects.notices, now)
        if effects.clocks:
            await self.put_clocks(effects.clocks)
            await self.date_tasks(effects.clocks)
        for fact in effects.facts:
            await self.record(fact)

    def _task(self, new: NewTask, place: Place, now: datetime, due: datetime) -> dict[str, Any]:
        task_id = derived_id("task", new.case_id, new.step_id, str(new.attempt))
        return {
            "task_id": task_id,
            "case_id": new.case_id,
            "step_id": new.step_id,
            "attempt": new.attempt,
            "agency": place.agency,
            "queue": place.queue,
            "region": place.region,
            "due": due,
            "operation": new.operation,
            "matter": new.matter,
            "title_zh": new.title.zh,
            "title_en": new.title.en,
            "state": TaskState.OPEN.value,
            "holder": "",
            "lease_token": "",
            "lease_until": None,
            "request_id": "",
            "answer_digest": "",
            "traceparent": current_traceparent(),
            "created": now,
            "input": seal(self.store.keyring, f"task:{task_id}", new.input),
        }

    async def _renew_task(self, new: NewTask) -> None:
        """What it needs has changed; it stays in the hands that it is in."""
        task_id = derived_id("task", new.case_id, new.step_id, str(new.attempt))
        sealed = seal(self.store.keyring, f"task:{task_id}", new.input)
        meant = update(tasks).where(tasks.c.task_id == task_id, tasks.c.state.in_(_LIVE))
        await self.connection.execute(meant.values(input=sealed, version=tasks.c.version + 1))

    async def _close_tasks(self, case_id: str, *more: ColumnElement[bool]) -> None:
        """Nobody is to act on these any more; what they held is let go."""
        closed = {**_DONE_WITH, "state": TaskState.CLOSED.value, "holder": "", "version": tasks.c.version + 1}
        meant = update(tasks).where(tasks.c.case_id == case_id, tasks.c.state.in_(_LIVE), *more)
        await self.connection.execute(meant.values(closed))

    async def put_timer(self, timer: Timer) -> None:
        """Set it, or set it anew."""
        await self._put_timers((timer,))

    async def _put_timers(self, new: Sequence[Timer]) -> None:
        statement = self.insert(timers)
        anew = {"attempt": statement.excluded.attempt, "due": statement.excluded.due}
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=["case_id", "step_id", "kind"], set_=anew),
            [
                {
                    "case_id": one.case_id,
                    "step_id": one.step_id,
                    "kind": one.kind.value,
                    "attempt": one.attempt,
                    "due": one.due,
                }
                for one in new
            ],
        )

    async def take_due_timer(self, now: datetime) -> Timer | None:
        """The one that is due longest. The case is locked first, as everywhere; cases in other hands wait."""
        asked = (
            select(timers)
            .join(cases, cases.c.case_id == timers.c.case_id)
            .where(timers.c.due <= now)
            .order_by(timers.c.due)
            .limit(1)
            .with_for_update(skip_locked=True, of=cases)
        )
        row = (await self.connection.execute(asked)).one_or_none()
        if row is None:
            return None
        taken = await self.connection.execute(
            delete(timers).where(
                timers.c.case_id == row.case_id,
                timers.c.step_id == row.step_id,
                timers.c.kind == row.kind,
                timers.c.due <= now,
            )
        )
        if not taken.rowcount:  # Fired by another process between our look and our lock.
            return await self.take_due_timer(now)
        return Timer(row.case_id, row.step_id, TimerKind(row.kind), row.attempt, row.due)

    async def remembered(self, caller: str, key: str) -> Remembered | None:
        """What was done under the key."""
        asked = select(idempotency).where(idempotency.c.caller == caller, idempotency.c.key == key_kept(key))
        row = (await self.connection.execute(asked)).one_or_none()
        return Remembered(row.fingerprint, row.case_id) if row else None

    async def remember(self, caller: str, key: str, what: Remembered) -> Remembered | None:
        """Keep it; a concurrent one under the same key waits for our commit and then sees it."""
        result = await self.connection.execute(
            self.insert(idempotency)
            .values(
                caller=caller,
                key=key_kept(key),
                fingerprint=what.fingerprint,
                case_id=what.case_id,
                created=self.store.clock(),
            )
            .on_conflict_do_nothing()
        )
        return None if result.rowcount == 1 else await self.remembered(caller, key)

    async def lease_tasks(
        self, agency: str, operations: Sequence[str], holder: str, *, now: datetime, until: datetime, most: int
    ) -> Sequence[TaskRow]:
        """Take what is there for the agency."""
        rows = await leases.take(self.connection, agency, operations, holder, now=now, until=until, most=most)
        return [task_row(self.store.keyring, row) for row in rows]

    async def task(self, task_id: str, *, lock: bool = False) -> TaskRow | None:
        """The task, if wanted locked until the end."""
        asked = TASK_LOCKED if lock else TASK
        row = (await self.connection.execute(asked, {"of_task": task_id})).one_or_none()
        return task_row(self.store.keyring, row) if row else None

    async def renew_lease(self, task_id: str, until: datetime) -> None:
        """A longer lease."""
        await self.connection.execute(update(tasks).where(tasks.c.task_id == task_id).values(lease_until=until))

    async def finish_task(self, task: TaskRow, state: TaskState, request_id: str, answer_digest: str) -> bool:
        """Answered: its input has served its purpose and goes. False where the lease went over meanwhile."""
        answer = {"request_id": request_id, "answer_digest": answer_digest}
        given = {**answer, "state": state.value, "finished": self.store.clock()}
        held = {"of_task": task.task_id, "of_token": task.lease_token}
        return (await self.connection.execute(FINISH_TASK, {**given, **held})).rowcount == 1
