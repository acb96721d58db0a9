# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/tasks/{task_id}/...`: a second clerk's word, corrections, more time, experts."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header
from starlette.responses import Response

from services.gateway.domain.history import CorrectionItem
from services.gateway.rest.contract import IdempotencyKey, IfMatch, JsonRoute, answers, errors
from services.gateway.rest.door import TheDoor
from services.gateway.rest.inbox import ACTS, ETAG, TaskId, act_of, clerk_only, task_shown
from services.gateway.rest.shapes.inbox import (
    Corrections,
    Decision,
    MoreTime,
    NewNote,
    Opinion,
    OwnWords,
    Question,
    TaskSummary,
)
from services.kit.text import Text

router = APIRouter(route_class=JsonRoute, tags=["tasks"], dependencies=[Depends(clerk_only)])

Read = Annotated[
    str,
    Header(
        alias="If-Match",
        max_length=100,
        pattern=r'^"[0-9]{1,9}"$',
        description="ETag of the version that was read: nobody judges what they have not seen. 412 where it has changed.",
        examples=['"3"'],
    ),
]


@router.post(
    "/api/v1/tasks/{task_id}/approve",
    summary="Approve a colleague's answer",
    operation_id="approve_answer",
    response_model=TaskSummary,
    responses={200: answers("The answer counts; the case goes on with it.", ETAG), **errors(401, 403, 404, 409, 412)},
)
async def approve_answer(door: TheDoor, task_id: TaskId, key: IdempotencyKey, if_match: Read) -> Response:
    """Let the answer that a colleague has proposed count; `FOUR_EYES` for whoever proposed it."""
    return task_shown(await door.inbox.acting.approve(act_of(task_id, key, if_match)))


@router.post(
    "/api/v1/tasks/{task_id}/send-back",
    summary="Send a colleague's answer back",
    operation_id="send_answer_back",
    response_model=TaskSummary,
    responses={200: answers("The task is with the colleague again.", ETAG), **ACTS},
)
async def send_answer_back(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, if_match: Read, asked: Annotated[NewNote, Body()]
) -> Response:
    """Do not let a proposed answer count, and say why."""
    return task_shown(await door.inbox.acting.send_back(act_of(task_id, key, if_match), asked.words))


@router.post(
    "/api/v1/tasks/{task_id}/corrections",
    summary="Ask the applicant for corrections",
    operation_id="ask_corrections",
    response_model=TaskSummary,
    responses={200: answers("The applicant is asked; the task stays with the caller.", ETAG), **ACTS},
)
async def ask_corrections(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[Corrections, Body()], if_match: IfMatch = ""
) -> Response:
    """Ask for everything that is to be corrected, at once: a task can ask once (administrative license law, art. 32)."""
    items = [CorrectionItem(one.name, _text(one.words)) for one in asked.items]
    return task_shown(await door.inbox.acting.ask_correction(act_of(task_id, key, if_match), items))


@router.post(
    "/api/v1/tasks/{task_id}/extension",
    summary="Ask for more time",
    operation_id="ask_extension",
    response_model=TaskSummary,
    responses={200: answers("A supervisor is asked.", ETAG), **ACTS},
)
async def ask_extension(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[MoreTime, Body()], if_match: IfMatch = ""
) -> Response:
    """Ask the head for more time; the applicant reads why (administrative license law, art. 42)."""
    act = act_of(task_id, key, if_match)
    return task_shown(await door.inbox.acting.ask_extension(act, asked.working_days, _text(asked.reason)))


@router.post(
    "/api/v1/tasks/{task_id}/extension/decision",
    summary="Grant more time or not",
    operation_id="decide_extension",
    response_model=TaskSummary,
    responses={200: answers("It is decided.", ETAG), **ACTS},
)
async def decide_extension(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[Decision, Body()], if_match: IfMatch = ""
) -> Response:
    """Decide on more time; needs the right `gateway.supervise`, and another person than who asked (`FOUR_EYES`)."""
    act = act_of(task_id, key, if_match)
    return task_shown(await door.inbox.acting.decide_extension(act, granted=asked.granted))


@router.post(
    "/api/v1/tasks/{task_id}/expert",
    summary="Ask an expert for an opinion",
    operation_id="ask_expert",
    response_model=TaskSummary,
    responses={200: answers("The expert sees the task until they have answered.", ETAG), **ACTS},
)
async def ask_expert(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[Question, Body()], if_match: IfMatch = ""
) -> Response:
    """Ask a colleague on the roster. Where the matter names the law that says so, the time until the answer does not count."""
    act = act_of(task_id, key, if_match)
    return task_shown(await door.inbox.acting.ask_expert(act, asked.expert, asked.question))


@router.post(
    "/api/v1/tasks/{task_id}/opinion",
    summary="Give an opinion",
    operation_id="give_opinion",
    response_model=TaskSummary,
    responses={200: answers("It stands beside the task.", ETAG), **ACTS},
)
async def give_opinion(
    door: TheDoor, task_id: TaskId, key: IdempotencyKey, asked: Annotated[Opinion, Body()], if_match: IfMatch = ""
) -> Response:
    """Give the opinion that the caller was asked for."""
    return task_shown(await door.inbox.acting.give_opinion(act_of(task_id, key, if_match), asked.opinion))


def _text(words: OwnWords) -> Text:
    return Text(words.zh, words.en)
