# SPDX-License-Identifier: Apache-2.0
"""For departments: their parts of cases, by lease."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from services.gateway.domain.advance import Answer, awaits, react_to_answer
from services.gateway.domain.case import CaseState
from services.gateway.domain.definition import TaskStep, canonical_json
from services.gateway.domain.form import check_output
from services.gateway.domain.history import DealingEvent, Event, Outcome
from services.gateway.domain.inbox import TO_PROGRAM
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import LeaseLost, TaskNotFound, TaskNotOpen
from services.gateway.service.bell import tasks_key
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.ports import CaseFile, CaseMoved, TaskRow, TaskState
from services.kit.caller import current_caller
from services.kit.errors import RequestIdReused
from services.kit.ids import new_id
from services.kit.text import Text

IN_FLIGHT_DEFAULT = 10
RIGHT = "gateway.tasks"


@dataclass(frozen=True, slots=True)
class CompleteTask:
    """What came of a task."""

    request_id: str
    task_id: str
    lease_token: str
    output: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefuseTask:
    """Why a task is not done."""

    request_id: str
    task_id: str
    lease_token: str
    reason: str
    message: Text


Decide = Callable[[Plan, CaseState, str], DealingEvent]
"""The event for a step; raises where a rule says no."""


class TaskDesk:
    """Departments come here; every method acts for the calling agency."""

    def __init__(self, engine: Engine, *, lease_seconds: float, poll_seconds: float) -> None:
        self._engine = engine
        self._lease = timedelta(seconds=lease_seconds)
        self._poll_seconds = poll_seconds

    async def take(self, operations: Sequence[str], in_flight_max: int) -> AsyncIterator[TaskRow]:
        """Give tasks as they come, no more at a time than the caller can hold; ends when the caller goes."""
        caller = current_caller()
        caller.must(RIGHT)
        holder = new_id()
        most = in_flight_max or IN_FLIGHT_DEFAULT
        with self._engine.bell.listening(tasks_key(caller.agency)) as ear:
            rung = False
            while True:
                # A look costs no lock; after a ring there is most likely something to take.
                if rung or await self._engine.store.has_tasks(caller.agency, operations, self._engine.clock()):
                    for task in await self._leased(caller.agency, operations, holder, most):
                        yield task
                rung = await ear.rung(self._poll_seconds)

    async def renew(self, task_id: str, lease_token: str) -> datetime:
        """Lengthen a lease. Raises LeaseLost, TaskNotOpen, TaskNotFound."""
        async with self._engine.store.transaction() as tx:
            task = own(await tx.task(task_id, lock=True))
            must_hold(task, lease_token)
            until = self._engine.clock() + self._lease
            await tx.renew_lease(task_id, until)
        return until

    async def complete(self, command: CompleteTask) -> None:
        """Take what came of a task into its case.

        Raises TaskOutputInvalid, LeaseLost, TaskNotOpen, TaskNotFound, RequestIdReused.
        """
        digest = self._engine.store.digest(canonical_json({"output": dict(command.output)}))

        async def work(turn: Turn) -> str:
            task = own(await turn.tx.task(command.task_id))
            if not _repeated(task, command.request_id, digest):
                must_hold(task, command.lease_token)
                answer = Answer(task.step_id, task.attempt, Outcome.DONE, output=dict(command.output))
                proof = command.request_id, digest
                await answered(turn, task, answer, TaskState.DONE, proof, now=self._engine.clock())
            return task.agency

        self._free(await self._engine.transact(work))

    async def refuse(self, command: RefuseTask) -> None:
        """Take a refusal into its case. Raises as `complete` does."""
        words = {"reason": command.reason, "zh": command.message.zh, "en": command.message.en}
        digest = self._engine.store.digest(canonical_json(words))

        async def work(turn: Turn) -> str:
            task = own(await turn.tx.task(command.task_id))
            if not _repeated(task, command.request_id, digest):
                must_hold(task, command.lease_token)
                answer = Answer(task.step_id, task.attempt, Outcome.REFUSED, command.reason, message=command.message)
                proof = command.request_id, digest
                await answered(turn, task, answer, TaskState.REFUSED, proof, now=self._engine.clock())
            return task.agency

        self._free(await self._engine.transact(work))

    async def _leased(self, agency: str, operations: Sequence[str], holder: str, most: int) -> Sequence[TaskRow]:
        now = self._engine.clock()
        async with self._engine.store.transaction() as tx:
            return await tx.lease_tasks(agency, operations, holder, now=now, until=now + self._lease, most=most)

    def _free(self, agency: str) -> None:
        """A holder has room again."""
        self._engine.bell.ring(tasks_key(agency))


async def answered(
    turn: Turn, task: TaskRow, answer: Answer, how: TaskState, proof: tuple[str, str], *, now: datetime
) -> None:
    """Close a task and take the answer into its case.

    Args:
        turn: the transaction.
        task: as it was read in it.
        answer: what came of it.
        how: how the task ends.
        proof: request id and digest of the answer.
        now: when it came.

    Raises:
        CaseMoved: the task went into other hands meanwhile; look at it again.
        TaskNotOpen: its case no longer asks for it.
        TaskOutputInvalid: the output is not what the step declares.
    """
    file, plan = await turn.load(task.case_id)
    if not awaits(file.state, task.step_id, task.attempt):
        if await turn.tx.task(task.task_id) != task:
            raise CaseMoved  # Perhaps by this very request: look at the task again.
        raise TaskNotOpen("The case no longer asks for this task.")
    events = reactions(plan, file, answer, now, done=how is TaskState.DONE)
    request_id, digest = proof
    if not await turn.tx.finish_task(task, how, request_id, digest):
        raise CaseMoved
    await turn.apply(file, plan, events, finished=task.step_id)


def reactions(plan: Plan, file: CaseFile, answer: Answer, now: datetime, *, done: bool) -> tuple[Event, ...]:
    """What follows from an answer to a task. Raises TaskOutputInvalid."""
    step = plan.step(answer.step_id)
    if done and isinstance(step, TaskStep):
        answer = replace(answer, output=check_output(step, answer.output))
    return react_to_answer(plan, file.case_id, file.state, answer, now)


async def deal(turn: Turn, task: TaskRow, decide: Decide) -> None:
    """Take an event into the case of a task that is still asked for.

    Raises:
        CaseMoved: the task went into other hands meanwhile; look at it again.
        TaskNotOpen: its case no longer asks for it.
    """
    file, plan = await turn.load(task.case_id)
    if await turn.tx.task(task.task_id, lock=True) != task:
        raise CaseMoved
    if not awaits(file.state, task.step_id, task.attempt):
        raise TaskNotOpen("The case no longer asks for this task.")
    await turn.apply(file, plan, [decide(plan, file.state, task.step_id)])


def own(task: TaskRow | None) -> TaskRow:
    """The task, where it waits for the calling agency's system. Raises TaskNotFound, RightMissing."""
    caller = current_caller()
    caller.must(RIGHT)
    if task is None or task.agency != caller.agency or task.queue != TO_PROGRAM:
        raise TaskNotFound("There is no such task.")
    return task


def _repeated(task: TaskRow, request_id: str, digest: str) -> bool:
    if task.request_id != request_id:
        return False
    if task.answer_digest != digest:
        raise RequestIdReused("The request id belongs to another answer to this task.")
    return True


def must_hold(task: TaskRow, lease_token: str) -> None:
    """A lease that ran out still counts as long as nobody else has taken the task."""
    if task.state not in {TaskState.OPEN, TaskState.LEASED}:
        raise TaskNotOpen("The task is answered, or its case no longer asks for it.")
    if task.lease_token != lease_token:
        raise LeaseLost("Somebody else of the agency holds the task now.")
