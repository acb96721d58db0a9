# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/webhooks`: what front-ends are told of cases; for operators with the right `gateway.webhooks`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from services.gateway.domain.webhooks import DeliveryState, News, shown_secret
from services.gateway.domain.webhooks import Webhook as Hook
from services.gateway.rest.contract import (
    LINK,
    IdempotencyKey,
    Instant,
    JsonRoute,
    PageSize,
    PageToken,
    answers,
    errors,
)
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.base import Shape
from services.gateway.rest.shapes.webhook import (
    Deliveries,
    Delivery,
    NewWebhook,
    Replay,
    Replayed,
    Webhook,
    Webhooks,
    WebhookWithSecret,
)
from services.gateway.service.webhooks import AddWebhook
from services.kit.errors import RequestInvalid, Violation

router = APIRouter(route_class=JsonRoute, tags=["webhooks"], dependencies=[Depends(resident)])
WebhookId = Annotated[UUID, Path(description="The webhook (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])]
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Instant)


@router.get(
    "/api/v1/webhooks",
    summary="List webhooks",
    operation_id="list_webhooks",
    response_model=Webhooks,
    responses={200: answers("Every webhook, oldest first; at most 100."), **errors(401, 403)},
)
async def list_webhooks(door: TheDoor) -> Response:
    """Every webhook, without its secret."""
    return _rendered(Webhooks(webhooks=[Webhook.model_validate(each) for each in await door.webhooks.list()]))


@router.post(
    "/api/v1/webhooks",
    summary="Register a webhook",
    operation_id="add_webhook",
    status_code=201,
    response_model=WebhookWithSecret,
    responses={201: answers("The webhook, with its secret."), **errors(401, 403, 409, 413, 415)},
)
async def add_webhook(door: TheDoor, key: IdempotencyKey, asked: Annotated[NewWebhook, Body()]) -> Response:
    """Have a front-end told of cases by signed POSTs (Standard Webhooks), each until it answers 2xx or two days are over.

    It is told of what happens from five seconds from now on, at the latest.
    """
    news = tuple(News(each) for each in asked.news)
    hook = await door.webhooks.add(AddWebhook(asked.url, news, tuple(asked.matters), key))
    return _rendered(_with_secret(hook), status=201)


@router.delete(
    "/api/v1/webhooks/{webhook_id}",
    summary="Delete a webhook",
    operation_id="delete_webhook",
    status_code=204,
    responses={204: answers("It is deleted, with what it was told."), **errors(401, 403, 404)},
)
async def delete_webhook(door: TheDoor, webhook_id: WebhookId) -> Response:
    """Delete a webhook; what it was not told yet is not told any more."""
    await door.webhooks.delete(str(webhook_id))
    return Response(status_code=204)


@router.post(
    "/api/v1/webhooks/{webhook_id}/secret",
    summary="Change the secret",
    operation_id="rotate_webhook_secret",
    response_model=WebhookWithSecret,
    responses={200: answers("The webhook, with its new secret."), **errors(401, 403, 404, 409)},
)
async def rotate_webhook_secret(door: TheDoor, webhook_id: WebhookId, key: IdempotencyKey) -> Response:
    """Give it a new secret. The old one signs beside it for a day."""
    return _rendered(_with_secret(await door.webhooks.rotate(str(webhook_id), key)))


@router.post(
    "/api/v1/webhooks/{webhook_id}/pause",
    summary="Pause a webhook",
    operation_id="pause_webhook",
    response_model=Webhook,
    responses={200: answers("The webhook as it is now."), **errors(401, 403, 404)},
)
async def pause_webhook(door: TheDoor, webhook_id: WebhookId) -> Response:
    """Tell it nothing for now; what happens meanwhile waits for it."""
    return _rendered(Webhook.model_validate(await door.webhooks.pause(str(webhook_id))))


@router.post(
    "/api/v1/webhooks/{webhook_id}/resume",
    summary="Resume a webhook",
    operation_id="resume_webhook",
    response_model=Webhook,
    responses={200: answers("The webhook as it is now."), **errors(401, 403, 404)},
)
async def resume_webhook(door: TheDoor, webhook_id: WebhookId) -> Response:
    """Tell it again, beginning with what waits. What had failed is told by a replay."""
    return _rendered(Webhook.model_validate(await door.webhooks.resume(str(webhook_id))))


@router.post(
    "/api/v1/webhooks/{webhook_id}/replay",
    summary="Tell it again",
    operation_id="replay_webhook",
    response_model=Replayed,
    responses={200: answers("How many are told again."), **errors(401, 403, 404, 409, 413, 415)},
)
async def replay_webhook(
    door: TheDoor, webhook_id: WebhookId, key: IdempotencyKey, asked: Annotated[Replay, Body()]
) -> Response:
    """Tell it again what it was told, or could not be told, since a moment. The ids stay: receivers know repeats by them."""
    try:
        since = _MOMENT.validate_python(asked.since)
    except ValidationError:
        raise RequestInvalid(
            "The request breaks the contract.", violations=[Violation("since", "A moment as RFC 3339 writes it.")]
        ) from None
    return _rendered(Replayed(deliveries=await door.webhooks.replay(str(webhook_id), since, key)))


@router.get(
    "/api/v1/webhooks/{webhook_id}/deliveries",
    summary="What a webhook was told",
    operation_id="list_webhook_deliveries",
    response_model=Deliveries,
    responses={200: answers("Its deliveries, newest first.", LINK), **errors(401, 403, 404)},
)
async def list_webhook_deliveries(
    request: Request,
    door: TheDoor,
    webhook_id: WebhookId,
    *,
    state: Literal["waiting", "done", "failed", ""] = "",
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """What it was told, what waits, and what failed."""
    page = await door.webhooks.deliveries(
        str(webhook_id), state=DeliveryState(state) if state else None, page_size=page_size, page_token=page_token
    )
    body = Deliveries(deliveries=[Delivery.model_validate(each) for each in page.rows], next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


def _with_secret(hook: Hook) -> WebhookWithSecret:
    shown = Webhook.model_validate(hook)
    return WebhookWithSecret(**shown.__dict__, secret=shown_secret(hook.secret))


def _rendered(body: Shape, *, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status_code=status, media_type="application/json")
