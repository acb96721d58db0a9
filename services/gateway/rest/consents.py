# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/consents` and `/api/v1/previews`: what departments may have, and what they would see."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from starlette.responses import Response

from services.gateway.rest.contract import LINK, IdempotencyKey, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.base import Shape
from services.gateway.rest.shapes.consent import (
    Confirmation,
    Consent,
    Consents,
    NewConsent,
    Preview,
    Previews,
    PreviewSummary,
)
from services.gateway.service import DecidePreview, GiveConsent, WithdrawConsent
from services.kit.errors import RequestInvalid, Violation

router = APIRouter(route_class=JsonRoute, tags=["consents"], dependencies=[Depends(resident)])

_CHINA = timezone(timedelta(hours=8), "UTC+8")
ConsentId = Annotated[UUID, Path(description="The consent (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])]
PreviewId = Annotated[UUID, Path(description="The preview (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])]


@router.get(
    "/api/v1/consents",
    summary="What I consented to",
    operation_id="list_consents",
    response_model=Consents,
    responses={200: answers("Own consents, newest first.", LINK), **errors(401, 403)},
)
async def list_consents(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """Every consent of the caller's: those that hold, those that were withdrawn, those whose time is over."""
    page = await door.service.consents(page_size=page_size, page_token=page_token)
    body = Consents(consents=[Consent.model_validate(row) for row in page.rows], next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.post(
    "/api/v1/consents",
    summary="Consent",
    operation_id="give_consent",
    status_code=201,
    response_model=Consent,
    responses={201: answers("The consent."), **errors(401, 403, 404, 409, 413, 415)},
)
async def give_consent(door: TheDoor, key: IdempotencyKey, asked: Annotated[NewConsent, Body()]) -> Response:
    """Let one department have these fields of one's own record, for this purpose, until this day.

    It is for this recipient alone, can be withdrawn at any time, and is never a condition for what can be done without.
    """
    consent = await door.service.give_consent(
        GiveConsent(
            grantee=asked.grantee,
            resource=asked.resource,
            purpose=asked.purpose,
            fields=tuple(asked.fields),
            expires=_end_of(asked.until),
            idempotency_key=key,
        )
    )
    return _rendered(Consent.model_validate(consent), status=201)


@router.post(
    "/api/v1/consents/{consent_id}/withdraw",
    summary="Withdraw a consent",
    operation_id="withdraw_consent",
    response_model=Consent,
    responses={200: answers("The consent as it is now."), **errors(401, 403, 404, 409)},
)
async def withdraw_consent(door: TheDoor, consent_id: ConsentId, key: IdempotencyKey) -> Response:
    """Withdraw a consent: nothing more goes to the department under it. What was done before stays lawful."""
    command = WithdrawConsent(consent_id=str(consent_id), idempotency_key=key)
    return _rendered(Consent.model_validate(await door.service.withdraw_consent(command)))


@router.get(
    "/api/v1/previews",
    summary="What waits for my word",
    operation_id="list_previews",
    response_model=Previews,
    responses={200: answers("Own previews, newest first, without values.", LINK), **errors(401, 403)},
)
async def list_previews(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """Transfers that departments asked for and that the caller sees before they happen."""
    page = await door.service.previews(page_size=page_size, page_token=page_token)
    rows = [PreviewSummary.model_validate(row) for row in page.rows]
    body = Previews(previews=rows, next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.get(
    "/api/v1/previews/{preview_id}",
    summary="See what would be sent",
    operation_id="get_preview",
    response_model=Preview,
    responses={200: answers("The preview, with exactly the values that would go."), **errors(401, 403, 404, 409)},
)
async def get_preview(door: TheDoor, preview_id: PreviewId) -> Response:
    """See exactly what would go, asked for just now; the ledger gets a leaf for it. The token of an earlier look is void."""
    return _rendered(Preview.model_validate(await door.service.preview(str(preview_id))), private=True)


@router.post(
    "/api/v1/previews/{preview_id}/confirm",
    summary="Let it be sent",
    operation_id="confirm_preview",
    response_model=PreviewSummary,
    responses={200: answers("The preview as it is now."), **errors(401, 403, 404, 409, 413, 415)},
)
async def confirm_preview(
    door: TheDoor, preview_id: PreviewId, key: IdempotencyKey, asked: Annotated[Confirmation, Body()]
) -> Response:
    """Let exactly what was shown be sent, once. Where it has changed by then, nothing is sent, and it is shown again."""
    command = DecidePreview(preview_id=str(preview_id), idempotency_key=key, token=asked.token)
    return _rendered(PreviewSummary.model_validate(await door.service.confirm_preview(command)))


@router.post(
    "/api/v1/previews/{preview_id}/decline",
    summary="Keep it from being sent",
    operation_id="decline_preview",
    response_model=PreviewSummary,
    responses={200: answers("The preview as it is now."), **errors(401, 403, 404, 409)},
)
async def decline_preview(door: TheDoor, preview_id: PreviewId, key: IdempotencyKey) -> Response:
    """Keep it from being sent."""
    command = DecidePreview(preview_id=str(preview_id), idempotency_key=key)
    return _rendered(PreviewSummary.model_validate(await door.service.decline_preview(command)))


def _end_of(day: str) -> datetime:
    """Give the moment after a day in China. Raises RequestInvalid."""
    try:
        return datetime.combine(date.fromisoformat(day), time.min, _CHINA) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise RequestInvalid(
            "The request breaks the contract.", violations=[Violation("until", "A day of the calendar.")]
        ) from None


def _rendered(body: Shape, *, status: int = 200, private: bool = False) -> Response:
    headers = {"cache-control": "no-store"} if private else {}
    return Response(body.model_dump_json(), status_code=status, media_type="application/json", headers=headers)
