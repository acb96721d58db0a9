# SPDX-License-Identifier: Apache-2.0
"""What a clerk sees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from services.gateway.domain.dealings import Extension
from services.gateway.domain.desk import Ground
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import CorrectionItem
from services.gateway.domain.values import StepInput
from services.gateway.service.inbox.ports import LogEntry
from services.gateway.service.inbox.verdict import Verdict
from services.gateway.service.materials import MaterialView
from services.gateway.service.views import IssuedLicense, TimelineEntry
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One row of a list; no data of the person it is about."""

    id: str
    case_id: str
    receipt: str
    matter: str
    title: Text
    operation: str
    queue: str
    region: str
    state: str
    """`open`, `claimed`, `proposed`, `done`, `refused` or `closed`."""
    clerk: str
    """Account of who holds it or did it; empty for nobody."""
    since: datetime | None
    proposer: str
    """Whose answer waits for a second clerk; empty where none does."""
    expert: str
    """Who was asked for an opinion and has not given it; empty for nobody."""
    created: datetime | None
    due: datetime | None
    overdue: bool
    finished: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """What a task must give back."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class CaseFact:
    """What another step of the same department found out for this case; `disputed`: names of values in dispute then."""

    step_id: str
    title: Text
    values: Mapping[str, Scalar] = field(repr=False)
    disputed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """A task with everything beside it that its department may see."""

    task: TaskSummary
    matter_title: Text
    basis: str
    submitted: datetime | None
    input: StepInput = field(repr=False)
    """Empty once it has ended: it has served its purpose."""
    facts: tuple[CaseFact, ...] = field(repr=False)
    licenses: tuple[IssuedLicense, ...]
    outputs: tuple[WantedOutput, ...]
    four_eyes: bool
    """An answer counts once a second clerk has approved it."""
    refusals: tuple[Ground, ...]
    """Reasons that the matter lists for refusing it."""
    proposal: Verdict | None
    """The answer that waits for a second clerk."""
    corrections: tuple[CorrectionItem, ...]
    """What the applicant was asked to correct."""
    extension: Extension | None
    """More time that was asked for."""
    materials: tuple[MaterialView, ...]
    """What was handed in for this task to see."""
    timeline: tuple[TimelineEntry, ...]
    log: tuple[LogEntry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreviewOfAnswer:
    """What the resident would read."""

    status: str
    """Of the case afterwards."""
    timeline: tuple[TimelineEntry, ...]
    notices: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue and its live tasks that the clerk may see."""

    id: str
    title: Text
    skill: str
    open: int
    unclaimed: int
    mine: int
    overdue: int
    handled: int
    """Tasks that the median is of: the last ones, 200 at most."""
    median_seconds: float | None
    """From claim to answer; None where none was handled yet."""


@dataclass(frozen=True, slots=True)
class AbsenceView:
    """When a clerk is away, and who stands in."""

    first: date
    last: date
    substitute: str


@dataclass(frozen=True, slots=True)
class ClerkView:
    """A clerk on the roster."""

    id: str
    name: Text
    region: str
    skills: tuple[str, ...]
    active: bool
    absence: AbsenceView | None


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What became of one task of many: its state, or the reason why not."""

    task_id: str
    ok: bool
    reason: str = ""
    detail: str = ""
