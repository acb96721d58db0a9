# SPDX-License-Identifier: Apache-2.0
"""What a clerk does with tasks. One of two who act at once wins; the other is told who was first, and since when."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from services.gateway.domain.advance import awaits
from services.gateway.domain.case import fold
from services.gateway.domain.definition import TaskStep, canonical_json
from services.gateway.domain.desk import Desk
from services.gateway.domain.effects import effects_of
from services.gateway.domain.history import Event
from services.gateway.domain.inbox import (
    Custody,
    Hands,
    claim,
    hand_over,
    must_be_fresh,
    must_hold,
    must_judge,
    must_take,
    release,
)
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import ClerkNotCompetent, ClerkUnknown, IdempotencyKeyReused, TaskNotOpen
from services.gateway.service.engine import Turn
from services.gateway.service.inbox.office import Office, clerk, custody_of, supervisor
from services.gateway.service.inbox.ports import InboxTx, LogEntry, LogKind
from services.gateway.service.inbox.verdict import Verdict
from services.gateway.service.inbox.views import BulkOutcome, PreviewOfAnswer, TaskSummary
from services.gateway.service.ports import CaseFile, CaseMoved, Remembered, TaskRow, TaskState
from services.gateway.service.present import timeline_entry
from services.gateway.service.tasks import answered, reactions
from services.kit.errors import Refusal, VersionConflict
from services.kit.ids import derived_id


@dataclass(frozen=True, slots=True)
class Act:
    """What is done with a task. The same caller and key again have the same answer, and one effect."""

    task_id: str
    idempotency_key: str
    version: int | None = None
    """That was read; VERSION_CONFLICT where the task has changed since. None to skip the check."""


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
            now = self._now()
            return claim(custody, hands.clerk_id, now), LogEntry(now, LogKind.CLAIMED, hands.clerk_id)

        return await self._moved(act, hands, {"claim": act.task_id}, move)

    async def release(self, act: Act, words: str = "") -> TaskSummary:
        """Puts a task back. TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND."""
        hands = await self._office.hands()

        def move(_: TaskRow, custody: Custody) -> tuple[Custody, LogEntry]:
            entry = LogEntry(self._now(), LogKind.RELEASED, hands.clerk_id, words=words)
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
            now = self._now()
            kind = LogKind.HANDED_OVER if custody.holder else LogKind.ASSIGNED
            return hand_over(custody, found[0], now), LogEntry(now, kind, hands.clerk_id, to, words)

        return await self._moved(act, hands, {"assign": act.task_id, "to": to, "words": words}, move)

    async def note(self, act: Act, words: str) -> TaskSummary:
        """Writes a note beside a task, for colleagues. TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND."""
        hands = await self._office.hands()

        def move(_: TaskRow, custody: Custody) -> tuple[Custody, LogEntry]:
            must_hold(custody, hands)
            return custody, LogEntry(self._now(), LogKind.NOTED, hands.clerk_id, words=words)

        return await self._moved(act, hands, {"note": act.task_id, "words": words}, move)

    async def answer(self, act: Act, verdict: Verdict) -> TaskSummary:
        """Takes what came of a task into its case; where it needs four eyes, keeps it for a second clerk instead.

        TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND, TASK_OUTPUT_INVALID, REASON_UNKNOWN.
        """
        hands = await self._office.hands()
        digest = self._office.store.digest(canonical_json(verdict.body()))
        note = self._remembered(act, {"answer": act.task_id, "verdict": digest})

        async def work(turn: Turn) -> TaskSummary:
            tx = cast(InboxTx, turn.tx)
            task = self._office.seen(await tx.task(act.task_id), hands)
            if not await self._repeated(tx, act, note):
                custody = custody_of(task)
                must_be_fresh(custody, act.version)
                must_hold(custody, hands)
                task = await self._in_own_hands(tx, task, hands)
                file, plan = await turn.load(task.case_id)
                desk = desk_of(plan, task.step_id)
                told = verdict.worded(desk)
                if desk is not None and desk.four_eyes:
                    await self._propose(tx, task, hands, told, reactions_to(plan, file, task, told, self._now()))
                else:
                    await self._finish(turn, task, told, (derived_id(clerk().label, act.idempotency_key), digest))
            return await self._after(tx, turn, task.task_id)

        return await self._office.engine.transact(work)

    async def approve(self, act: Act) -> TaskSummary:
        """Lets the answer of another clerk count, as it was when `act.version` was read.

        FOUR_EYES for who proposed it; APPROVAL_NOT_ASKED, VERSION_CONFLICT, TASK_NOT_OPEN, TASK_NOT_FOUND.
        """
        hands = await self._office.hands()
        note = self._remembered(act, {"approve": act.task_id})

        async def work(turn: Turn) -> TaskSummary:
            tx = cast(InboxTx, turn.tx)
            task = self._office.seen(await tx.task(act.task_id), hands)
            if not await self._repeated(tx, act, note):
                must_judge(custody_of(task), task.proposer, hands, act.version)
                proof = derived_id(clerk().label, act.idempotency_key), note.fingerprint
                await self._finish(turn, task, Verdict.of(task.proposal), proof)
            return await self._after(tx, turn, task.task_id)

        return await self._office.engine.transact(work)

    async def send_back(self, act: Act, words: str) -> TaskSummary:
        """Does not let the answer of another clerk count, and says why. Refuses as `approve` does."""
        hands = await self._office.hands()
        note = self._remembered(act, {"send_back": act.task_id, "words": words})
        receipt = await self._receipt(act.task_id)
        async with self._office.store.transaction() as tx:
            repeated = await self._repeated(tx, act, note)
            task = self._office.seen(await tx.task(act.task_id, lock=True), hands)
            if not repeated:
                must_judge(custody_of(task), task.proposer, hands, act.version)
                if not await tx.propose(task, "", None):
                    raise VersionConflict("The task has changed since it was read.", remedy="Read it again.")
                entry = LogEntry(self._now(), LogKind.SENT_BACK, hands.clerk_id, task.proposer, words)
                await tx.log_task(task.task_id, entry)
                task = await tx.task(task.task_id) or task
        return self._office.summary(task, receipt)

    async def preview(self, task_id: str, verdict: Verdict) -> PreviewOfAnswer:
        """Tells what the resident would read if the task was answered so, now; nothing changes. Refuses as `answer` does."""
        task = self._office.seen(await self._office.store.task_of(task_id), await self._office.hands())
        file = await self._office.engine.store.case_file(task.case_id)
        assert file is not None, "a case with tasks is never deleted"
        if not awaits(file.state, task.step_id, task.attempt):
            raise TaskNotOpen("The case no longer asks for this task.")
        plan = await self._office.engine.plan_of(file.state.definition)
        told = verdict.worded(desk_of(plan, task.step_id))
        events = reactions_to(plan, file, task, told, self._now())
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

    async def _propose(
        self, tx: InboxTx, task: TaskRow, hands: Hands, verdict: Verdict, follows: Sequence[Event]
    ) -> None:
        """Keep an answer that would be taken: `follows` is what it would lead to, worked out to see that it fits."""
        if not follows:
            raise TaskNotOpen("The case no longer asks for this task.")
        if not await tx.propose(task, hands.clerk_id, verdict.body()):
            raise CaseMoved
        await tx.log_task(task.task_id, LogEntry(self._now(), LogKind.PROPOSED, hands.clerk_id))

    async def _finish(self, turn: Turn, task: TaskRow, verdict: Verdict, proof: tuple[str, str]) -> None:
        now = self._now()
        await answered(turn, task, verdict.answer_to(task), verdict.how, proof, now=now)
        kind = LogKind.DONE if verdict.how is TaskState.DONE else LogKind.REFUSED
        entry = LogEntry(now, kind, clerk().id, task.proposer)
        await cast(InboxTx, turn.tx).log_task(task.task_id, entry)

    def _now(self) -> datetime:
        return self._office.engine.clock()

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
        now = self._now()
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


def desk_of(plan: Plan, step_id: str) -> Desk | None:
    """What the matter says of the people who do a step's task."""
    step = plan.step(step_id)
    return step.desk if isinstance(step, TaskStep) else None


def reactions_to(plan: Plan, file: CaseFile, task: TaskRow, verdict: Verdict, now: datetime) -> tuple[Event, ...]:
    """What would follow from an answer. Raises TaskOutputInvalid."""
    return reactions(plan, file, verdict.answer_to(task), now, done=verdict.how is TaskState.DONE)


async def _outcome(act: Act, do: Callable[[Act], Awaitable[TaskSummary]]) -> BulkOutcome:
    try:
        await do(act)
    except Refusal as refusal:
        return BulkOutcome(act.task_id, ok=False, reason=refusal.reason, detail=refusal.message)
    return BulkOutcome(act.task_id, ok=True)
