# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/queues` and `/api/v1/clerks`: how much there is to do, who does it, and who stands in."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Request
from pydantic import StringConstraints
from starlette.responses import Response

from services.gateway.domain.inbox import Absence
from services.gateway.rest.contract import LINK, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor
from services.gateway.rest.inbox import clerk_only
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.inbox import Clerk, Clerks, NewAbsence, Queue, Queues, RosterEntry
from services.kit.text import Text

router = APIRouter(route_class=JsonRoute, tags=["tasks"], dependencies=[Depends(clerk_only)])

ClerkId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$"),
    Path(description="Account of the clerk.", examples=["clerk-complaints-1"]),
]
QueueId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
    Path(description="The queue.", examples=["complaints"]),
]


@router.get(
    "/api/v1/queues",
    summary="List queues with their figures",
    operation_id="list_queues",
    response_model=Queues,
    responses={200: answers("The queues."), **errors(401, 403)},
)
async def list_queues(door: TheDoor) -> Response:
    """List the queues that the caller may work in: what is open, unclaimed, the caller's and overdue, and how long it takes."""
    shown = Queues(queues=[Queue.model_validate(one) for one in await door.inbox.reading.queues()])
    return _json(shown)


@router.get(
    "/api/v1/queues/{queue_id}",
    summary="Read a queue with its figures",
    operation_id="read_queue",
    response_model=Queue,
    responses={200: answers("The queue."), **errors(401, 403, 404)},
)
async def read_queue(door: TheDoor, queue_id: QueueId) -> Response:
    """Read one queue that the caller may work in."""
    return _json(Queue.model_validate(await door.inbox.reading.queue(queue_id)))


@router.get(
    "/api/v1/clerks",
    summary="List the roster",
    operation_id="list_clerks",
    response_model=Clerks,
    responses={200: answers("Some clerks.", LINK), **errors(401, 403)},
)
async def list_clerks(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """List the clerks of the caller's department by account, and who stands in for whom."""
    page = await door.inbox.people.clerks(page_size=page_size, page_token=page_token)
    shown = Clerks(clerks=[Clerk.model_validate(one) for one in page.rows], next_page_token=page.next_token)
    return Response(shown.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.get(
    "/api/v1/clerks/{clerk_id}",
    summary="Read a clerk of the roster",
    operation_id="read_clerk",
    response_model=Clerk,
    responses={200: answers("The clerk."), **errors(401, 403, 404)},
)
async def read_clerk(door: TheDoor, clerk_id: ClerkId) -> Response:
    """Read one clerk of the caller's department."""
    return _json(Clerk.model_validate(await door.inbox.people.clerk(clerk_id)))


@router.put(
    "/api/v1/clerks/{clerk_id}",
    summary="Put a clerk on the roster",
    operation_id="put_clerk",
    response_model=Clerk,
    responses={200: answers("The clerk as kept."), **errors(401, 403, 413, 415)},
)
async def put_clerk(door: TheDoor, clerk_id: ClerkId, asked: Annotated[RosterEntry, Body()]) -> Response:
    """Put a clerk on the roster, or change one; needs the right `gateway.supervise`. The same again changes nothing."""
    put = await door.inbox.people.put_clerk(
        clerk_id,
        name=Text(asked.name_zh, asked.name_en),
        region=asked.region,
        skills=asked.skills,
        active=asked.active,
    )
    return _json(Clerk.model_validate(put))


@router.put(
    "/api/v1/clerks/{clerk_id}/absence",
    summary="Say when a clerk is away",
    operation_id="put_absence",
    response_model=Clerk,
    responses={200: answers("The clerk as kept."), **errors(401, 403, 404, 413, 415)},
)
async def put_absence(door: TheDoor, clerk_id: ClerkId, asked: Annotated[NewAbsence, Body()]) -> Response:
    """Say when the caller, or for a supervisor anybody of the department, is away, and who does their tasks meanwhile."""
    absence = Absence(clerk_id, asked.first, asked.last, asked.substitute)
    return _json(Clerk.model_validate(await door.inbox.people.put_absence(absence)))


@router.delete(
    "/api/v1/clerks/{clerk_id}/absence",
    summary="Say that a clerk is there again",
    operation_id="drop_absence",
    status_code=204,
    responses={204: answers("The clerk is there."), **errors(401, 403, 404)},
)
async def drop_absence(door: TheDoor, clerk_id: ClerkId) -> Response:
    """Say that the caller, or for a supervisor anybody of the department, is there again."""
    await door.inbox.people.drop_absence(clerk_id)
    return Response(status_code=204)


def _json(shown: Queues | Queue | Clerk) -> Response:
    return Response(shown.model_dump_json(), media_type="application/json")
