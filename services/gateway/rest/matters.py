# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/matters`: what a resident can ask for."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from services.gateway.rest.contract import JsonRoute, answers, errors
from services.gateway.rest.door import TheDoor, anybody
from services.gateway.rest.shapes.base import Shape
from services.gateway.rest.shapes.matter import Matter, Matters

router = APIRouter(route_class=JsonRoute, tags=["matters"], dependencies=[Depends(anybody)])
_CACHED = {"cache-control": "public, max-age=60"}


@router.get(
    "/api/v1/matters",
    summary="List what can be asked for",
    operation_id="list_matters",
    response_model=Matters,
    responses={200: answers("All matters, by code."), **errors()},
)
async def list_matters(door: TheDoor) -> Response:
    """Every matter with its form and its steps. Needs no token."""
    return _rendered(Matters(matters=[Matter.model_validate(view) for view in door.service.list_matters()]))


@router.get(
    "/api/v1/matters/{code}",
    summary="Read one matter with its form",
    operation_id="get_matter",
    response_model=Matter,
    responses={200: answers("The matter."), **errors(404)},
)
async def get_matter(
    door: TheDoor, code: Annotated[str, Path(max_length=64, description="Code of the matter.", examples=["birth"])]
) -> Response:
    """One matter: the one form, who does what, and what it rests on. Needs no token."""
    return _rendered(Matter.model_validate(door.service.matter(code)))


def _rendered(shape: Shape) -> Response:
    return Response(shape.model_dump_json(), media_type="application/json", headers=_CACHED)
