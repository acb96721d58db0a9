# SPDX-License-Identifier: Apache-2.0
"""One request of a neighbor: place, trace, caller by certificate, message, answer, log line."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.exchange.domain.xroad import (
    META,
    Message,
    XroadClientMismatch,
    XroadMessageInvalid,
    read_message,
    request_hash,
)
from services.exchange.rest.xroad import errors
from services.exchange.rest.xroad.meta import MetaCalls
from services.exchange.rest.xroad.services import ResourceCalls
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import Refusal, Unavailable, Violation
from services.kit.http.bodies import BoundedBodies
from services.kit.ids import new_id
from services.kit.logs import get_logger
from services.kit.rpc.admission import CallerNotAllowed, Doorkeeper
from services.kit.rpc.deadline import within
from services.kit.rpc.gate import Gate
from services.kit.telemetry import SpanKind, Telemetry

CALL_SECONDS: Final = 40.0
"""More than the longest wait for a provider; a neighbor's own patience is not told in the protocol."""
BODY_BYTES_MAX: Final = 64 * 1024
_BODY_SECONDS: Final = 10.0
_DISCARD_MAX: Final = 16 << 20
_JSON: Final = "application/json;charset=utf-8"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_GONE: Final = 499
"""For the log line: nobody is there to be answered."""
log = get_logger()


@dataclass(slots=True)
class _Call:
    """What is known of a call so far; `detail` is the id that its error tells and its log line has."""

    detail: str
    caller: Caller | None = None
    message: Message | None = None
    service: str = ""
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class XroadDoor:
    """The ASGI application. `calls` of a resource go the way of every other question; `meta` tells about ourselves."""

    def __init__(
        self, calls: ResourceCalls, meta: MetaCalls, *, keeper: Doorkeeper, gate: Gate, telemetry: Telemetry
    ) -> None:
        self._calls = calls
        self._meta = meta
        self._keeper = keeper
        self._gate = gate
        self._telemetry = telemetry
        self._bounded = BoundedBodies(
            self._answer, bytes_max=BODY_BYTES_MAX, seconds_max=_BODY_SECONDS, discard_max=_DISCARD_MAX
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._bounded(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, call = time.monotonic(), _Call(new_id())
        request = Request(scope, receive)
        parent = request.headers.get("traceparent", "none")
        with self._telemetry.span("xroad", kind=SpanKind.SERVER, parent=parent) as span, within(CALL_SECONDS):
            response = await self._answered(request, call)
            response.headers.update(call.headers)
            span.set_attributes({"http.response.status_code": response.status_code, "tongban.resource": call.service})
            if response.status_code != _GONE:
                await response(scope, receive, send)
        log.info(
            "xroad_request",
            method=scope["method"] if scope["method"] in _METHODS else "_OTHER",
            service=call.service,
            caller="" if call.caller is None else call.caller.label,
            status=response.status_code,
            error=response.headers.get("x-road-error", ""),
            reason=call.reason,
            detail=call.detail,
            milliseconds=round((time.monotonic() - begun) * 1000, 2),
        )

    async def _answered(self, request: Request, call: _Call) -> Response:
        try:
            place = self._gate.enter(request.scope["tongban.peer"])
            try:
                return await self._worked(request, call)
            finally:
                self._gate.leave(place)
        except Refusal as refusal:
            call.reason = refusal.reason
            return errors.of_refusal(refusal, detail=call.detail)
        except Unavailable as unavailable:
            call.reason = "UNAVAILABLE"
            return errors.of_unavailable(unavailable, detail=call.detail)
        except HTTPException as unread:
            call.reason = "BODY_NOT_READ"
            return errors.of_body(unread, detail=call.detail)
        except ClientDisconnect:
            call.reason = "CLIENT_GONE"
            return Response(status_code=_GONE)
        except Exception:
            call.reason = "INTERNAL"
            log.exception("xroad_incident", incident=call.detail)
            return errors.of_incident(call.detail)

    async def _worked(self, request: Request, call: _Call) -> Response:
        scope = request.scope
        call.caller = caller = await self._keeper.establish(scope["tongban.peer"], "")
        if caller.kind is not CallerKind.AGENCY:
            raise CallerNotAllowed("This door is for agencies.")
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        with acting_as(caller):
            if path == "/listClients":
                call.service = "listClients"
                _must_get(request)
                return _json(await self._meta.clients(query, caller))
            call.message = message = read_message(
                request.method, path, query, scope["tongban.headers_sent"], instance=self._meta.instance
            )
            if message.client.member != caller.agency:
                raise XroadClientMismatch("X-Road-Client names another agency than the certificate does.")
            body = await request.body()
            call.headers = _told(message, body)
            if message.service.service in META:
                call.service = message.service.service
                _must_get(request)
                return _json(await self._meta.answer(message, query, caller))
            known = await self._calls.resource(message)
            if known is not None:
                call.service = known.code  # Else it is the caller's own words, and in no log.
            return _json(await self._calls.answer(message, known, query, body, caller))


def _told(message: Message, body: bytes) -> dict[str, str]:
    """Tie the answer to its question (PR-REST 4.3)."""
    return {
        "x-road-client": str(message.client),
        "x-road-service": str(message.service),
        "x-road-id": message.message_id,
        "x-road-request-id": message.request_id,
        "x-road-request-hash": request_hash(message.header_hash, body),
    }


def _must_get(request: Request) -> None:
    if request.method != "GET":
        raise XroadMessageInvalid("This is asked for with GET.", violations=[Violation("method", "GET.")])


def _json(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False).encode(), media_type=_JSON)
