# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/sandbox`: made-up accounts, where there is a sandbox."""

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import Response

from services.gateway.domain.refusals import SandboxOff
from services.gateway.rest.contract import JsonRoute, answers, errors
from services.gateway.rest.door import TheDoor, anybody
from services.gateway.rest.shapes.base import Shape, Words

router = APIRouter(route_class=JsonRoute, tags=["sandbox"], dependencies=[Depends(anybody)])


class Persona(Shape):
    """A made-up account of the sandbox city."""

    key: str = Field(description="Give it as `persona` to /oauth/token.", examples=["mother-1"])
    role: str = Field(description="`citizen`, `clerk` or `operator`.", examples=["citizen"])
    title: Words
    samples: dict[str, Any] = Field(description="Sample answers by matter.")


class Personas(Shape):
    """All made-up accounts."""

    personas: list[Persona]


@router.get(
    "/api/v1/sandbox/personas",
    summary="List the sandbox's made-up accounts",
    operation_id="list_personas",
    response_model=Personas,
    responses={200: answers("The accounts, with sample answers."), **errors(404)},
)
async def list_personas(door: TheDoor) -> Response:
    """Made-up accounts with sample answers; 404 (SANDBOX_OFF) where the system is no sandbox. Needs no token."""
    if not door.sandbox:
        raise SandboxOff("This system is no sandbox.")
    body = Personas(personas=[Persona.model_validate(view) for view in await door.service.personas()])
    return Response(body.model_dump_json(), media_type="application/json")
