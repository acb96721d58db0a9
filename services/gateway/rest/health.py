# SPDX-License-Identifier: Apache-2.0
"""`/healthz` and `/readyz`: for whoever starts, watches and routes to this process."""

import asyncio

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import JSONResponse, Response

from services.gateway.rest.contract import answers
from services.gateway.rest.door import TheDoor
from services.gateway.rest.shapes.base import Shape

_CHECK_SECONDS = 3.0

router = APIRouter(tags=["health"])


class Health(Shape):
    """How this process is."""

    status: str = Field(description="`ok`, or `not_ready`.", examples=["ok"])
    failing: dict[str, str] = Field(default={}, description="Parts that are not ready, and why.")


@router.get(
    "/healthz",
    summary="Is the process alive",
    operation_id="get_health",
    response_model=Health,
    responses={200: answers("It is.")},
)
async def healthz() -> Response:
    """Answers as long as the process can answer at all; looks at nothing else."""
    return JSONResponse({"status": "ok", "failing": {}})


@router.get(
    "/readyz",
    summary="Can the process serve",
    operation_id="get_readiness",
    response_model=Health,
    responses={200: answers("It can."), 503: {"description": "It can't; `failing` names the parts.", "model": Health}},
)
async def readyz(door: TheDoor) -> Response:
    """Asks every part that an answer needs."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            failing = dict(await door.ready())
    except TimeoutError:
        failing = {"checks": f"Did not answer within {_CHECK_SECONDS:g} s."}
    body = {"status": "not_ready" if failing else "ok", "failing": failing}
    return JSONResponse(body, status_code=503 if failing else 200, headers={"retry-after": "1"} if failing else None)
