# SPDX-License-Identifier: Apache-2.0
"""The inbox of clerks."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from services.gateway.rest.shapes.base import Asked, Moment, Shape, Words
from services.gateway.rest.shapes.case import CaseLicense, Entry
from services.gateway.rest.shapes.material import Material
from services.gateway.service.inbox import LogKind

_NO_CONTROLS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_TASK = "6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"
Value = str | int | float | bool

ClerkName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$"),
    Field(description="Account of a clerk.", examples=["clerk-complaints-1"]),
]
Said = Annotated[
    str,
    StringConstraints(max_length=1000, pattern=_NO_CONTROLS),
    Field(description="For colleagues; the resident doesn't see it.", examples=["电话已核实。"]),
]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
Skill = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class TaskSummary(Shape):
    """One task of a list; nothing about the person it concerns."""

    id: str = Field(description="UUID.", examples=[_TASK])
    case_id: str = Field(description="The case (UUID).")
    receipt: str = Field(description="Case number 办件编号.")
    matter: str = Field(examples=["complaint"])
    title: Words
    operation: str = Field(description="What is to be done.", examples=["answer_complaint"])
    queue: str = Field(examples=["complaints"])
    region: str = Field(description="Region code (GB/T 2260) of the place concerned.", examples=["990100"])
    state: Literal["open", "claimed", "proposed", "done", "refused", "closed"] = Field(
        description="`proposed`: an answer waits for a second clerk. `closed`: the case no longer asks for it."
    )
    clerk: str = Field(description="Account of who holds it or did it; empty for nobody.")
    since: Moment | None = Field(description="From when.")
    proposer: str = Field(description="Whose answer waits for a second clerk; empty where none does.")
    expert: str = Field(description="Who was asked for an opinion and has not given it; empty for nobody.")
    created: Moment | None
    due: Moment | None = Field(description="By when it is to be answered; null where no limit runs.")
    overdue: bool
    finished: Moment | None
    version: int = Field(description="Counts up with every change; the ETag. Give it back in If-Match.")


class Tasks(Shape):
    """Some tasks, by due date; those without one come last."""

    tasks: list[TaskSummary]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")


class WantedOutput(Shape):
    """A value that must come back when the task is done."""

    name: str = Field(examples=["reply_number"])
    type: str = Field(
        description="`text`, `serial`, `date`, `citizen_number`, `uuid`, `number` or `boolean`.", examples=["serial"]
    )
    required: bool


class CaseFact(Shape):
    """What another step of this very department found out."""

    step_id: str
    title: Words
    values: dict[str, Value]
    disputed: list[str] = Field(
        description="Names of values that were in dispute at their source when they were asked for."
    )


class Ground(Shape):
    """A reason that the matter lists; the words are what the resident reads."""

    reason: str = Field(examples=["OUTSIDE_JURISDICTION"])
    message: Words


class Proposal(Shape):
    """An answer that waits for a second clerk."""

    output: dict[str, Value] | None = Field(description="What came of the task; null for a refusal.")
    reason: str = Field(description="Of a refusal.")
    message: Words | None = Field(description="Of a refusal: what the resident will read.")


class Item(Shape):
    """One thing that the applicant was asked to correct."""

    name: str = Field(description="Field of the form.", examples=["about"])
    words: Words


class Extension(Shape):
    """More time that was asked for."""

    by: str = Field(description="Who asked.")
    working_days: int
    message: Words = Field(description="Why.")
    granted: bool | None = Field(description="Null until the head has decided.")


class LogEntry(Shape):
    """One thing that happened to the task within the department."""

    time: Moment
    kind: LogKind
    clerk_id: str = Field(description="Who did it.")
    other: str = Field(description="The clerk who got it; empty otherwise.")
    words: str = Field(description="What was said beside it; empty for nothing.")


class Task(Shape):
    """A task with everything beside it that its department may see."""

    task: TaskSummary
    matter_title: Words
    basis: str = Field(description="Legal basis of knowing what stands here.")
    submitted: Moment | None
    input: dict[str, Value | dict[str, Value]] = Field(
        description="What the task needs; empty once it has ended.", examples=[{"subject": "路灯不亮"}]
    )
    facts: list[CaseFact]
    licenses: list[CaseLicense]
    outputs: list[WantedOutput]
    four_eyes: bool = Field(description="An answer counts once a second clerk has approved it.")
    refusals: list[Ground]
    proposal: Proposal | None
    corrections: list[Item]
    materials: list[Material] = Field(
        description="What was handed in for this task; files are read at `/materials/{material_id}`."
    )
    extension: Extension | None
    timeline: list[Entry]
    log: list[LogEntry]


class Queue(Shape):
    """A queue and its figures: tasks that the caller may see."""

    id: str = Field(examples=["complaints"])
    title: Words
    skill: str = Field(description="What a clerk must be able to do.", examples=["complaints"])
    open: int = Field(description="Neither answered nor closed.")
    unclaimed: int
    mine: int = Field(description="In the caller's hands, or of somebody the caller stands in for.")
    overdue: int
    handled: int = Field(description="Tasks that the median is of: the last ones, 200 at most.")
    median_seconds: float | None = Field(description="From claim to answer; null where none was handled yet.")


class Queues(Shape):
    """The queues that the caller may work in."""

    queues: list[Queue]


class Absence(Shape):
    """When a clerk is away, and who stands in."""

    first: date
    last: date
    substitute: str


class Clerk(Shape):
    """A clerk on the department's roster."""

    id: str = Field(description="Account.", examples=["clerk-complaints-1"])
    name: Words
    region: str = Field(description="Jurisdiction: prefix of region codes; empty for all.", examples=["9901"])
    skills: list[str] = Field(examples=[["complaints"]])
    active: bool
    absence: Absence | None = Field(description="The one that runs or comes; null for none.")


class Clerks(Shape):
    """Some of the roster, by account."""

    clerks: list[Clerk]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")


class Outcome(Shape):
    """What became of one task of many."""

    task_id: str
    ok: bool
    reason: str = Field(description="Machine reason why not; empty where it was done.", examples=["TASK_HELD"])
    detail: str = Field(description="The same in words.")


class Outcomes(Shape):
    """In the order of the request; each has its own outcome."""

    outcomes: list[Outcome]


class Preview(Shape):
    """What the resident would read."""

    status: str = Field(description="Of the case afterwards.", examples=["completed"])
    timeline: list[Entry]
    notices: list[Words]


class SayWhy(Asked):
    """Words beside what is done."""

    words: Said = ""


class NewNote(Asked):
    """A note for colleagues."""

    words: Annotated[
        str,
        StringConstraints(min_length=1, max_length=1000, pattern=_NO_CONTROLS),
        Field(description="For colleagues; the resident doesn't see it.", examples=["电话已核实。"]),
    ]


class Assignment(Asked):
    """To whom a task is given."""

    clerk: ClerkName
    words: Said = ""


class OwnWords(Asked):
    """Words that the resident reads, in both languages."""

    zh: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_CONTROLS)] = Field(
        description="Chinese.", examples=["所述地点不在本市。"]
    )
    en: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_CONTROLS)] = Field(
        description="English.", examples=["The place is outside this city."]
    )


class Refused(Asked):
    """Why a task is refused."""

    reason: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,63}$"),
        Field(description="Machine reason.", examples=["OUTSIDE_JURISDICTION"]),
    ]
    message: Annotated[OwnWords | None, Field(description="Left out: the matter's words for the reason.")] = None


class NewItem(Asked):
    """One thing to correct."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = Field(
        description="Field of the form.", examples=["about"]
    )
    words: OwnWords


class Corrections(Asked):
    """Everything that the applicant is to correct; a task can ask once."""

    items: Annotated[list[NewItem], Field(min_length=1, max_length=50)]


class MoreTime(Asked):
    """More time, and why."""

    working_days: Annotated[int, Field(ge=1, le=60, examples=[5])]
    reason: OwnWords


class Decision(Asked):
    """Whether more time is granted."""

    granted: bool


class Question(Asked):
    """What an expert is asked."""

    expert: ClerkName
    question: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=_NO_CONTROLS)] = Field(
        examples=["结构是否安全？"]
    )


class Opinion(Asked):
    """What the expert says."""

    opinion: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=_NO_CONTROLS)] = Field(
        examples=["结构安全。"]
    )


class Answer(Asked):
    """How a task is answered: with an output, or with a refusal."""

    output: Annotated[
        dict[str, Value] | None,
        Field(max_length=100, description="What came of it, by name; as the task's `outputs` declare.", examples=[{}]),
    ] = None
    refused: Refused | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Answer":
        if (self.output is None) == (self.refused is None):
            raise ValueError("give either output or refused")
        return self


class BulkTask(Asked):
    """One task of many."""

    id: Annotated[UUID, Field(strict=False, description="The task (UUID).", examples=[_TASK])]
    version: Annotated[int | None, Field(ge=1, description="That was read; left out: no check.")] = None


class Bulk(Asked):
    """The same for some tasks."""

    action: Annotated[
        Literal["claim", "release", "assign", "answer"],
        Field(description="`assign` needs `clerk`, `answer` needs `answer`.", examples=["claim"]),
    ]
    tasks: Annotated[list[BulkTask], Field(min_length=1, max_length=50)]
    clerk: ClerkName | None = None
    answer: Answer | None = None
    words: Said = ""

    @model_validator(mode="after")
    def _together(self) -> "Bulk":
        if (self.action == "assign") != (self.clerk is not None):
            raise ValueError("clerk belongs to assign, and assign needs it")
        if (self.action == "answer") != (self.answer is not None):
            raise ValueError("answer belongs to the action answer, which needs it")
        return self


class RosterEntry(Asked):
    """A clerk as the roster has them from now on."""

    name_zh: Title = Field(description="Chinese.", examples=["热线坐席一"])
    name_en: Title = Field(description="English.", examples=["Hotline clerk 1"])
    region: Annotated[
        str,
        StringConstraints(pattern=r"^[0-9]{0,12}$"),
        Field(description="Jurisdiction: prefix of region codes (GB/T 2260); empty for all.", examples=["9901"]),
    ] = ""
    skills: Annotated[list[Skill], Field(max_length=50, examples=[["complaints"]])]
    active: bool = True


class NewAbsence(Asked):
    """When a clerk is away, and who stands in."""

    first: Annotated[date, Field(strict=False, description="First day.", examples=["2026-12-01"])]
    last: Annotated[date, Field(strict=False, description="Last day; at most 366 in all.", examples=["2026-12-04"])]
    substitute: ClerkName
