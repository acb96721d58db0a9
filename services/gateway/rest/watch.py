# SPDX-License-Identifier: Apache-2.0
"""One span and one log line for each request, the headers that every answer has, and the last net under it.

A caller's `traceparent` is continued, so that an app finds its own request again; its sampling flag is not believed:
anybody could make us record everything. Our own ratio decides by the trace id, the same everywhere.
"""

import re
import secrets
import time
from collections.abc import Callable

from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.rest.limits import Limits
from services.kit.errors import TooManyRequests
from services.kit.http import problems
from services.kit.logs import get_logger
from services.kit.telemetry import Telemetry, current_traceparent

_UNWATCHED = frozenset({"/healthz", "/readyz", "/v1/traces"})
"""Probes, and the receiver of traces: a span of receiving spans would never come to an end."""
_UNTRACED = ("/console", "/docs", "/openapi.json")
"""Looking at traces shouldn't fill the list of traces; a log line is written all the same."""
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_TRACE_ID_MAX = 1 << 64
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_DEFAULTS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
log = get_logger()


class GatewayBusy(TooManyRequests):
    """As many requests as the gateway takes at once are being worked on."""


class Watch:
    """Middleware, the outermost: counts, traces, logs, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, limits: Limits, sample_ratio: float) -> None:
        self._app = app
        self._telemetry = telemetry
        self._limits = limits
        self._ratio = sample_ratio
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        if scope["path"] in _UNWATCHED:
            await self._answered(answer, receive)
            return
        begun = time.perf_counter()
        if scope["path"].startswith(_UNTRACED):
            await self._answered(answer, receive)
            _say(answer, begun)
            return
        with self._telemetry.span("http", kind=SpanKind.SERVER, parent=self._parent(scope)) as span:
            answer.traceparent = current_traceparent()
            await self._answered(answer, receive)
            _describe(span, answer)
            _say(answer, begun)

    async def _answered(self, answer: "_Answer", receive: Receive) -> None:
        scope = answer.scope
        if self._in_flight >= self._limits.in_flight_max:
            scope["tongban.reason"] = GatewayBusy.reason
            busy = GatewayBusy(
                "The gateway is at its bound.", remedy="Repeat the request after a moment.", retry_after_seconds=1
            )
            await problems.of_refusal(busy)(scope, receive, answer.send)
            return
        self._in_flight += 1
        answer.on_stream = self._forget_stream
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            scope["tongban.reason"] = "CLIENT_GONE"
        except Exception:
            incident = secrets.token_hex(8)
            scope["tongban.reason"] = "INTERNAL"
            log.exception("http_incident", incident=incident, route=route_of(scope))
            if not answer.status:
                await problems.of_incident(incident)(scope, receive, answer.send)
            else:
                raise
        finally:
            if not answer.streams:
                self._in_flight -= 1

    def _forget_stream(self) -> None:
        """An event stream is counted by its own bound, not as work in flight."""
        self._in_flight -= 1

    def _parent(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"traceparent":
                return continued(value.decode("latin-1"), self._ratio)
        return ""


class _Answer:
    """What goes out: adds headers, remembers status and size."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.status = 0
        self.sent = 0
        self.traceparent = ""
        self.streams = False
        self.on_stream: Callable[[], None] = _nothing
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            given = {name for name, _ in headers}
            headers += [pair for pair in (*_HEADERS, *_DEFAULTS) if pair[0] not in given]
            headers += self.scope.get("tongban.headers", ())
            if self.traceparent:
                headers.append((b"traceresponse", self.traceparent.encode()))
            message = {**message, "headers": headers}
            if (b"content-type", b"text/event-stream; charset=utf-8") in headers and not self.streams:
                self.streams = True
                self.on_stream()
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)


def _describe(span: Span, answer: "_Answer") -> None:
    scope, route = answer.scope, route_of(answer.scope)
    span.update_name(f"{_method(scope)} {route}")
    span.set_attributes(
        {
            "http.request.method": _method(scope),
            "http.route": route,
            "http.response.status_code": answer.status,
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope.get("http_version", ""),
        }
    )
    if answer.status >= 500:  # noqa: PLR2004 - the server's own errors
        span.set_status(StatusCode.ERROR, scope.get("tongban.reason", ""))
    if case_id := scope.get("tongban.case", ""):
        span.set_attribute("tongban.case", case_id)


def _say(answer: "_Answer", begun: float) -> None:
    scope = answer.scope
    log.info(
        "http_request",
        method=_method(scope),
        route=route_of(scope),
        status=answer.status,
        reason=scope.get("tongban.reason", ""),
        caller=scope.get("tongban.caller", ""),
        case_id=scope.get("tongban.case", ""),
        sent=answer.sent,
        milliseconds=round((time.perf_counter() - begun) * 1000, 2),
    )


def _nothing() -> None:
    """Nobody counts this answer."""


def continued(traceparent: str, sample_ratio: float) -> str:
    """Give the traceparent to go on with: the caller's ids, our decision to record; "" where it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return ""
    recorded = int(match[1][16:], 16) < round(sample_ratio * _TRACE_ID_MAX)
    return f"00-{match[1]}-{match[2]}-{int(recorded):02x}"


def route_of(scope: Scope) -> str:
    """Give the template of the address that was matched, never the address itself: it may hold anything."""
    if path := getattr(scope.get("route"), "path", ""):
        return str(path)
    if "endpoint" not in scope:
        return "(none)"
    route = str(scope["path"])  # One of the console's or the docs' own: the template is rebuilt.
    for name, value in scope.get("path_params", {}).items():
        route = route.replace(f"/{value}", f"/{{{name}}}")
    return route


def _method(scope: Scope) -> str:
    """Give the method if it is one that HTTP knows: it is text of the caller's otherwise (OpenTelemetry's `_OTHER`)."""
    return scope["method"] if scope["method"] in _METHODS else "_OTHER"
