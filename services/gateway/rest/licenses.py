# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/licenses`: the caller's own licenses, and those he reads for a holder."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from services.gateway.rest.contract import LINK, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.license import License, Licenses, LicenseSummary

router = APIRouter(route_class=JsonRoute, tags=["licenses"], dependencies=[Depends(resident)])


@router.get(
    "/api/v1/licenses",
    summary="List own licenses",
    operation_id="list_licenses",
    response_model=Licenses,
    responses={200: answers("Licenses, newest first.", LINK), **errors(401, 403)},
)
async def list_licenses(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """List the caller's licenses, and those of persons he stands for, without what stands in them."""
    page = await door.service.licenses(page_size=page_size, page_token=page_token)
    body = Licenses(licenses=[LicenseSummary.model_validate(row) for row in page.rows], next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.get(
    "/api/v1/licenses/{license_id}",
    summary="Read one license with its credential",
    operation_id="get_license",
    response_model=License,
    responses={200: answers("The license."), **errors(401, 403, 404)},
)
async def get_license(
    door: TheDoor,
    license_id: Annotated[
        UUID, Path(description="The license (UUID).", examples=["0b6b1f2e-1f5e-4f0e-9a55-6f3e1f6a7c11"])
    ],
) -> Response:
    """Read one license with everything in it. The ledger gets a leaf for it."""
    body = License.model_validate(await door.service.license(str(license_id)))
    return Response(body.model_dump_json(), media_type="application/json")
