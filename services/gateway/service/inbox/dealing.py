# SPDX-License-Identifier: Apache-2.0
"""What clerks do with a task beside answering it: corrections, more time, an expert's opinion."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from services.gateway.domain.case import CaseState
from services.gateway.domain.dealings import ask_correction, ask_expert, ask_extension, decide_extension, give_opinion
from services.gateway.domain.history import CorrectionItem, DealingEvent
from services.gateway.domain.inbox import Hands, must_be_fresh, must_hold
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import ClerkUnknown
from services.gateway.service.engine import Turn
from services.gateway.service.inbox.acting import Act, InboxActing, desk_of
from services.gateway.service.inbox.office import clerk, custody_of, supervisor
from services.gateway.service.inbox.ports import InboxTx, LogEntry, LogKind
from services.gateway.service.inbox.views import TaskSummary
from services.gateway.service.ports import CaseMoved
from services.gateway.service.tasks import Decide, deal
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of dealing: the event, what is written beside the task, and who is asked from then on."""

    decide: Decide
    log: LogEntry
    expert: str | None = None
    """None leaves as it is who is asked for an opinion."""
    holder_only: bool = field(default=True)


class InboxDealing(InboxActing):
    """Every method acts for the calling clerk, and answers the task as it is then."""

    async def ask_correction(self, act: Act, items: Sequence[CorrectionItem]) -> TaskSummary:
        """Asks the applicant for everything that is to be corrected; the task stays with the clerk.

        CORRECTION_REPEATED, CORRECTION_INVALID; TASK_HELD, TASK_NOT_HELD, TASK_NOT_OPEN, TASK_NOT_FOUND.
        """

        def decide(plan: Plan, state: CaseState, step_id: str) -> DealingEvent:
            return ask_correction(plan, state.dealings, step_id, items, clerk().label, now=self._now())

        request = {"correct": act.task_id, "items": repr([(one.name, one.words.zh, one.words.en) for one in items])}
        return await self._deal(act, request, _Step(decide, self._entry(LogKind.CORRECTION_ASKED)))

    async def ask_extension(self, act: Act, working_days: int, reason: Text) -> TaskSummary:
        """Asks the head for more time; the applicant reads why. EXTENSION_REPEATED, and as `ask_correction`."""

        def decide(_: Plan, state: CaseState, step_id: str) -> DealingEvent:
            return ask_extension(state.dealings, step_id, working_days, reason, clerk().label, now=self._now())

        request = {"extend": act.task_id, "days": str(working_days), "zh": reason.zh, "en": reason.en}
        return await self._deal(act, request, _Step(decide, self._entry(LogKind.EXTENSION_ASKED)))

    async def decide_extension(self, act: Act, *, granted: bool) -> TaskSummary:
        """Grants more time or not; for supervisors. RIGHT_MISSING, FOUR_EYES, EXTENSION_NOT_ASKED, TASK_NOT_FOUND."""
        by = supervisor().label

        def decide(_: Plan, state: CaseState, step_id: str) -> DealingEvent:
            return decide_extension(state.dealings, step_id, by, granted=granted, now=self._now())

        kind = LogKind.EXTENSION_GRANTED if granted else LogKind.EXTENSION_REFUSED
        request = {"decide": act.task_id, "granted": str(granted)}
        return await self._deal(act, request, _Step(decide, self._entry(kind), holder_only=False))

    async def ask_expert(self, act: Act, expert: str, question: str) -> TaskSummary:
        """Asks a colleague on the roster for an opinion; they see the task until they have given it.

        CLERK_UNKNOWN, OPINION_ASKED, and as `ask_correction`.
        """
        found = await self._office.store.clerks_of(clerk().agency, [expert])
        if not found or not found[0].active:
            raise ClerkUnknown("The department's roster has no such clerk.")

        def decide(plan: Plan, state: CaseState, step_id: str) -> DealingEvent:
            desk = desk_of(plan, step_id)
            basis = desk.expert if desk is not None and desk.expert is not None else ""
            return ask_expert(state.dealings, step_id, expert, clerk().label, basis, now=self._now())

        entry = self._entry(LogKind.EXPERT_ASKED, expert, question)
        request = {"expert": act.task_id, "of": expert, "question": question}
        return await self._deal(act, request, _Step(decide, entry, expert=expert))

    async def give_opinion(self, act: Act, opinion: str) -> TaskSummary:
        """Gives the opinion that the caller was asked for; it stands beside the task. OPINION_NOT_ASKED, TASK_NOT_FOUND."""

        def decide(_: Plan, state: CaseState, step_id: str) -> DealingEvent:
            return give_opinion(state.dealings, step_id, clerk().id, now=self._now())

        request = {"opinion": act.task_id, "words": opinion}
        entry = self._entry(LogKind.EXPERT_ANSWERED, words=opinion)
        return await self._deal(act, request, _Step(decide, entry, expert="", holder_only=False))

    async def _deal(self, act: Act, request: dict[str, str], step: _Step) -> TaskSummary:
        hands: Hands = await self._office.hands()
        note = self._remembered(act, request)

        async def work(turn: Turn) -> TaskSummary:
            tx = cast(InboxTx, turn.tx)
            task = self._office.seen(await tx.task(act.task_id), hands)
            if not await self._repeated(tx, act, note):
                custody = custody_of(task)
                must_be_fresh(custody, act.version)
                if step.holder_only:
                    must_hold(custody, hands)
                await deal(turn, task, step.decide)
                task = await tx.task(act.task_id) or task
                if step.expert is not None and not await tx.set_expert(task, step.expert):
                    raise CaseMoved
                await tx.log_task(task.task_id, step.log)
            return await self._after(tx, turn, act.task_id)

        return await self._office.engine.transact(work)

    def _entry(self, kind: LogKind, other: str = "", words: str = "") -> LogEntry:
        return LogEntry(self._now(), kind, clerk().id, other, words)
