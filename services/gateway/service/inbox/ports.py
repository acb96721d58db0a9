# SPDX-License-Identifier: Apache-2.0
"""What the inbox needs of the store, in its own words."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

from services.gateway.domain.history import Event
from services.gateway.domain.inbox import Absence, Clerk
from services.gateway.service.ports import Remembered, TaskRow, TaskState
from services.kit.ledger.access import Access


class LogKind(StrEnum):
    """What happened to a task within its department."""

    CLAIMED = "claimed"
    RELEASED = "released"
    ASSIGNED = "assigned"
    HANDED_OVER = "handed_over"
    NOTED = "noted"
    EXPERT_ASKED = "expert_asked"
    EXPERT_ANSWERED = "expert_answered"
    CORRECTION_ASKED = "correction_asked"
    EXTENSION_ASKED = "extension_asked"
    EXTENSION_GRANTED = "extension_granted"
    EXTENSION_REFUSED = "extension_refused"
    PROPOSED = "proposed"
    SENT_BACK = "sent_back"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened to a task; the resident doesn't see it."""

    time: datetime
    kind: LogKind
    clerk_id: str
    other: str = ""
    """The clerk who got it, or who was asked."""
    words: str = field(default="", repr=False)


class Whose(StrEnum):
    """Whose tasks a list shows."""

    ALL = "all"
    MINE = "mine"
    UNCLAIMED = "unclaimed"


@dataclass(frozen=True, slots=True)
class Scope:
    """What somebody may see of one department's tasks."""

    agency: str
    queues: Mapping[str, frozenset[str]]
    """Region prefixes by queue."""
    own: frozenset[str]
    """Clerks whose tasks are seen wherever they are."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list shows; empty doesn't narrow."""

    states: frozenset[TaskState] = frozenset({TaskState.OPEN, TaskState.LEASED})
    queue: str = ""
    matter: str = ""
    whose: Whose = Whose.ALL
    due_before: datetime | None = None
    proposed: bool | None = None
    """Whether an answer waits for a second clerk; None for either."""


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task of a list, and the place that the next page goes on from."""

    task: TaskRow
    receipt: str
    place: tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class QueueCount:
    """Live tasks of one queue that somebody may see."""

    queue: str
    open: int
    unclaimed: int
    mine: int
    overdue: int


class InboxTx(Protocol):
    """One transaction."""

    async def task(self, task_id: str, *, lock: bool = False) -> TaskRow | None:
        """The task, if wanted locked until the end."""

    async def pass_task(self, before: TaskRow, clerk_id: str, since: datetime | None) -> bool:
        """Into a clerk's hands, or nobody's; False where it has changed since `before`, or ended."""

    async def propose(self, before: TaskRow, clerk_id: str, proposal: Mapping[str, Any] | None) -> bool:
        """Keep an answer until a second clerk has seen it, or with None keep none; False where the task has changed."""

    async def set_expert(self, before: TaskRow, clerk_id: str) -> bool:
        """Who is asked for an opinion, or with an empty name nobody any more; False where the task has changed."""

    async def lease_task(self, task_id: str, holder: str, token: str, until: datetime | None) -> None:
        """Into the hands of a system, or with an empty token in nobody's; the task must be locked."""

    async def holder_of(self, task_id: str) -> str:
        """Whom a system's lease is for: a stream, or the request that took it."""

    async def log_task(self, task_id: str, entry: LogEntry) -> None:
        """Write down what happened; the task must be locked, or changed in this transaction."""

    async def remember(self, caller: str, key: str, what: Remembered) -> Remembered | None:
        """Keep a request under its key; what is there already where somebody was first."""

    async def put_clerk(self, clerk: Clerk) -> None:
        """On the roster from now on as given."""

    async def put_absence(self, agency: str, absence: Absence) -> None:
        """The clerk's absence from now on as given."""

    async def drop_absence(self, agency: str, clerk_id: str) -> bool:
        """No absence any more; False where there was none."""


class InboxStore(Protocol):
    """What is kept. `SqlGatewayStore` is one, and the engine's store as well."""

    def transaction(self) -> AbstractAsyncContextManager[InboxTx]:
        """All or nothing."""

    def digest(self, text: str) -> str:
        """A keyed digest, for comparing requests without keeping them."""

    async def account(self, access: Access) -> None:
        """Write the leaf of a use of personal data; durable on return. Raises Unavailable: then give no answer."""

    async def content_of(self, material_id: str) -> bytes | None:
        """A file that was handed in; None where it was taken back."""

    async def task_of(self, task_id: str) -> TaskRow | None:
        """The committed state of a task."""

    async def tasks_in(
        self, scope: Scope, narrow: TaskFilter, limit: int, after: tuple[datetime, str] | None
    ) -> Sequence[ListedTask]:
        """Tasks by due date, those without one last; without inputs."""

    async def waiting_tasks(self, agency: str, limit: int, after: tuple[datetime, str] | None) -> Sequence[TaskRow]:
        """Tasks that wait for the agency's system, oldest first; without inputs."""

    async def counts_in(self, scope: Scope, now: datetime) -> Sequence[QueueCount]:
        """Live tasks by queue."""

    async def handling_of(self, agency: str, queue: str, most: int) -> Sequence[float]:
        """Seconds from claim to answer of the queue's last tasks."""

    async def task_log(self, task_id: str, limit: int) -> Sequence[LogEntry]:
        """What happened to a task, the newest last."""

    async def clerks_of(self, agency: str, ids: Iterable[str]) -> Sequence[Clerk]:
        """These of the roster, by account."""

    async def roster(self, agency: str, limit: int, after: str) -> Sequence[Clerk]:
        """The roster by account, after one."""

    async def absences_of(self, agency: str, day: date, limit: int) -> Sequence[Absence]:
        """Who is away on a day or later."""

    async def events_after(self, case_id: str, seq: int) -> Sequence[tuple[int, Event]]:
        """Events of a case with a number above `seq`, in order."""
