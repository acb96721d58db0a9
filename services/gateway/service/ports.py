# SPDX-License-Identifier: Apache-2.0
"""What the use cases need from outside: a store that keeps, and sources that answer."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from services.gateway.domain.bounds import Standing
from services.gateway.domain.case import CaseState, CaseStatus
from services.gateway.domain.effects import ClockRow, Effects, Timer
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import CaseOpened, Event
from services.gateway.domain.inbox import TO_PROGRAM, Place
from services.gateway.domain.plan import Plan
from services.gateway.domain.values import StepInput
from services.gateway.service.views import (
    AccessView,
    ForkView,
    JwksView,
    LicenseView,
    NarrowAccesses,
    OwnLeaves,
    PersonaView,
    TokenView,
)
from services.kit.paging import Page
from services.kit.text import Text


class CaseMoved(Exception):  # noqa: N818 - it states what is so
    """Somebody else wrote the next event of the case first; read again and decide again."""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case as it is kept."""

    case_id: str
    traceparent: str
    """Empty until it is submitted."""
    state: CaseState


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What lists show of a case; no personal data but the applicant's subject id."""

    case_id: str
    receipt: str
    matter: str
    definition: str
    applicant_id: str
    status: CaseStatus
    version: int
    traceparent: str
    created: datetime
    submitted: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request that was done under an idempotency key."""

    fingerprint: str
    case_id: str


class TaskState(StrEnum):
    """Where a task stands. A lease that ran out leaves it `leased`: it is offered again all the same."""

    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A department's part of a case, as it is kept."""

    task_id: str
    case_id: str
    step_id: str
    attempt: int
    agency: str
    operation: str
    matter: str
    title: Text
    state: TaskState
    lease_token: str
    lease_until: datetime | None
    request_id: str
    """Of the answer, once there is one."""
    answer_digest: str
    traceparent: str
    input: StepInput = field(repr=False)
    queue: str = TO_PROGRAM
    region: str = ""
    """Where it belongs, for clerks' jurisdictions; empty outside queues."""
    clerk: str = ""
    """The clerk's account who holds it or did it, of a task in a queue."""
    since: datetime | None = None
    """From when they hold it."""
    proposer: str = ""
    """The clerk whose answer waits for a second one; empty where none does."""
    proposal: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """That answer."""
    expert: str = ""
    """The clerk who was asked for an opinion and has not given it."""
    version: int = 1
    """Counts up with every change; the ETag."""
    created: datetime | None = None
    due: datetime | None = None
    finished: datetime | None = None


class GatewayTx(Protocol):
    """One transaction."""

    async def first_sight(self, id: str) -> bool:
        """Whether this delivery or request has not had its effect yet."""

    async def load(self, case_id: str) -> CaseFile | None:
        """The case, locked against others until the end."""

    async def definition(self, digest: str) -> str:
        """The stored canonical definition. A case's own is always there."""

    async def next_serial(self, day: str) -> int:
        """The next serial of a day (YYYYMMDD), from 1."""

    async def open_case(self, case_id: str, plan: Plan, event: CaseOpened) -> int:
        """A new case with its first event, and its definition where it was not used before.

        Gives how many drafts the applicant has now; who opens another one for them waits for our commit.
        """

    async def draft_of(self, applicant_id: str, matter: str) -> str:
        """The id of the applicant's latest draft of a matter, empty for none; who opens another waits for our commit."""

    async def delete_draft(self, file: CaseFile) -> None:
        """A draft and everything in it; it must be locked."""

    async def append(self, before: CaseFile, after: CaseFile, events: Sequence[Event]) -> None:
        """The next events. Raises CaseMoved where somebody else's came first.

        Who submits another case of the same applicant waits for our commit.
        """

    async def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        """Open cases of a matter, and submissions from a moment on; after a submission nobody adds to it till the end."""

    async def carry_out(self, effects: Effects, places: Sequence[Place]) -> None:
        """Tasks, timers, notices and facts. `places` tells where each of the new tasks goes."""

    async def remembered(self, caller: str, key: str) -> Remembered | None:
        """What was done under the key."""

    async def remember(self, caller: str, key: str, what: Remembered) -> Remembered | None:
        """Keep it under the key; what is there already where somebody was first."""

    async def take_due_timer(self, now: datetime) -> Timer | None:
        """One timer that is due, taken out, its case locked; cases that others have in hand are passed over."""

    async def put_timer(self, timer: Timer) -> None:
        """Set a timer."""

    async def keep_content(self, material_id: str, case_id: str, applicant_id: str, content: bytes) -> int:
        """Keep a file that was handed in; gives the bytes in all drafts of the applicant. Others who keep one wait."""

    async def drop_contents(self, material_ids: Sequence[str]) -> None:
        """Let go of files."""

    async def put_clocks(self, rows: Sequence[ClockRow]) -> None:
        """Write how clocks stand."""

    async def lease_tasks(
        self, agency: str, operations: Sequence[str], holder: str, *, now: datetime, until: datetime, most: int
    ) -> Sequence[TaskRow]:
        """Open tasks and tasks whose lease ran out, oldest first, now leased, until the holder has `most` in all.

        Tasks that others have in hand are passed over.
        """

    async def task(self, task_id: str, *, lock: bool = False) -> TaskRow | None:
        """The task, if wanted locked until the end; then its case must be locked before."""

    async def renew_lease(self, task_id: str, until: datetime) -> None:
        """A longer lease."""

    async def finish_task(self, task: TaskRow, state: TaskState, request_id: str, answer_digest: str) -> bool:
        """Answered, if it is still held as `task` says; its input is not kept any longer."""


class GatewayStore(Protocol):
    """What is kept."""

    def transaction(self) -> AbstractAsyncContextManager[GatewayTx]:
        """All or nothing."""

    def keep(self, file: CaseFile) -> None:
        """Take note of a state that was committed just now: the next one who asks need not read it."""

    def forget(self, case_id: str) -> None:
        """Let go of the state of a case that was deleted just now."""

    def digest(self, text: str) -> str:
        """A keyed digest, for comparing requests without keeping them."""

    async def case_file(self, case_id: str) -> CaseFile | None:
        """The committed state of a case."""

    async def definition_of(self, digest: str) -> str:
        """The stored canonical definition."""

    async def events_after(self, case_id: str, seq: int) -> Sequence[tuple[int, Event]]:
        """Events with a number above `seq`, in order."""

    async def find(self, receipt_or_case_id: str) -> CaseRow | None:
        """One case by its id or receipt number."""

    async def cases_of(self, applicant_id: str, limit: int, before: tuple[datetime, str] | None) -> Sequence[CaseRow]:
        """The applicant's cases, newest first, older than `before` (created, case id)."""

    async def parked_cases(self, limit: int, after: tuple[datetime, str] | None) -> Sequence[CaseRow]:
        """Cases that need an operator, oldest first, younger than `after` (created, case id)."""

    async def draft_of(self, applicant_id: str, matter: str) -> str:
        """The id of the applicant's latest draft of a matter; empty for none."""

    async def drafts_of(self, applicant_id: str) -> int:
        """How many drafts the applicant has."""

    async def standing(self, applicant_id: str, matter: str, since: datetime) -> Standing:
        """The applicant's open cases of a matter, and submissions of all matters from a moment on."""

    async def remembered(self, caller: str, key: str) -> Remembered | None:
        """What was done under an idempotency key."""

    async def content_of(self, material_id: str) -> bytes | None:
        """A file that was handed in; None where it was taken back."""

    async def has_tasks(self, agency: str, operations: Sequence[str], now: datetime) -> bool:
        """Whether there is a task to lease."""

    async def next_due(self) -> datetime | None:
        """When the next timer is due."""

    async def cases_counted_before(self, versions: Mapping[str, int], limit: int) -> Sequence[str]:
        """Some cases whose clocks go on and were counted by an older version of a calendar."""


@dataclass(frozen=True, slots=True)
class OwnPerson:
    """The calling resident's own attributes."""

    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a department told."""

    provider: str
    values: Mapping[str, Scalar] = field(repr=False)
    disputed: frozenset[str] = frozenset()
    """Names whose value is in dispute now."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a department on the resident's own token."""

    resource: str
    subject_id: str
    fields: tuple[str, ...]
    purpose: str
    case_id: str
    on_behalf_of: str


class IdentitySource(Protocol):
    """Identity, in the gateway's words. Raises Refusal or Unavailable."""

    async def own_person(self) -> OwnPerson:
        """The caller's own attributes; a leaf in identity's ledger."""

    async def personas(self) -> tuple[PersonaView, ...]:
        """Sandbox personas."""

    async def issue_token(self, grant_type: str, persona: str) -> TokenView:
        """A token for a grant."""

    async def jwks(self) -> JwksView:
        """The issuer's keys."""


class ExchangeSource(Protocol):
    """Exchange, in the gateway's words. Raises Refusal or Unavailable."""

    async def ask(self, question: Question) -> SourceAnswer:
        """Ask a department for the caller; a leaf in exchange's ledger."""

    async def answer(self, answer_id: str) -> SourceAnswer:
        """The full answer of a step. Raises Refusal where it is no longer kept, or may no longer be given."""


class LicensesSource(Protocol):
    """Licenses, in the gateway's words. Raises Refusal or Unavailable."""

    async def own(self, page_size: int, page_token: str) -> Page[LicenseView]:
        """The caller's licenses, newest first."""

    async def read(self, license_id: str) -> LicenseView:
        """One with its credential."""


class LedgerSource(Protocol):
    """The ledgers, in the gateway's words. Raises Refusal or Unavailable."""

    async def own_leaves(self, log: str, narrow: NarrowAccesses, page_size: int, page_token: str) -> OwnLeaves:
        """Leaves about the caller in one ledger, newest first. A page of a narrowed list may be empty and have a next one."""

    async def own_leaf(self, log: str, index: int) -> AccessView:
        """One leaf about the caller."""

    async def since(self, log: str) -> datetime | None:
        """When the oldest entry was made that can still be read; None for none. Needs no caller."""

    async def forks(self, log: str) -> tuple[ForkView, ...]:
        """What witnesses told one ledger about it or another. Needs no caller."""

    async def public_key(self, log: str) -> Mapping[str, str]:
        """The JWK that verifies the heads of one ledger. Needs no caller."""
