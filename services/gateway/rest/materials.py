# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/cases/{case_id}/materials`: files and licenses that an applicant hands in, reads and takes back."""

from collections.abc import AsyncIterator
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from starlette.responses import Response

from services.gateway.domain.material import BYTES_MAX, MediaType
from services.gateway.rest.cases import CaseId, rendered
from services.gateway.rest.contract import ETAG, IdempotencyKey, IfMatch, JsonRoute, answers, errors, version_of
from services.gateway.rest.door import Resident, TheDoor, resident
from services.gateway.rest.shapes.case import Case
from services.gateway.rest.shapes.material import ShownLicense
from services.gateway.service.life import OnCase
from services.gateway.service.materials import FileView

router = APIRouter(route_class=JsonRoute, tags=["cases"], dependencies=[Depends(resident)])

LARGER_BODIES: Final = {"/api/v1/cases/{case_id}/materials/{material}": BYTES_MAX}
"""Addresses that take larger bodies, in bytes; what a material itself may have is looked at while it arrives."""
_BINARY: Final = {"type": "string", "format": "binary"}
FILE: Final = {media_type.value: {"schema": _BINARY} for media_type in MediaType}
MaterialName = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="`id` of a material.", examples=["floor_plan"])
]
MaterialId = Annotated[
    UUID, Path(description="One thing that was handed in.", examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"])
]


async def uploading(caller: Resident, door: TheDoor) -> AsyncIterator[None]:
    """Hold one of a caller's places until the file is kept: a file is in memory for so long. Raises TooManyRequests."""
    with door.uploads.one_more(caller.label):
        yield


@router.post(
    "/api/v1/cases/{case_id}/materials/{material}",
    summary="Hand in a file",
    operation_id="upload_material",
    status_code=201,
    response_model=Case,
    responses={201: answers("The case with it.", ETAG), **errors(401, 403, 404, 409, 412, 413, 415)},
    openapi_extra={"requestBody": {"required": True, "content": FILE}},
)
async def upload_material(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    material: MaterialName,
    key: IdempotencyKey,
    _place: Annotated[None, Depends(uploading)],
    if_match: IfMatch = "",
) -> Response:
    """Send the bytes as they are, with their `Content-Type`. It is read no further than the material's `bytes_max`.

    A file is kept once its first bytes are those of its type (`MATERIAL_CONTENT_REFUSED`; a PDF with scripts, other files
    or a password as well), and the scanner has found nothing (`MATERIAL_INFECTED`). It is kept sealed, and goes with the
    draft. Drafts take files, and submitted cases those that `to_correct` names (else `MATERIAL_NOT_ASKED`).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    command = OnCase(str(case_id), key, version_of(if_match))
    view = await door.life.materials.upload(command, material, media_type, request.stream())
    return rendered(request, view, status=201)


@router.post(
    "/api/v1/cases/{case_id}/materials/{material}/license",
    summary="Let a license stand for a material",
    operation_id="show_license_for_material",
    status_code=201,
    response_model=Case,
    responses={201: answers("The case with it.", ETAG), **errors(401, 403, 404, 409, 412, 413, 415)},
)
async def show_license(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    material: MaterialName,
    key: IdempotencyKey,
    asked: Annotated[ShownLicense, Body()],
    if_match: IfMatch = "",
) -> Response:
    """An own license of the material's `license_type` that is in force: the licenses service says so, now and at submission."""
    command = OnCase(str(case_id), key, version_of(if_match))
    view = await door.life.materials.show_license(command, material, asked.license_id)
    return rendered(request, view, status=201)


@router.get(
    "/api/v1/cases/{case_id}/files/{material_id}",
    summary="Read a file that was handed in",
    operation_id="get_file_of_case",
    response_class=Response,
    responses={200: {**answers("The bytes as they were sent."), "content": FILE}, **errors(401, 403, 404)},
)
async def get_file(request: Request, door: TheDoor, case_id: CaseId, material_id: MaterialId) -> Response:
    """Read an own file."""
    request.scope["tongban.case"] = str(case_id)
    return downloaded(await door.life.materials.read(str(case_id), str(material_id)), str(material_id))


@router.delete(
    "/api/v1/cases/{case_id}/files/{material_id}",
    summary="Take back what was handed in",
    operation_id="delete_file_of_case",
    response_model=Case,
    responses={200: answers("The case without it.", ETAG), **errors(401, 403, 404, 409, 412)},
)
async def delete_file(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    material_id: MaterialId,
    key: IdempotencyKey,
    if_match: IfMatch = "",
) -> Response:
    """Take a file or a license back, while it is a draft or is to be corrected; a file is gone for good."""
    command = OnCase(str(case_id), key, version_of(if_match))
    return rendered(request, await door.life.materials.take_back(command, str(material_id)))


def downloaded(file: FileView, name: str) -> Response:
    """Bytes from outside: saved, never shown by the browser as a page of ours."""
    extension = file.media_type.rpartition("/")[2]
    return Response(
        file.content,
        media_type=file.media_type,
        headers={
            "content-disposition": f'attachment; filename="{name}.{extension}"',
            "content-security-policy": "sandbox",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            "etag": f'"{file.digest}"',
        },
    )
