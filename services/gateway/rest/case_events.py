# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/cases/{id}/events`: what happens, as it happens (server-sent events)."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response, StreamingResponse

from services.gateway.rest.cases import CaseId
from services.gateway.rest.contract import JsonRoute, errors
from services.gateway.rest.door import Door, Resident, TheDoor
from services.gateway.rest.shapes.case import Entry
from services.gateway.service import TimelineEntry
from services.kit.caller import Caller, acting_as
from services.kit.errors import Refusal, RequestInvalid, Unavailable, Violation
from services.kit.logs import get_logger

router = APIRouter(route_class=JsonRoute, tags=["cases"])
_END = "ended"
_RECONNECT_MILLISECONDS = 1000
_SEQ_MAX = 2**31 - 1
_EXAMPLE = (
    "retry: 1000\n\n"
    "id: 4\nevent: step_done\n"
    'data: {"seq":4,"time":"2026-11-23T02:10:00.000Z","kind":"step_done","step_id":"verify_mother"}\n\n'
    ": heartbeat\n\n"
)
log = get_logger()

LastEventId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        max_length=20,
        description="Number of the last event that was seen; the stream goes on after it.",
        examples=["4"],
    ),
]


async def place(door: TheDoor, caller: Resident) -> AsyncIterator[None]:
    """Hold a place among the open streams until the answer is over. Raises TooManyRequests."""
    with door.streams.one_more(caller.id):
        yield


@router.get(
    "/api/v1/cases/{case_id}/events",
    summary="Watch a case",
    operation_id="watch_case",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events of the case from the first, or after Last-Event-ID. `id` is the sequence "
            "number, `event` the kind, `data` an Entry of the timeline as JSON. A comment every few seconds says "
            "that the stream lives. It ends after the event `ended`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        204: {"description": "The case has ended, and Last-Event-ID was its last event: don't come again."},
        **errors(401, 403, 404),
    },
)
async def watch_case(
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    caller: Resident,
    _place: Annotated[None, Depends(place)],
    last_event_id: LastEventId = "",
) -> Response:
    """Watch one own case. Read with an EventSource that can send the token, or any client that reads line by line."""
    seq = _seen(last_event_id)
    begin = await door.service.events_after(str(case_id), seq)
    request.scope["tongban.case"] = str(case_id)
    if not begin and (await door.service.case(str(case_id))).ended:
        return Response(status_code=204)
    stream = _Stream(door, caller, str(case_id), seq, request.scope["tongban.expires"])
    return StreamingResponse(stream.lines(begin), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


class _Stream:
    """One open stream; it acts for its caller each time it looks, and ends with his token."""

    def __init__(self, door: Door, caller: Caller, case_id: str, seq: int, expires: int) -> None:
        self._door = door
        self._caller = caller
        self._case_id = case_id
        self._seq = seq
        self._expires = expires

    async def lines(self, begin: tuple[TimelineEntry, ...]) -> AsyncIterator[bytes]:
        """Give the stream's bytes until the case has ended, or the reader has gone."""
        yield f"retry: {_RECONNECT_MILLISECONDS}\n\n".encode()
        entries = begin
        while True:
            for entry in entries:
                self._seq = entry.seq
                yield _rendered(entry)
                if entry.kind == _END:
                    return
            seconds = min(self._door.limits.heartbeat_seconds, self._expires - self._door.clock().timestamp())
            if seconds <= 0:
                return
            try:
                entries = await self._news(seconds)
            except (Refusal, Unavailable) as error:  # The reader comes back with Last-Event-ID.
                log.warning("case_stream_cut", case_id=self._case_id, error=type(error).__name__)
                return
            if not entries:
                yield b": heartbeat\n\n"

    async def _news(self, seconds: float) -> tuple[TimelineEntry, ...]:
        with acting_as(self._caller):
            return await self._door.service.wait_for_events(self._case_id, self._seq, seconds)


def _rendered(entry: TimelineEntry) -> bytes:
    shape = Entry.model_validate(entry).model_dump_json()
    return f"id: {entry.seq}\nevent: {entry.kind}\ndata: {shape}\n\n".encode()


def _seen(last_event_id: str) -> int:
    if not last_event_id:
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        raise RequestInvalid(
            "Last-Event-ID is the number of an event of this case.",
            remedy="Send the id of the last event as it was received, or leave the header out.",
            violations=[Violation("Last-Event-ID", "Must be a number.")],
        )
    return min(int(last_event_id), _SEQ_MAX)
