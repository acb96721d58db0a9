# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/tasks`: what clerks see and do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from starlette.responses import Response

from services.gateway.rest.contract import (
    LINK,
    IdempotencyKey,
    IfMatch,
    Instant,
    JsonRoute,
    PageSize,
    PageToken,
    answers,
    errors,
    version_of,
)
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.materials import FILE, MaterialId, downloaded
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.inbox import (
    Answer,
    Assignment,
    Bulk,
    NewNote,
    Outcome,
    Outcomes,
    Preview,
    SayWhy,
    Task,
    Tasks,
    TaskSummary,
)
from services.gateway.service.inbox import Act, TaskFilter, Verdict, Whose, clerk
from services.gateway.service.inbox import TaskSummary as Summary
from services.gateway.service.ports import TaskState
from services.kit.caller import Caller
from services.kit.text import Text


async def clerk_only(_: Annotated[Caller, Depends(resident)]) -> AsyncIterator[None]:
    """Let clerks in alone. Raises ClerkOnly, RightMissing."""
    clerk()
    yield


router = APIRouter(route_class=JsonRoute, tags=["tasks"], dependencies=[Depends(clerk_only)])

TaskId = Annotated[UUID, Path(description="The task (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])]
States = Annotated[
    Literal["live", "open", "claimed", "proposed", "done", "refused", "closed"],
    Query(description="`live`: open, claimed or proposed."),
]
Code = Annotated[str, Query(max_length=64, description="Empty for all.")]
ETAG = {"ETag": {"description": "The task's version, in quotes.", "schema": {"type": "string"}, "example": '"3"'}}
ACTS = errors(401, 403, 404, 409, 412, 413, 415)
_STATES = {
    "live": frozenset({TaskState.OPEN, TaskState.LEASED}),
    "open": frozenset({TaskState.OPEN}),
    "claimed": frozenset({TaskState.LEASED}),
    "proposed": frozenset({TaskState.LEASED}),
    "done": frozenset({TaskState.DONE}),
    "refused": frozenset({TaskState.REFUSED}),
    "closed": frozenset({TaskState.CLOSED}),
}


@router.get(
    "/api/v1/tasks",
    summary="List tasks",
    operation_id="list_tasks",
    response_model=Tasks,
    responses={200: answers("Some tasks.", LINK), **errors(401, 403)},
)
async def list_tasks(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    state: States = "live",
    queue: Code = "",
    matter: Code = "",
    whose: Annotated[Whose, Query(description="`mine`: also those of whom the caller stands in for.")] = Whose.ALL,
    due_before: Annotated[Instant | None, Query(description="Only those due before (RFC 3339).")] = None,
    *,
    overdue: Annotated[bool, Query(description="Only those whose due date has passed.")] = False,
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """List tasks within the caller's skills and jurisdiction, by due date; a supervisor sees the whole department's."""
    now = door.clock()
    bounds = [each for each in (due_before, now if overdue else None) if each is not None]
    proposed = state == "proposed" if state in {"claimed", "proposed"} else None
    narrow = TaskFilter(_STATES[state], queue, matter, whose, min(bounds, default=None), proposed)
    page = await door.inbox.reading.tasks(narrow, page_size=page_size, page_token=page_token)
    shown = Tasks(tasks=[TaskSummary.model_validate(row) for row in page.rows], next_page_token=page.next_token)
    return Response(shown.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.post(
    "/api/v1/tasks/bulk",
    summary="Do the same with some tasks",
    operation_id="act_on_tasks",
    response_model=Outcomes,
    responses={200: answers("What became of each."), **errors(401, 403, 409, 413, 415)},
)
async def act_on_tasks(door: TheDoor, key: IdempotencyKey, asked: Annotated[Bulk, Body()]) -> Response:
    """Do the same with at most 50 tasks, one after the other. One that can't be done doesn't hinder the others."""
    acts = [Act(str(one.id), f"{key}:{one.id}", one.version) for one in asked.tasks]
    outcomes = await door.inbox.acting.bulk(acts, _many(door, asked))
    shown = Outcomes(outcomes=[Outcome.model_validate(one) for one in outcomes])
    return Response(shown.model_dump_json(), media_type="application/json")


@router.get(
    "/api/v1/tasks/{task_id}",
    summary="Read a task with everything beside it",
    operation_id="read_task",
    response_model=Task,
    responses={200: answers("The task.", ETAG), **errors(401, 403, 404)},
)
async def read_task(request: Request, door: TheDoor, task_id: TaskId) -> Response:
    """Read a task: what it needs, what is known, what happened."""
    detail = await door.inbox.reading.task(str(task_id))
    request.scope["tongban.case"] = detail.task.case_id
    return _json(Task.model_validate(detail), detail.task.version)


@router.get(
    "/api/v1/tasks/{task_id}/materials/{material_id}",
    summary="Read a file that was handed in",
    operation_id="read_file_of_task",
    response_class=Response,
    responses={200: {**answers("The bytes as they were sent."), "content": FILE}, **errors(401, 403, 404)},
)
async def read_file(door: TheDoor, task_id: TaskId, material_id: MaterialId) -> Response:
    """Read a file that the applicant handed in for this task, as long as it is open. The applicant sees who read it."""
    return downloaded(await door.inbox.reading.material(str(task_id), str(material_id)), str(material_id))


@router.post(
    "/api/v1/tasks/{task_id}/claim",
    summary="Claim a task",
    operation_id="claim_task",
    response_model=TaskSummary,
    responses={200: answers("It is the caller's now.", ETAG), **ACTS},
)
async def claim_task(door: TheDoor, task_id: TaskId, key: IdempotencyKey, if_match: IfMatch = "") -> Response:
    """Take a task that nobody holds. Of two who claim at once one wins; the other learns by `TASK_HELD` who, and since when."""
    return task_shown(await door.inbox.acting.claim(act_of(task_id, key, if_match)))


@router.post(
    "/api/v1/tasks/{task_id}/release",
    summary="Put a task back",
    operation_id="release_task",
    response_model=TaskSummary,
    responses={200: answers("Nobody holds it now.", ETAG), **ACTS},
)
async def release_task(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[SayWhy, Body()], if_match: IfMatch = ""
) -> Response:
    """Put a task back into its queue."""
    return task_shown(await door.inbox.acting.release(act_of(task_id, key, if_match), asked.words))


@router.post(
    "/api/v1/tasks/{task_id}/assign",
    summary="Give a task to a clerk",
    operation_id="assign_task",
    response_model=TaskSummary,
    responses={200: answers("It is in that clerk's hands now.", ETAG), **ACTS},
)
async def assign_task(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[Assignment, Body()], if_match: IfMatch = ""
) -> Response:
    """Give a task to a clerk, or hand it over from another; needs the right `gateway.supervise`."""
    return task_shown(await door.inbox.acting.assign(act_of(task_id, key, if_match), asked.clerk, asked.words))


@router.post(
    "/api/v1/tasks/{task_id}/notes",
    summary="Write a note beside a task",
    operation_id="note_task",
    response_model=TaskSummary,
    responses={200: answers("It is written.", ETAG), **ACTS},
)
async def note_task(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[NewNote, Body()], if_match: IfMatch = ""
) -> Response:
    """Write a note for colleagues; the resident doesn't see it."""
    return task_shown(await door.inbox.acting.note(act_of(task_id, key, if_match), asked.words))


@router.post(
    "/api/v1/tasks/{task_id}/answer",
    summary="Answer a task",
    operation_id="answer_task",
    response_model=TaskSummary,
    responses={200: answers("The case goes on with it.", ETAG), **ACTS},
)
async def answer_task(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[Answer, Body()], if_match: IfMatch = ""
) -> Response:
    """Say what came of a task that the caller holds, or refuse it in words that the resident reads.

    Where the task needs four eyes, the answer is kept as a proposal until a second clerk approves it.
    """
    return task_shown(await door.inbox.acting.answer(act_of(task_id, key, if_match), _verdict(asked)))


@router.post(
    "/api/v1/tasks/{task_id}/preview",
    summary="See what the resident would read",
    operation_id="preview_answer",
    response_model=Preview,
    responses={200: answers("What would follow."), **errors(401, 403, 404, 409, 413, 415)},
)
async def preview_answer(door: TheDoor, task_id: TaskId, asked: Annotated[Answer, Body()]) -> Response:
    """Tell what the resident would read if the task was answered so, now. Nothing changes."""
    preview = await door.inbox.acting.preview(str(task_id), _verdict(asked))
    return Response(Preview.model_validate(preview).model_dump_json(), media_type="application/json")


def _many(door: TheDoor, asked: Bulk) -> Callable[[Act], Awaitable[Summary]]:
    acting = door.inbox.acting
    match asked.action:
        case "claim":
            return acting.claim
        case "release":
            return lambda act: acting.release(act, asked.words)
        case "assign":
            return lambda act: acting.assign(act, asked.clerk or "", asked.words)
        case "answer":
            assert asked.answer is not None
            verdict = _verdict(asked.answer)
            return lambda act: acting.answer(act, verdict)


def _verdict(asked: Answer) -> Verdict:
    if asked.refused is None:
        return Verdict(output=asked.output)
    message = asked.refused.message
    return Verdict(reason=asked.refused.reason, message=Text(message.zh, message.en) if message else None)


def act_of(task_id: UUID, key: str, if_match: str) -> Act:
    """What a request does."""
    return Act(str(task_id), key, version_of(if_match))


def task_shown(task: Summary) -> Response:
    """The task as it is now."""
    return _json(TaskSummary.model_validate(task), task.version)


def _json(shown: Task | TaskSummary, version: int) -> Response:
    return Response(shown.model_dump_json(), media_type="application/json", headers={"etag": f'"{version}"'})
