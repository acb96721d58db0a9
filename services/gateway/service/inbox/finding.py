# SPDX-License-Identifier: Apache-2.0
"""Cases that clerks and operators find again: by what stands about them in the open, never by what somebody wrote in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.gateway.domain.case import CaseStatus
from services.gateway.service.inbox.office import Office, clerk
from services.gateway.service.inbox.ports import Scope
from services.gateway.service.inbox.views import TaskSummary
from services.gateway.service.ports import CaseRow, TaskRow
from services.kit.caller import CallerKind, current_caller
from services.kit.errors import RequestInvalid, Violation
from services.kit.paging import Page, encode_token, moment_after
from services.kit.text import Text

OPERATES = "gateway.cases"
PAGE_MAX = 100
TASKS_MAX = 20
"""Of one case, the last ones."""


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases are wanted; empty doesn't narrow. Moments are of the submission."""

    receipt: str = ""
    matter: str = ""
    status: CaseStatus | None = None
    agency: str = ""
    assigned: str = ""
    """Account of a clerk of the department who holds a task of it, or did one."""
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class FoundCase:
    """A case without anybody's data, and its tasks as far as the caller may see them, newest first."""

    id: str
    receipt: str
    matter: str
    title: Text
    status: CaseStatus
    submitted: datetime
    ended: datetime | None
    tasks: tuple[TaskSummary, ...]


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A case of a page, and the place that the next page goes on from."""

    case: CaseRow
    place: tuple[datetime, str]


class FindingStore(Protocol):
    """What finding needs of the store."""

    async def find_cases(
        self, scope: Scope | None, narrow: CaseFilter, limit: int, before: tuple[datetime, str] | None
    ) -> Sequence[FoundRow]:
        """Submitted cases, newest first: a department's by when its last task of them came, else by submission."""

    async def tasks_of_cases(self, scope: Scope | None, case_ids: Sequence[str], most: int) -> Sequence[TaskRow]:
        """The last tasks of each, newest first; without inputs."""


class CaseFinding:
    """Every method acts for the calling clerk or operator."""

    def __init__(self, office: Office, store: FindingStore) -> None:
        self._office = office
        self._store = store

    async def cases(self, narrow: CaseFilter, *, page_size: int = 0, page_token: str = "") -> Page[FoundCase]:
        """Finds submitted cases: a clerk those with a task that they may see, an operator all.

        RIGHT_MISSING for anybody else; CLERK_NOT_LISTED. A clerk who names another department finds nothing; an
        operator who names a clerk names the department as well, or the request is invalid.
        """
        scope = await self._scope()
        if scope is None and narrow.assigned and not narrow.agency:
            raise RequestInvalid(
                "The request breaks the contract.", violations=[Violation("agency", "Whose clerk `assigned` is.")]
            )
        size = min(page_size or PAGE_MAX // 2, PAGE_MAX)
        place = moment_after(page_token) if page_token else None
        if scope is not None and narrow.agency not in {"", scope.agency}:
            return Page(())
        found = await self._store.find_cases(scope, narrow, size + 1, place)
        token = ""
        if len(found) > size:
            moment, key = found[size - 1].place
            token = encode_token(time=moment.isoformat(), id=key)
        return Page(await self._shown(scope, [one.case for one in found[:size]]), token)

    async def _scope(self) -> Scope | None:
        """What of a department's the caller may see; None for everything."""
        caller = current_caller()
        if caller.kind is CallerKind.CLERK:
            clerk()
            return self._office.scope(await self._office.hands())
        caller.must(OPERATES)
        return None

    async def _shown(self, scope: Scope | None, rows: Sequence[CaseRow]) -> tuple[FoundCase, ...]:
        if not rows:
            return ()
        tasks = await self._store.tasks_of_cases(scope, [row.case_id for row in rows], TASKS_MAX)
        shown: list[FoundCase] = []
        for row in rows:
            assert row.submitted is not None, "drafts are their applicants' own"
            shown.append(
                FoundCase(
                    id=row.case_id,
                    receipt=row.receipt,
                    matter=row.matter,
                    title=(await self._office.engine.plan_of(row.definition)).matter.title,
                    status=row.status,
                    submitted=row.submitted,
                    ended=row.ended,
                    tasks=tuple(
                        self._office.summary(task, row.receipt) for task in tasks if task.case_id == row.case_id
                    ),
                )
            )
        return tuple(shown)
