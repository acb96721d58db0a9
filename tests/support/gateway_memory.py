# SPDX-License-Identifier: Apache-2.0
"""The gateway's store in memory. Passes the same suite as the one over SQL (tests/contract/gateway)."""

import asyncio
import copy
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.gateway.domain.bounds import Standing
from services.gateway.domain.case import CaseState, CaseStatus, fold
from services.gateway.domain.effects import ClockRow, Effects, NewTask, Notice, Timer
from services.gateway.domain.history import CaseOpened, Event
from services.gateway.domain.inbox import TO_PROGRAM, Place
from services.gateway.domain.plan import Plan
from services.gateway.service.ports import CaseFile, CaseMoved, CaseRow, Remembered, TaskRow, TaskState
from services.kit.clock import Clock
from services.kit.ids import derived_id, new_id
from services.kit.telemetry import current_traceparent


@dataclass
class Kept:
    """Everything that is kept."""

    files: dict[str, CaseFile] = field(default_factory=dict)
    histories: dict[str, list[Event]] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    serials: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[str, str], Remembered] = field(default_factory=dict)
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    timers: dict[tuple[str, str, str], Timer] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    clocks: dict[tuple[str, str], ClockRow] = field(default_factory=dict)
    contents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    facts: list[object] = field(default_factory=list)

    def snapshot(self) -> "Kept":
        """A copy to fall back to; what is inside is frozen."""
        again = Kept(**{name: copy.copy(getattr(self, name)) for name in self.__dataclass_fields__})
        again.histories = {case_id: list(events) for case_id, events in self.histories.items()}
        return again

    def drafts_of(self, applicant_id: str) -> int:
        own = [file.state for file in self.files.values() if file.state.applicant_id == applicant_id]
        return sum(state.submitted is None for state in own)

    def draft_of(self, applicant_id: str, matter: str) -> str:
        own = [
            file.case_id
            for file in self.files.values()
            if (file.state.applicant_id, file.state.matter) == (applicant_id, matter) and file.state.submitted is None
        ]
        return own[-1] if own else ""

    def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        own = [file.state for file in self.files.values() if file.state.applicant_id == applicant_id]
        return Standing(
            open_cases=sum(state.running for state in own if state.matter == matter),
            submissions=sum(state.submitted >= since for state in own if state.submitted),
        )


class MemoryGatewayStore:
    """One transaction at a time."""

    def __init__(self, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self.kept = Kept()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryGatewayTx"]:
        async with self._lock:
            before = self.kept.snapshot()
            try:
                yield MemoryGatewayTx(self.kept, self.clock)
            except BaseException:
                self.kept = before
                raise

    def keep(self, file: CaseFile) -> None:
        assert self.kept.files[file.case_id].state.version >= file.state.version

    def forget(self, case_id: str) -> None:
        assert case_id not in self.kept.files

    def digest(self, text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    async def case_file(self, case_id: str) -> CaseFile | None:
        return self.kept.files.get(case_id)

    async def definition_of(self, digest: str) -> str:
        return self.kept.definitions[digest]

    async def events_after(self, case_id: str, seq: int) -> Sequence[tuple[int, Event]]:
        return list(enumerate(self.kept.histories.get(case_id, []), start=1))[seq:]

    async def find(self, receipt_or_case_id: str) -> CaseRow | None:
        for row in self._rows():
            if receipt_or_case_id in {row.case_id, row.receipt}:
                return row
        return None

    async def cases_of(self, applicant_id: str, limit: int, before: tuple[datetime, str] | None) -> Sequence[CaseRow]:
        rows = [row for row in self._rows() if row.applicant_id == applicant_id]
        rows.sort(key=lambda row: (row.created, row.case_id), reverse=True)
        return [row for row in rows if before is None or (row.created, row.case_id) < before][:limit]

    async def parked_cases(self, limit: int, after: tuple[datetime, str] | None) -> Sequence[CaseRow]:
        rows = sorted(
            (row for row in self._rows() if row.status is CaseStatus.PARKED),
            key=lambda row: (row.created, row.case_id),
        )
        return [row for row in rows if after is None or (row.created, row.case_id) > after][:limit]

    async def draft_of(self, applicant_id: str, matter: str) -> str:
        return self.kept.draft_of(applicant_id, matter)

    async def drafts_of(self, applicant_id: str) -> int:
        return self.kept.drafts_of(applicant_id)

    async def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        return self.kept.standing(applicant_id, matter, since)

    async def remembered(self, caller: str, key: str) -> Remembered | None:
        return self.kept.keys.get((caller, key))

    async def content_of(self, material_id: str) -> bytes | None:
        return self.kept.contents.get(material_id, ("", None))[1]

    async def has_tasks(self, agency: str, operations: Sequence[str], now: datetime) -> bool:
        return bool(_to_take(self.kept, agency, operations, now))

    async def next_due(self) -> datetime | None:
        return min((timer.due for timer in self.kept.timers.values()), default=None)

    async def cases_counted_before(self, versions: Mapping[str, int], limit: int) -> Sequence[str]:
        older = {
            row.case_id
            for row in self.kept.clocks.values()
            if row.ended is None and row.calendar_version < versions.get(row.calendar, 0)
        }
        return sorted(older)[:limit]

    def _rows(self) -> list[CaseRow]:
        return [_row(file) for file in self.kept.files.values()]


class MemoryGatewayTx:
    """What a use case holds."""

    def __init__(self, kept: Kept, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock

    async def first_sight(self, id: str) -> bool:
        new = id not in self._kept.seen
        self._kept.seen.add(id)
        return new

    async def load(self, case_id: str) -> CaseFile | None:
        return self._kept.files.get(case_id)

    async def definition(self, digest: str) -> str:
        return self._kept.definitions[digest]

    async def next_serial(self, day: str) -> int:
        self._kept.serials[day] = self._kept.serials.get(day, 0) + 1
        return self._kept.serials[day]

    async def open_case(self, case_id: str, plan: Plan, event: CaseOpened) -> int:
        self._kept.definitions.setdefault(plan.digest, plan.matter.canonical())
        self._kept.files[case_id] = CaseFile(case_id, "", fold([event]))
        self._kept.histories[case_id] = [event]
        return self._kept.drafts_of(event.applicant_id)

    async def draft_of(self, applicant_id: str, matter: str) -> str:
        return self._kept.draft_of(applicant_id, matter)

    async def delete_draft(self, file: CaseFile) -> None:
        del self._kept.files[file.case_id], self._kept.histories[file.case_id]
        self._clear_timers(file.case_id, "")
        self._kept.contents = {key: one for key, one in self._kept.contents.items() if one[0] != file.case_id}

    async def append(self, before: CaseFile, after: CaseFile, events: Sequence[Event]) -> None:
        history = self._kept.histories[before.case_id]
        if len(history) != before.state.version:
            raise CaseMoved
        history.extend(events)
        self._kept.files[before.case_id] = after

    async def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        return self._kept.standing(applicant_id, matter, since)

    async def carry_out(self, effects: Effects, places: Sequence[Place]) -> None:
        for case_id, step_id in effects.closed_tasks:
            self._close_tasks(case_id, step_id)
        for case_id, step_id in effects.closed_timers:
            self._clear_timers(case_id, step_id)
        if effects.ended:
            self._close_tasks(effects.ended, "")
            self._clear_timers(effects.ended, "")
        for new, place in zip(effects.tasks, places, strict=True):
            task = _task(new, place)
            self._kept.tasks[task.task_id] = task
        for new in effects.renewed:
            task_id = derived_id("task", new.case_id, new.step_id, str(new.attempt))
            self._kept.tasks[task_id] = replace(self._kept.tasks[task_id], input=dict(new.input))
        for timer in effects.timers:
            await self.put_timer(timer)
        self._kept.notices.extend(effects.notices)
        self._kept.facts.extend(effects.facts)
        await self.put_clocks(effects.clocks)

    def _close_tasks(self, case_id: str, step_id: str) -> None:
        for task in list(self._kept.tasks.values()):
            if _meant(task, case_id, step_id) and task.state in {TaskState.OPEN, TaskState.LEASED}:
                self._kept.tasks[task.task_id] = replace(task, state=TaskState.CLOSED, input={})

    def _clear_timers(self, case_id: str, step_id: str) -> None:
        timers = self._kept.timers.items()
        self._kept.timers = {key: timer for key, timer in timers if not _meant(timer, case_id, step_id)}

    async def put_timer(self, timer: Timer) -> None:
        self._kept.timers[timer.case_id, timer.step_id, timer.kind.value] = timer

    async def keep_content(self, material_id: str, case_id: str, applicant_id: str, content: bytes) -> int:
        self._kept.contents[material_id] = (case_id, content)
        files = self._kept.files
        drafts = [one for one in files.values() if one.state.applicant_id == applicant_id and not one.state.submitted]
        own = {one.case_id for one in drafts}
        return sum(len(kept) for case, kept in self._kept.contents.values() if case in own)

    async def drop_contents(self, material_ids: Sequence[str]) -> None:
        for material_id in material_ids:
            self._kept.contents.pop(material_id, None)

    async def put_clocks(self, rows: Sequence[ClockRow]) -> None:
        self._kept.clocks |= {(row.case_id, row.clock): row for row in rows}

    async def take_due_timer(self, now: datetime) -> Timer | None:
        due = sorted((timer for timer in self._kept.timers.values() if timer.due <= now), key=lambda one: one.due)
        if not due:
            return None
        del self._kept.timers[due[0].case_id, due[0].step_id, due[0].kind.value]
        return due[0]

    async def remembered(self, caller: str, key: str) -> Remembered | None:
        return self._kept.keys.get((caller, key))

    async def remember(self, caller: str, key: str, what: Remembered) -> Remembered | None:
        first = self._kept.keys.setdefault((caller, key), what)
        return None if first is what else first

    def _held(self, holder: str, now: datetime) -> int:
        return sum(
            1
            for task in self._kept.tasks.values()
            if self._kept.holders.get(task.task_id) == holder
            and task.state is TaskState.LEASED
            and task.lease_until is not None
            and task.lease_until > now
        )

    async def lease_tasks(
        self, agency: str, operations: Sequence[str], holder: str, *, now: datetime, until: datetime, most: int
    ) -> Sequence[TaskRow]:
        taken = []
        for task in _to_take(self._kept, agency, operations, now)[: max(0, most - self._held(holder, now))]:
            leased = replace(task, state=TaskState.LEASED, lease_token=new_id(), lease_until=until)
            self._kept.tasks[task.task_id] = leased
            self._kept.holders[task.task_id] = holder
            taken.append(leased)
        return taken

    async def task(self, task_id: str, *, lock: bool = False) -> TaskRow | None:  # noqa: ARG002 - all is locked
        return self._kept.tasks.get(task_id)

    async def renew_lease(self, task_id: str, until: datetime) -> None:
        self._kept.tasks[task_id] = replace(self._kept.tasks[task_id], lease_until=until)

    async def finish_task(self, task: TaskRow, state: TaskState, request_id: str, answer_digest: str) -> bool:
        now = self._kept.tasks[task.task_id]
        if now.lease_token != task.lease_token or now.state not in {TaskState.OPEN, TaskState.LEASED}:
            return False
        done = replace(now, state=state, request_id=request_id, answer_digest=answer_digest, input={})
        self._kept.tasks[task.task_id] = done
        return True


def _meant(one: TaskRow | Timer, case_id: str, step_id: str) -> bool:
    return one.case_id == case_id and step_id in {"", one.step_id}


def _to_take(kept: Kept, agency: str, operations: Sequence[str], now: datetime) -> list[TaskRow]:
    return [
        task
        for task in kept.tasks.values()
        if task.agency == agency
        and task.queue == TO_PROGRAM
        and (not operations or task.operation in operations)
        and (
            task.state is TaskState.OPEN
            or (task.state is TaskState.LEASED and task.lease_until is not None and task.lease_until <= now)
        )
    ]


def _task(new: NewTask, place: Place) -> TaskRow:
    return TaskRow(
        task_id=derived_id("task", new.case_id, new.step_id, str(new.attempt)),
        case_id=new.case_id,
        step_id=new.step_id,
        attempt=new.attempt,
        agency=place.agency,
        queue=place.queue,
        region=place.region,
        operation=new.operation,
        matter=new.matter,
        title=new.title,
        state=TaskState.OPEN,
        lease_token="",
        lease_until=None,
        request_id="",
        answer_digest="",
        traceparent=current_traceparent(),
        input=dict(new.input),
    )


def _row(file: CaseFile) -> CaseRow:
    state: CaseState = file.state
    assert state.created is not None
    return CaseRow(
        case_id=file.case_id,
        receipt=state.receipt,
        matter=state.matter,
        definition=state.definition,
        applicant_id=state.applicant_id,
        status=state.status,
        version=state.version,
        traceparent=file.traceparent,
        created=state.created,
        submitted=state.submitted,
        ended=state.ended,
    )
