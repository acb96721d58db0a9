# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/corrections`: dispute a value that a department keeps about the caller, and see what became of it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from starlette.responses import Response

from services.gateway.rest.contract import LINK, IdempotencyKey, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.correction import Correction, Corrections, CorrectionSummary, NewCorrection
from services.gateway.service import CorrectionView, DisputeValue, ProofView

router = APIRouter(route_class=JsonRoute, tags=["corrections"], dependencies=[Depends(resident)])

CorrectionId = Annotated[
    UUID, Path(description="The correction (UUID).", examples=["0b6b1f2e-1f5e-4f0e-9a55-6f3e1f6a7c12"])
]
_LOCATION = {"Location": {"description": "Where it is.", "schema": {"type": "string", "format": "uri-reference"}}}


@router.post(
    "/api/v1/corrections",
    summary="Dispute a value",
    operation_id="open_correction",
    status_code=201,
    response_model=Correction,
    responses={201: answers("The correction.", _LOCATION), **errors(401, 403, 404, 409, 413, 415)},
)
async def open_correction(door: TheDoor, key: IdempotencyKey, asked: Annotated[NewCorrection, Body()]) -> Response:
    """Say that a value about the caller is wrong, with proof.

    The provider's statutory time starts; until it answers, everybody who asks for the value is told that it is disputed.
    """
    command = DisputeValue(
        resource=asked.resource,
        field_name=asked.field,
        claimed=asked.claimed,
        grounds=asked.grounds,
        proofs=tuple(ProofView(each.kind, each.reference) for each in asked.proofs),
        idempotency_key=key,
    )
    view = await door.service.open_correction(command)
    return _rendered(view, status=201, headers={"location": f"/api/v1/corrections/{view.correction_id}"})


@router.get(
    "/api/v1/corrections",
    summary="List own corrections",
    operation_id="list_corrections",
    response_model=Corrections,
    responses={200: answers("Corrections, newest first.", LINK), **errors(401, 403)},
)
async def list_corrections(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """List what the caller disputes or has disputed, without what is said about it."""
    page = await door.service.corrections(page_size=page_size, page_token=page_token)
    rows = [CorrectionSummary.model_validate(row) for row in page.rows]
    body = Corrections(corrections=rows, next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.get(
    "/api/v1/corrections/{correction_id}",
    summary="Read one correction",
    operation_id="get_correction",
    response_model=Correction,
    responses={200: answers("The correction."), **errors(401, 403, 404)},
)
async def get_correction(door: TheDoor, correction_id: CorrectionId) -> Response:
    """Read one with by when the provider answers, how that was counted, and how many departments were told."""
    return _rendered(await door.service.correction(str(correction_id)))


@router.post(
    "/api/v1/corrections/{correction_id}/withdraw",
    summary="Withdraw a correction",
    operation_id="withdraw_correction",
    response_model=Correction,
    responses={200: answers("The correction as withdrawn."), **errors(401, 403, 404, 409)},
)
async def withdraw_correction(door: TheDoor, correction_id: CorrectionId, key: IdempotencyKey) -> Response:
    """No longer dispute it, as long as the provider hasn't answered."""
    return _rendered(await door.service.withdraw_correction(str(correction_id), key))


def _rendered(view: CorrectionView, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = Correction.model_validate(view).model_dump_json()
    return Response(body, status_code=status, media_type="application/json", headers=headers)
