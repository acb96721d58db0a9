# SPDX-License-Identifier: Apache-2.0
"""The door of Estonia's Data Tracker (Andmejälgija, usage service 2.1.0): findUsage, usagePeriod, heartbeat, as an existing client asks them.

Persons are named by their subject id, never by a number: numbers have no place in URLs. A resident asks for themselves alone. What an order
hides is not here, since these shapes have no room for it; `/api/v1/accesses` counts and proves it.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from pydantic import Field
from starlette.responses import Response

from services.gateway.rest.contract import Instant, JsonRoute, answers, errors
from services.gateway.rest.door import Resident, TheDoor, resident
from services.gateway.rest.shapes.base import Moment, Shape
from services.gateway.service import AccessView, NarrowAccesses
from services.kit.errors import RequestInvalid, Violation

USAGES_DEFAULT = 1000
USAGES_MAX = 10_000
_CHECK_SECONDS = 3.0
_PREFIX = "/data-tracker"

router = APIRouter(prefix=_PREFIX, route_class=JsonRoute, tags=["accesses"], dependencies=[Depends(resident)])
public = APIRouter(prefix=_PREFIX, route_class=JsonRoute, tags=["accesses"])


class Usage(Shape):
    """One use of a person's data."""

    logtime: Moment
    action: str = Field(description="Why, in words for people.")
    receiverCode: str = Field(description="Code of the department that got the data, or used them.")  # noqa: N815 - theirs
    receiverName: str = Field(description="Its name.")  # noqa: N815 - theirs
    receiverSystem: str = Field(description="The system that asked.")  # noqa: N815 - theirs


class FindUsageResponse(Shape):
    """Uses, newest first."""

    totalUsages: int = Field(description="All that match, whatever limit and offset.")  # noqa: N815 - theirs
    usages: list[Usage]


class UsagePeriodResponse(Shape):
    """Since when uses are kept; without an end: until now."""

    periodStart: Moment  # noqa: N815 - theirs


class HeartbeatResponse(Shape):
    """Whether the door can answer."""

    status: str = Field(description="`OK` or `FAIL`.", json_schema_extra={"enum": ["OK", "FAIL"]})
    message: str


@router.get(
    "/v2/findUsage",
    summary="Uses of a person's data (Data Tracker)",
    operation_id="findUsage",
    response_model=FindUsageResponse,
    responses={200: answers("Uses, newest first."), **errors(401, 403)},
)
async def find_usage(  # noqa: PLR0917 - the parameters are theirs
    door: TheDoor,
    caller: Resident,
    x_road_user_id: Annotated[
        str, Header(alias="X-Road-UserId", max_length=200, description="Who asks: the subject id.")
    ],
    user_code: Annotated[str, Query(alias="userCode", max_length=200, description="Whose uses: the same person.")],
    period_start: Annotated[Instant | None, Query(alias="periodStart", description="Uses from this moment on.")] = None,
    period_end: Annotated[Instant | None, Query(alias="periodEnd", description="Uses before this moment.")] = None,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1, description="Uses to leave out.")] = 0,
    limit: Annotated[int, Query(ge=0, le=USAGES_MAX, description="Uses at most.")] = USAGES_DEFAULT,
) -> Response:
    """The caller's own; on another's behalf is not possible yet."""
    if not x_road_user_id == user_code == caller.id:
        raise RequestInvalid(
            "A resident asks for themselves.",
            violations=[Violation("userCode", "The subject id of the access token, as in X-Road-UserId.")],
        )
    found = await door.service.usages(NarrowAccesses(from_time=period_start, to_time=period_end))
    body = FindUsageResponse(totalUsages=len(found), usages=[_usage(view) for view in found[offset : offset + limit]])
    return Response(body.model_dump_json(), media_type="application/json")


@public.get(
    "/v2/usagePeriod",
    summary="Since when uses are kept (Data Tracker)",
    operation_id="usagePeriod",
    response_model=UsagePeriodResponse,
    responses={200: answers("The time since which uses can be asked for."), **errors()},
)
async def usage_period(door: TheDoor) -> Response:
    """The oldest use that can still be read, of anybody; now, where there is none."""
    body = UsagePeriodResponse(periodStart=await door.service.accesses_since() or door.clock())
    return Response(body.model_dump_json(), media_type="application/json")


@public.get(
    "/v2/heartbeat",
    summary="Whether this door can answer (Data Tracker)",
    operation_id="heartbeat",
    response_model=HeartbeatResponse,
    responses={200: answers("It can, or says why not.")},
)
async def heartbeat(door: TheDoor) -> Response:
    """Asks every part that an answer needs."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            failing = dict(await door.ready())
    except TimeoutError:
        failing = {"checks": "late"}
    message = f"Not ready: {', '.join(sorted(failing))}" if failing else "API is ready"
    body = HeartbeatResponse(status="FAIL" if failing else "OK", message=message)
    return Response(body.model_dump_json(), media_type="application/json")


def _usage(view: AccessView) -> Usage:
    assert view.time is not None, "only one that is withheld has none"
    agency = view.on_behalf_of or (view.asked_by.agency if view.asked_by else None)
    asker: Any = agency.name if agency else view.asked_by.name if view.asked_by else None
    return Usage(
        logtime=view.time,
        action=f"{view.operation_name.zh}（{view.purpose_name.zh}） {view.operation_name.en} ({view.purpose_name.en})",
        receiverCode=agency.uscc if agency else view.caller,
        receiverName=f"{asker.zh} {asker.en}" if asker else "",
        receiverSystem=view.actor,
    )
