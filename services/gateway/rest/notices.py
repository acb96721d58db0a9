# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/notices`, `/api/v1/contacts`, and for operators `/api/v1/posts`: what residents are told, and where."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from services.gateway.domain.contacts import Channel, Language
from services.gateway.domain.notices import PostState
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
from services.gateway.rest.shapes.notice import (
    ChannelName,
    Code,
    Contact,
    Contacts,
    Marked,
    NewContact,
    Notice,
    Notices,
    Post,
    Posts,
    ReadUntil,
)
from services.gateway.service.contacts import SetContact
from services.kit.errors import RequestInvalid, Violation

router = APIRouter(route_class=JsonRoute, tags=["notices"], dependencies=[Depends(resident)])
NoticeId = Annotated[UUID, Path(description="The notice (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])]
OfChannel = Annotated[ChannelName, Path(description="The channel.", examples=["mail"])]
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Instant)


@router.get(
    "/api/v1/notices",
    summary="List my notices",
    operation_id="list_notices",
    response_model=Notices,
    responses={200: answers("My notices, newest first.", LINK), **errors(401, 403)},
)
async def list_notices(
    request: Request,
    door: TheDoor,
    *,
    unread: Literal["true", "false"] = "false",
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """What I was told of my cases, and how it was sent; `unread=true` for what I have not read."""
    page, count = await door.voices.notices.list(unread=unread == "true", page_size=page_size, page_token=page_token)
    rows = [Notice.model_validate(each) for each in page.rows]
    body = Notices(notices=rows, unread=count, next_page_token=page.next_token)
    return _rendered(body, next_link(request, page.next_token))


@router.post(
    "/api/v1/notices/{notice_id}/read",
    summary="Mark a notice as read",
    operation_id="read_notice",
    response_model=Notice,
    responses={200: answers("The notice; the first time counts."), **errors(401, 403, 404)},
)
async def read_notice(door: TheDoor, notice_id: NoticeId) -> Response:
    """I have read it. To say so again changes nothing."""
    return _rendered(Notice.model_validate(await door.voices.notices.read(str(notice_id))))


@router.post(
    "/api/v1/notices/read",
    summary="Mark all as read",
    operation_id="read_notices",
    response_model=Marked,
    responses={200: answers("How many were unread."), **errors(401, 403, 413, 415)},
)
async def read_notices(door: TheDoor, asked: Annotated[ReadUntil, Body()]) -> Response:
    """I have read all up to a moment; what came later stays unread."""
    try:
        until = _MOMENT.validate_python(asked.until)
    except ValidationError:
        raise RequestInvalid(
            "The request breaks the contract.", violations=[Violation("until", "A moment as RFC 3339 writes it.")]
        ) from None
    return _rendered(Marked(marked=await door.voices.notices.read_all(until)))


@router.get(
    "/api/v1/posts",
    summary="How notices are sent",
    operation_id="list_posts",
    response_model=Posts,
    responses={200: answers("Newest first.", LINK), **errors(401, 403)},
)
async def list_posts(
    request: Request,
    door: TheDoor,
    *,
    state: Literal["waiting", "sending", "sent", "failed", "unsure", ""] = "",
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """What was sent, waits or failed, without addresses; for operators with the right `gateway.notices`."""
    page = await door.voices.notices.posts(
        state=PostState(state) if state else None, page_size=page_size, page_token=page_token
    )
    body = Posts(posts=[Post.model_validate(each) for each in page.rows], next_page_token=page.next_token)
    return _rendered(body, next_link(request, page.next_token))


@router.get(
    "/api/v1/contacts",
    summary="List my contacts",
    operation_id="list_contacts",
    response_model=Contacts,
    responses={200: answers("At most one of each channel."), **errors(401, 403)},
)
async def list_contacts(door: TheDoor) -> Response:
    """Where I am told, beside my account."""
    desk = door.voices.contacts
    rows = [Contact.model_validate(each) for each in await desk.list()]
    return _rendered(Contacts(contacts=rows, offered=[each.value for each in desk.offered]))


@router.put(
    "/api/v1/contacts/{channel}",
    summary="Say where I want to be told",
    operation_id="set_contact",
    response_model=Contact,
    responses={200: answers("The contact; a code is on its way there."), **errors(401, 403, 409, 413, 415)},
)
async def set_contact(
    door: TheDoor, channel: OfChannel, key: IdempotencyKey, asked: Annotated[NewContact, Body()]
) -> Response:
    """Have a code sent to an address; it counts once the code was shown. To change the language alone needs none."""
    command = SetContact(Channel(channel), asked.address, Language(asked.language), key)
    return _rendered(Contact.model_validate(await door.voices.contacts.set(command)))


@router.post(
    "/api/v1/contacts/{channel}/confirm",
    summary="Show the code",
    operation_id="confirm_contact",
    response_model=Contact,
    responses={200: answers("The contact, which counts from now on."), **errors(401, 403, 404, 409, 413, 415)},
)
async def confirm_contact(door: TheDoor, channel: OfChannel, asked: Annotated[Code, Body()]) -> Response:
    """The address is mine. Five tries, within ten minutes."""
    return _rendered(Contact.model_validate(await door.voices.contacts.confirm(Channel(channel), asked.code)))


@router.delete(
    "/api/v1/contacts/{channel}",
    summary="Be told there no more",
    operation_id="delete_contact",
    status_code=204,
    responses={204: answers("It is forgotten."), **errors(401, 403, 404)},
)
async def delete_contact(door: TheDoor, channel: OfChannel) -> Response:
    """Nothing is sent there any more, what waits neither."""
    await door.voices.contacts.delete(Channel(channel))
    return Response(status_code=204)


def _rendered(body: Shape, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(by_alias=True), media_type="application/json", headers=headers)
