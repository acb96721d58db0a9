# SPDX-License-Identifier: Apache-2.0
"""What agencies do with a task beside answering it: hold it without a stream, give it back, note, ask for corrections and for time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from services.gateway.domain.case import CaseState
from services.gateway.domain.dealings import ask_correction, ask_extension, decide_extension
from services.gateway.domain.definition import canonical_json
from services.gateway.domain.history import CorrectionItem, DealingEvent
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import LeaseLost, TaskNotOpen
from services.gateway.service.bell import tasks_key
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.inbox.ports import InboxStore, InboxTx, LogEntry, LogKind
from services.gateway.service.ports import Remembered, TaskRow, TaskState
from services.gateway.service.tasks import RIGHT, Decide, deal, must_hold, own
from services.kit.caller import current_caller
from services.kit.errors import RequestIdReused
from services.kit.ids import new_id
from services.kit.paging import Page, encode_token, moment_after
from services.kit.text import Text

PAGE_DEFAULT = 50
PAGE_MAX = 200


@dataclass(frozen=True, slots=True)
class Held:
    """A request of whoever holds a task."""

    request_id: str
    task_id: str
    lease_token: str


class DealingDesk:
    """Every method acts for the calling agency."""

    def __init__(self, engine: Engine, store: InboxStore, *, lease_seconds: float) -> None:
        """`store` is the engine's own, in the words of the inbox."""
        self._engine = engine
        self._store = store
        self._lease = timedelta(seconds=lease_seconds)

    async def waiting(self, *, page_size: int = 0, page_token: str = "") -> Page[TaskRow]:
        """Tasks that wait for the agency's system, oldest first, without inputs."""
        caller = current_caller()
        caller.must(RIGHT)
        size = min(page_size or PAGE_DEFAULT, PAGE_MAX)
        found = await self._store.waiting_tasks(
            caller.agency, size + 1, moment_after(page_token, time="created", key="task") if page_token else None
        )
        if len(found) <= size:
            return Page(tuple(found))
        last = found[size - 1]
        assert last.created is not None
        return Page(tuple(found[:size]), encode_token(created=last.created.isoformat(), task=last.task_id))

    async def lease(self, request_id: str, task_id: str) -> TaskRow:
        """Lease one task; the same request again gives the same lease. Raises LeaseLost, TaskNotOpen, TaskNotFound."""
        now = self._engine.clock()
        async with self._store.transaction() as tx:
            task = own(await tx.task(task_id, lock=True))
            if task.state not in {TaskState.OPEN, TaskState.LEASED}:
                raise TaskNotOpen("The task is answered, or its case no longer asks for it.")
            if task.state is TaskState.LEASED and task.lease_until is not None and task.lease_until > now:
                if await tx.holder_of(task_id) != request_id:
                    raise LeaseLost("Somebody else of the agency holds the task now.")
                return task
            await tx.lease_task(task_id, request_id, new_id(), now + self._lease)
            return own(await tx.task(task_id))

    async def release(self, command: Held) -> None:
        """Give a lease back. Raises LeaseLost, TaskNotOpen, TaskNotFound."""
        note = self._note(command, "release")
        async with self._store.transaction() as tx:
            if not await self._done(tx, command, note):
                task = own(await tx.task(command.task_id, lock=True))
                must_hold(task, command.lease_token)
                await tx.lease_task(task.task_id, "", "", None)
        self._engine.bell.ring(tasks_key(current_caller().agency))

    async def note(self, command: Held, words: str) -> None:
        """Write a note of progress beside a task. Raises LeaseLost, TaskNotOpen, TaskNotFound."""
        note = self._note(command, "note", words)
        async with self._store.transaction() as tx:
            if not await self._done(tx, command, note):
                task = own(await tx.task(command.task_id, lock=True))
                must_hold(task, command.lease_token)
                entry = LogEntry(self._engine.clock(), LogKind.NOTED, current_caller().label, words=words)
                await tx.log_task(task.task_id, entry)

    async def correct(self, command: Held, items: Sequence[CorrectionItem]) -> None:
        """Ask the applicant for corrections. Raises CorrectionRepeated, CorrectionInvalid, and as `note` does."""

        def decide(plan: Plan, state: CaseState, step_id: str) -> DealingEvent:
            by, now = current_caller().label, self._engine.clock()
            return ask_correction(plan, state.dealings, step_id, items, by, now=now)

        said = canonical_json([[item.name, item.words.zh, item.words.en] for item in items])
        await self._dealt(command, decide, "correct", said)

    async def extend(self, command: Held, working_days: int, reason: Text, officer: str) -> None:
        """Ask the agency's head for more time. Raises ExtensionRepeated, and as `note` does."""

        def decide(_: Plan, state: CaseState, step_id: str) -> DealingEvent:
            by, now = _officer(officer), self._engine.clock()
            return ask_extension(state.dealings, step_id, working_days, reason, by, now=now)

        await self._dealt(command, decide, "extend", str(working_days), reason.zh, reason.en, officer)

    async def decide_extension(self, request_id: str, task_id: str, officer: str, *, granted: bool) -> None:
        """Tell what the head decided; needs no lease. Raises ExtensionNotAsked, FourEyes, TaskNotOpen, TaskNotFound."""

        def decide(_: Plan, state: CaseState, step_id: str) -> DealingEvent:
            by, now = _officer(officer), self._engine.clock()
            return decide_extension(state.dealings, step_id, by, granted=granted, now=now)

        await self._dealt(Held(request_id, task_id, ""), decide, "decide", str(granted), officer)

    async def _dealt(self, command: Held, decide: Decide, *request: str) -> None:
        note = self._note(command, *request)

        async def work(turn: Turn) -> None:
            tx = cast(InboxTx, turn.tx)
            if await self._done(tx, command, note):
                return
            task = own(await tx.task(command.task_id))
            if command.lease_token:
                must_hold(task, command.lease_token)
            await deal(turn, task, decide)

        await self._engine.transact(work)

    def _note(self, command: Held, *request: str) -> Remembered:
        digest = self._store.digest(canonical_json([command.task_id, *request]))
        return Remembered(digest, command.task_id)

    async def _done(self, tx: InboxTx, command: Held, note: Remembered) -> bool:
        """Whether this request was done before. Raises RequestIdReused where it was another one."""
        first = await tx.remember(current_caller().label, command.request_id, note)
        if first is not None and first.fingerprint != note.fingerprint:
            raise RequestIdReused("The request id belongs to another request.")
        return first is not None


def _officer(account: str) -> str:
    return f"{current_caller().label}/{account}"
