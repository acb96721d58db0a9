# SPDX-License-Identifier: Apache-2.0
"""What a clerk does with tasks. One of two who act at once wins; the other is told who was first, and since when."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from services.gateway.domain.advance import Answer, awaits
from services.gateway.domain.case import fold
from services.gateway.domain.definition import canonical_json
from services.gateway.domain.effects import effects_of
from services.gateway.domain.history import Outcome
from services.gateway.domain.inbox import (
    Custody,
    Hands,
    claim,
    hand_over,
    must_be_fresh,
    must_hold,
    must_take,
    release,
)
from services.gateway.domain.refusals import ClerkNotCompetent, ClerkUnknown, IdempotencyKeyReused, TaskNotOpen
from services.gateway.service.engine import Turn
from services.gateway.service.inbox.office import Office, clerk, custody_of, supervisor
from services.gateway.service.inbox.ports import InboxTx, LogEntry, LogKind
from services.gateway.service.inbox.views import BulkOutcome, PreviewOfAnswer, TaskSummary
from services.gateway.service.ports import CaseMoved, Remembered, TaskRow, TaskState
from services.gateway.service.present import timeline_entry
from services.gateway.service.tasks import answered, reactions
from services.kit.errors import Refusal, VersionConflict
from services.kit.ids import derived_id
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class Act:
    """What is done with a task. The same caller and key again have the same answer, and one effect."""

    task_id: str
    idempotency_key: str
    version: int | None = None
    """That was read; VERSION_CONFLICT where the task has changed since. None to skip the check."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a clerk answers a task: done with an output, or refused in words that the resident reads."""

    output: Mapping[str, Any] | None = field(default=None, repr=False)
    """None for a refusal."""
    reason: str = ""
    message: Text | None = None

    @property
    def how(self) -> TaskState:
        """How the task ends."""
        return TaskState.REFUSED if self.output is None else TaskState.DONE

    def answer_to(self, task: TaskRow) -> Answer:
        """The same as the case takes it."""
        if self.output is None:
            return Answer(task.step_id, task.attempt, Outcome.REFUSED, self.reason, message=self.message)
        return Answer(task.step_id, task.attempt, Outcome.DONE, output=dict(self.output))

    def canonical(self) -> str:
        """One text for one verdict."""
        words = {"zh": self.message.zh, "en": self.message.en} if self.message else {}
        output = None if self.output is None else dict(self.output)
        return canonical_json({"output": output, "reason": self.reason, "message": words})


Move = Callable[[TaskRow, Custody], tuple[Custody, LogEntry]]


class InboxActing:
    """Every method acts for the calling clerk, and answers the task as it is then."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def claim(self, act: Act) -> TaskSummary:
        """Takes a task. TASK_HELD says who was first; CLERK_NOT_COMPETENT, TASK_NOT_OPEN, TASK_NOT_FOUND."""
        hands = await self._office.hands()

        def move(task: TaskRow, custody: Custody) -> tuple[Custody, LogEntry]:
            queue = self._office.queue(task.queue)
            if queue is None or not hands.works_on(queue, task.region):
                raise ClerkNotCompetent("The task is outside your skills or jurisdiction.")
            now = self._office.engine.clock()
            return claim(custody, hands.clerk_id, now), LogEntry(now, LogKind.CLAIMED, hands.clerk_id)

        return await self._moved(act, hands, {"claim": act.task_id}, move)

    async def release(self, act: Act, words: str = "") -> TaskSummary:
        """Puts a task back. TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND."""
        hands = await self._office.hands()

        def move(_: TaskRow, custody: Custody) -> tuple[Custody, LogEntry]:
            entry = LogEntry(self._office.engine.clock(), LogKind.RELEASED, hands.clerk_id, words=words)
            return release(custody, hands), entry

        return await self._moved(act, hands, {"release": act.task_id, "words": words}, move)

    async def assign(self, act: Act, to: str, words: str = "") -> TaskSummary:
        """Gives a task to a clerk, whoever holds it; for supervisors.

        RIGHT_MISSING, CLERK_UNKNOWN, CLERK_NOT_COMPETENT, CLERK_ABSENT, TASK_NOT_OPEN, TASK_NOT_FOUND.
        """
        agency = supervisor().agency
        hands = await self._office.hands()
        absences, today = await self._office.absences(), self._office.today()
        found = await self._office.store.clerks_of(agency, [to])
        if not found:
            raise ClerkUnknown("The department's roster has no such clerk.")

        def move(task: TaskRow, custody: Custody) -> tuple[Custody, LogEntry]:
            queue = self._office.queue(task.queue)
            if queue is None:
                raise ClerkNotCompetent("The department has no such queue any more.")
            must_take(found[0], queue, task.region, absences, today)
            now = self._office.engine.clock()
            kind = LogKind.HANDED_OVER if custody.holder else LogKind.ASSIGNED
            return hand_over(custody, found[0], now), LogEntry(now, kind, hands.clerk_id, to, words)

        return await self._moved(act, hands, {"assign": act.task_id, "to": to, "words": words}, move)

    async def note(self, act: Act, words: str) -> TaskSummary:
        """Writes a note beside a task, for colleagues. TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND."""
        hands = await self._office.hands()

        def move(_: TaskRow, custody: Custody) -> tuple[Custody, LogEntry]:
            must_hold(custody, hands)
            return custody, LogEntry(self._office.engine.clock(), LogKind.NOTED, hands.clerk_id, words=words)

        return await self._moved(act, hands, {"note": act.task_id, "words": words}, move)

    async def answer(self, act: Act, verdict: Verdict) -> TaskSummary:
        """Takes what came of a task into its case.

        TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND, TASK_OUTPUT_INVALID.
        """
        hands = await self._office.hands()
        digest = self._office.store.digest(verdict.canonical())
        note = self._remembered(act, {"answer": act.task_id, "verdict": digest})

        async def work(turn: Turn) -> TaskSummary:
            tx = cast(InboxTx, turn.tx)
            task = self._office.seen(await tx.task(act.task_id), hands)
            if not await self._repeated(tx, act, note):
                custody = custody_of(task)
                must_be_fresh(custody, act.version)
                must_hold(custody, hands)
                task = await self._in_own_hands(tx, task, hands)
                proof = derived_id(clerk().label, act.idempotency_key), digest
                now = self._office.engine.clock()
                await answered(turn, task, verdict.answer_to(task), verdict.how, proof, now=now)
                kind = LogKind.DONE if verdict.how is TaskState.DONE else LogKind.REFUSED
                await tx.log_task(task.task_id, LogEntry(now, kind, hands.clerk_id))
            return await self._after(tx, turn, task.task_id)

        return await self._office.engine.transact(work)

    async def preview(self, task_id: str, verdict: Verdict) -> PreviewOfAnswer:
        """Tells what the resident would read if the task was answered so, now; nothing changes. Refuses as `answer` does."""
        task = self._office.seen(await self._office.store.task_of(task_id), await self._office.hands())
        file = await self._office.engine.store.case_file(task.case_id)
        assert file is not None, "a case with tasks is never deleted"
        if not awaits(file.state, task.step_id, task.attempt):
            raise TaskNotOpen("The case no longer asks for this task.")
        plan = await self._office.engine.plan_of(file.state.definition)
        done = verdict.how is TaskState.DONE
        events = reactions(plan, file, verdict.answer_to(task), self._office.engine.clock(), done=done)
        after = fold(events, file.state)
        effects = effects_of(plan, file.case_id, file.state, after, events, finished=task.step_id)
        first = file.state.version + 1
        return PreviewOfAnswer(
            status=after.status.value,
            timeline=tuple(
                timeline_entry(first + at, event, plan, self._office.engine.workflows)
                for at, event in enumerate(events)
            ),
            notices=tuple(notice.text for notice in effects.notices),
        )

    async def bulk(self, acts: Sequence[Act], do: Callable[[Act], Awaitable[TaskSummary]]) -> tuple[BulkOutcome, ...]:
        """Does the same with each of some tasks, one after the other, each in a transaction of its own."""
        return tuple([await _outcome(act, do) for act in acts])

    async def _moved(self, act: Act, hands: Hands, request: Mapping[str, str], move: Move) -> TaskSummary:
        """Change who holds a task, or what stands beside it."""
        note = self._remembered(act, request)
        receipt = await self._receipt(act.task_id)
        async with self._office.store.transaction() as tx:
            repeated = await self._repeated(tx, act, note)
            task = self._office.seen(await tx.task(act.task_id, lock=True), hands)
            if not repeated:
                before = custody_of(task)
                must_be_fresh(before, act.version)
                after, entry = move(task, before)
                if after != before and not await tx.pass_task(task, after.holder, after.since):
                    raise VersionConflict("The task has changed since it was read.", remedy="Read it again.")
                if after != before or entry.kind is LogKind.NOTED:
                    await tx.log_task(task.task_id, entry)
                task = await tx.task(act.task_id) or task
        return self._office.summary(task, receipt)

    async def _in_own_hands(self, tx: InboxTx, task: TaskRow, hands: Hands) -> TaskRow:
        """A substitute who acts takes the task over: whoever asks who did it is told the truth."""
        if task.clerk == hands.clerk_id:
            return task
        now = self._office.engine.clock()
        if not await tx.pass_task(task, hands.clerk_id, now):
            raise CaseMoved
        await tx.log_task(task.task_id, LogEntry(now, LogKind.HANDED_OVER, hands.clerk_id, hands.clerk_id))
        return await tx.task(task.task_id) or task

    async def _after(self, tx: InboxTx, turn: Turn, task_id: str) -> TaskSummary:
        task = await tx.task(task_id)
        assert task is not None
        file, _ = await turn.load(task.case_id)
        return self._office.summary(task, file.state.receipt)

    async def _receipt(self, task_id: str) -> str:
        task = await self._office.store.task_of(task_id)
        file = await self._office.engine.store.case_file(task.case_id) if task else None
        return file.state.receipt if file else ""

    def _remembered(self, act: Act, request: Mapping[str, str]) -> Remembered:
        return Remembered(self._office.store.digest(canonical_json(dict(request))), act.task_id)

    async def _repeated(self, tx: InboxTx, act: Act, note: Remembered) -> bool:
        first = await tx.remember(clerk().label, derived_id("task", act.idempotency_key), note)
        if first is not None and first.fingerprint != note.fingerprint:
            raise IdempotencyKeyReused("The idempotency key belongs to another request.", remedy="Use a new key.")
        return first is not None


async def _outcome(act: Act, do: Callable[[Act], Awaitable[TaskSummary]]) -> BulkOutcome:
    try:
        await do(act)
    except Refusal as refusal:
        return BulkOutcome(act.task_id, ok=False, reason=refusal.reason, detail=refusal.message)
    return BulkOutcome(act.task_id, ok=True)
