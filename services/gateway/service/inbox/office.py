# SPDX-License-Identifier: Apache-2.0
"""Who sits at the inbox, and what they may see: asked anew with every request."""

from datetime import date, timedelta

from services.gateway.domain.inbox import TO_PROGRAM, Absence, Custody, Hands, Queue, away_for, hands_of
from services.gateway.domain.refusals import ClerkNotListed, ClerkOnly, TaskNotFound
from services.gateway.domain.values import CHINA
from services.gateway.service.engine import Engine
from services.gateway.service.inbox.ports import InboxStore, Scope
from services.gateway.service.inbox.views import TaskSummary
from services.gateway.service.ports import TaskRow, TaskState
from services.kit.caller import Caller, CallerKind, current_caller

RIGHT = "gateway.tasks"
SUPERVISES = "gateway.supervise"
ABSENCES_MAX = 1000
"""Of one department, that are looked at."""
A_DAY = timedelta(days=1)


class Office:
    """One department's inbox, for the calling clerk."""

    def __init__(self, engine: Engine, store: InboxStore) -> None:
        """`store` is the engine's own, in the inbox's words."""
        self.engine = engine
        self.store = store

    def today(self) -> date:
        """The day in China."""
        return self.engine.clock().astimezone(CHINA).date()

    async def hands(self) -> Hands:
        """For whom the caller acts. Raises ClerkOnly, RightMissing; ClerkNotListed where they are not on the roster."""
        caller = clerk()
        today = self.today()
        absences = await self.store.absences_of(caller.agency, today, ABSENCES_MAX)
        ids = away_for(caller.id, absences, today)
        roster = await self.store.clerks_of(caller.agency, ids)
        hands = hands_of(caller.id, roster, absences, today, supervises=caller.may(SUPERVISES))
        if caller.id not in {member.clerk_id for member in hands.members} and not hands.supervises:
            raise ClerkNotListed(
                "The department's roster does not have this clerk.", remedy="Ask a supervisor to put you on it."
            )
        return hands

    def queues(self) -> tuple[Queue, ...]:
        """The calling clerk's department's, in its order."""
        return self.engine.workflows.agency_of(clerk().agency).queues

    def queue(self, queue_id: str) -> Queue | None:
        """One of them; None where the department has it no more."""
        return next((queue for queue in self.queues() if queue.queue_id == queue_id), None)

    def scope(self, hands: Hands) -> Scope:
        """What the caller may see: everything of the department for a supervisor."""
        every = frozenset({""})
        regions = {
            queue.queue_id: every if hands.supervises else hands.regions(queue.skill)
            for queue in self.queues()
            if hands.supervises or hands.regions(queue.skill)
        }
        return Scope(clerk().agency, regions, hands.ids)

    def seen(self, task: TaskRow | None, hands: Hands) -> TaskRow:
        """The task, where it is the caller's to see. Raises TaskNotFound: of another's not even that it exists."""
        if task is not None and task.agency == clerk().agency and task.queue != TO_PROGRAM:
            queue = self.queue(task.queue)
            competent = queue is not None and hands.works_on(queue, task.region)
            if competent or hands.supervises or not hands.ids.isdisjoint({task.clerk, task.expert}):
                return task
        raise TaskNotFound("There is no such task.")

    async def absences(self) -> tuple[Absence, ...]:
        """Who is away today or later."""
        return tuple(await self.store.absences_of(clerk().agency, self.today(), ABSENCES_MAX))

    def summary(self, task: TaskRow, receipt: str) -> TaskSummary:
        """One row of a list."""
        live = is_live(task)
        return TaskSummary(
            id=task.task_id,
            case_id=task.case_id,
            receipt=receipt,
            matter=task.matter,
            title=task.title,
            operation=task.operation,
            queue=task.queue,
            region=task.region,
            state=state_word(task),
            clerk=task.clerk,
            proposer=task.proposer,
            expert=task.expert,
            since=task.since,
            created=task.created,
            due=task.due,
            overdue=live and task.due is not None and task.due < self.engine.clock(),
            finished=task.finished,
            version=task.version,
        )


def clerk() -> Caller:
    """The calling clerk. Raises ClerkOnly for anybody else, RightMissing without the right."""
    caller = current_caller()
    if caller.kind is not CallerKind.CLERK:
        raise ClerkOnly("Only a clerk has an inbox.")
    caller.must(RIGHT)
    return caller


def supervisor() -> Caller:
    """The same, who may also distribute. Raises RightMissing without the right."""
    caller = clerk()
    caller.must(SUPERVISES)
    return caller


def is_live(task: TaskRow) -> bool:
    """Whether somebody is still to act on it."""
    return task.state in {TaskState.OPEN, TaskState.LEASED}


def state_word(task: TaskRow) -> str:
    """What clerks call its state."""
    if task.state is TaskState.LEASED:
        return "proposed" if task.proposer else "claimed"
    return task.state.value


def custody_of(task: TaskRow) -> Custody:
    """In whose hands it is."""
    return Custody(is_live(task), task.version, task.clerk, task.since, state_word(task))
