# SPDX-License-Identifier: Apache-2.0
"""What a clerk reads: lists, one task with everything beside it, queues with their figures."""

from collections.abc import Sequence
from statistics import median

from services.gateway.domain.case import StepState
from services.gateway.domain.definition import FetchStep, OwnedStep, TaskStep
from services.gateway.domain.history import Event, step_of
from services.gateway.domain.inbox import Queue
from services.gateway.domain.materials import seen_by
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import MaterialNotFound, QueueNotFound
from services.gateway.service.inbox.office import Office, is_live
from services.gateway.service.inbox.ports import QueueCount, TaskFilter
from services.gateway.service.inbox.verdict import Verdict
from services.gateway.service.inbox.views import CaseFact, QueueView, TaskDetail, TaskSummary, WantedOutput
from services.gateway.service.materials import FileView, need_view
from services.gateway.service.ports import CaseFile, TaskRow
from services.gateway.service.present import licenses_of, timeline_entry
from services.gateway.service.views import TimelineEntry
from services.kit.ledger.access import Access
from services.kit.paging import Page, encode_token, moment_after

PAGE_DEFAULT = 50
PAGE_MAX = 200
LOG_MAX = 200
OPERATION = "gateway.ReadTask"
FILE_READ = "gateway.ReadMaterial"
HANDLED_MAX = 200


class InboxReading:
    """Every method acts for the calling clerk."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def tasks(self, narrow: TaskFilter, *, page_size: int = 0, page_token: str = "") -> Page[TaskSummary]:
        """Lists tasks that the clerk may see, by due date; those without one come last."""
        hands = await self._office.hands()
        size = min(page_size or PAGE_DEFAULT, PAGE_MAX)
        after = moment_after(page_token, time="due", key="task") if page_token else None
        found = await self._office.store.tasks_in(self._office.scope(hands), narrow, size + 1, after)
        rows = tuple(self._office.summary(one.task, one.receipt) for one in found[:size])
        if len(found) <= size:
            return Page(rows)
        due, task_id = found[size - 1].place
        return Page(rows, encode_token(due=due.isoformat(), task=task_id))

    async def task(self, task_id: str) -> TaskDetail:
        """Reads one task with everything beside it. TASK_NOT_FOUND also for another department's.

        Where personal data is shown, a leaf of the gateway's ledger says so before.
        """
        task = self._office.seen(await self._office.store.task_of(task_id), await self._office.hands())
        file = await self._office.engine.store.case_file(task.case_id)
        assert file is not None, "a case with tasks is never deleted"
        plan = await self._office.engine.plan_of(file.state.definition)
        step = plan.step(task.step_id)
        assert isinstance(step, TaskStep)
        detail = TaskDetail(
            task=self._office.summary(task, file.state.receipt),
            matter_title=plan.matter.title,
            basis=step.basis or plan.matter.basis,
            submitted=file.state.submitted,
            input=task.input,
            facts=self._facts(plan, file, task),
            licenses=tuple(
                one for one in licenses_of(plan.matter, file.state) if self._theirs(plan, one.step_id, task)
            ),
            outputs=tuple(
                WantedOutput(name, kind.rstrip("?"), not kind.endswith("?")) for name, kind in step.output.items()
            ),
            four_eyes=step.desk is not None and step.desk.four_eyes,
            refusals=step.desk.refusals if step.desk else (),
            proposal=Verdict.of(task.proposal) if task.proposal else None,
            corrections=file.state.dealings.corrections.get(task.step_id, ()),
            extension=file.state.dealings.extensions.get(task.step_id),
            materials=tuple(need_view(one) for one in seen_by(plan, file.state, task.step_id)) if is_live(task) else (),
            timeline=await self._timeline(plan, task),
            log=tuple(await self._office.store.task_log(task.task_id, LOG_MAX)),
        )
        if fields := _fields_of(detail):
            await self._office.store.account(
                Access(
                    operation=OPERATION,
                    subject_id=file.state.applicant_id,
                    purpose=plan.matter.purpose,
                    basis=detail.basis,
                    fields=fields,
                    on_behalf_of=task.agency,
                    case_id=task.case_id,
                )
            )
        return detail

    async def material(self, task_id: str, material_id: str) -> FileView:
        """Reads a file that was handed in for this task, as long as the task is open; a leaf says so before.

        TASK_NOT_FOUND, MATERIAL_NOT_FOUND also for what other departments see.
        """
        task = self._office.seen(await self._office.store.task_of(task_id), await self._office.hands())
        file = await self._office.engine.store.case_file(task.case_id)
        assert file is not None, "a case with tasks is never deleted"
        plan = await self._office.engine.plan_of(file.state.definition)
        added = file.state.materials.get(material_id)
        shown = {one.material.id for one in seen_by(plan, file.state, task.step_id)} if is_live(task) else set()
        content = await self._office.store.content_of(material_id) if added and added.material in shown else None
        if added is None or content is None:
            raise MaterialNotFound("The task has no such file.")
        await self._office.store.account(
            Access(
                operation=FILE_READ,
                subject_id=file.state.applicant_id,
                purpose=plan.matter.purpose,
                basis=plan.materials[added.material].material.basis,
                fields=(added.material,),
                on_behalf_of=task.agency,
                case_id=task.case_id,
                digest=added.digest,
            )
        )
        return FileView(content, added.media_type, added.digest)

    async def queues(self) -> tuple[QueueView, ...]:
        """Lists the queues that the clerk may work in, in the department's order, with figures."""
        hands = await self._office.hands()
        scope = self._office.scope(hands)
        counts = {one.queue: one for one in await self._office.store.counts_in(scope, self._office.engine.clock())}
        shown = [queue for queue in self._office.queues() if queue.queue_id in scope.queues]
        return tuple([await self._queue(scope.agency, queue, counts.get(queue.queue_id)) for queue in shown])

    async def queue(self, queue_id: str) -> QueueView:
        """One of them. QUEUE_NOT_FOUND."""
        for view in await self.queues():
            if view.id == queue_id:
                return view
        raise QueueNotFound("There is no such queue of yours.")

    async def _queue(self, agency: str, queue: Queue, count: QueueCount | None) -> QueueView:
        handled = await self._office.store.handling_of(agency, queue.queue_id, HANDLED_MAX)
        return QueueView(
            id=queue.queue_id,
            title=queue.title,
            skill=queue.skill,
            open=count.open if count else 0,
            unclaimed=count.unclaimed if count else 0,
            mine=count.mine if count else 0,
            overdue=count.overdue if count else 0,
            handled=len(handled),
            median_seconds=median(handled) if handled else None,
        )

    def _facts(self, plan: Plan, file: CaseFile, task: TaskRow) -> tuple[CaseFact, ...]:
        """What was asked of others on this very department's behalf, for as long as it has the task."""
        return tuple(
            CaseFact(step.id, step.title, dict(record.output), record.disputed)
            for step in plan.matter.steps
            if isinstance(step, FetchStep) and self._theirs(plan, step.id, task) and task.input
            if (record := file.state.step(step.id)).state is StepState.DONE
        )

    async def _timeline(self, plan: Plan, task: TaskRow) -> tuple[TimelineEntry, ...]:
        """The case as a whole and the department's own steps; what others do is not for it to see."""
        history: Sequence[tuple[int, Event]] = await self._office.engine.store.events_after(task.case_id, 0)
        return tuple(
            timeline_entry(seq, event, plan, self._office.engine.workflows)
            for seq, event in history
            if not step_of(event) or self._theirs(plan, step_of(event), task)
        )

    def _theirs(self, plan: Plan, step_id: str, task: TaskRow) -> bool:
        if step_id == task.step_id:
            return True  # Also where an operator has handed it over from another department.
        step = plan.step(step_id)
        return isinstance(step, OwnedStep) and self._office.engine.uscc(step.agency) == task.agency


def _fields_of(detail: TaskDetail) -> tuple[str, ...]:
    """Names of everything about the applicant that is shown."""
    names = set(detail.input) | {name for fact in detail.facts for name in fact.values}
    names |= {one.id for one in detail.materials}
    if detail.proposal is not None and detail.proposal.output is not None:
        names |= set(detail.proposal.output)
    return tuple(sorted(names))
