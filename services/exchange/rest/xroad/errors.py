# SPDX-License-Identifier: Apache-2.0
"""Refusals as a neighbor knows them (PR-REST 4.6).

What the protocol has a word for is an X-Road error: `X-Road-Error`, and a body of `type`, `message`, `detail`. What only
our service knows (no record, quota, a body that breaks the service's contract) is the service's own answer: an RFC 9457
problem without that header.
"""

import json
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.kit.errors import Code, Refusal, Unavailable
from services.kit.http import problems

_JSON: Final = "application/json;charset=utf-8"
_BAD_REQUEST, _INTERNAL = 400, 500  # PR-REST 4.6 uses no others.

_TYPES: Final[Mapping[str, str]] = {
    "XROAD_MESSAGE_INVALID": "Client.BadRequest",
    "XROAD_CLIENT_MISMATCH": "Server.ClientProxy.SslAuthenticationFailed",
    "CERTIFICATE_FOREIGN": "Server.ClientProxy.SslAuthenticationFailed",
    "AGENCY_NOT_ACTIVE": "Server.ClientProxy.UnknownMember",
    "XROAD_MEMBER_UNKNOWN": "Server.ClientProxy.UnknownMember",
    "XROAD_SERVICE_UNKNOWN": "Server.ServerProxy.UnknownService",
    "RESOURCE_NOT_FOUND": "Server.ServerProxy.UnknownService",
    "TOO_MANY_REQUESTS": "Server.ClientProxy.InternalError",
    "PROVIDER_UNAVAILABLE": "Server.ServerProxy.NetworkError",
    "PROVIDER_ANSWER_INVALID": "Server.ServerProxy.ServiceFailed.InvalidResponse",
}
_TOO_LARGE: Final = "The body is larger than this door takes."
_TOO_SLOW: Final = "The body took too long to arrive."


def of_refusal(refusal: Refusal, *, detail: str) -> Response:
    """Render a refusal. `detail` names this one occurrence, as the protocol's examples do."""
    kind = _TYPES.get(refusal.reason, "")
    if not kind and refusal.code is Code.PERMISSION_DENIED:
        kind = "Server.ServerProxy.AccessDenied"
    if not kind and refusal.code is Code.UNAUTHENTICATED:
        kind = "Server.ClientProxy.SslAuthenticationFailed"
    if not kind:
        return problems.of_refusal(refusal)
    return _error(kind, f"{refusal.message} ({refusal.reason})", detail, retry=refusal.retry_after_seconds)


def of_unavailable(unavailable: Unavailable, *, detail: str) -> Response:
    """Render a part of ours that does not answer."""
    retry = unavailable.retry_after_seconds or 1
    return _error("Server.ServerProxy.InternalError", "A part of the service does not answer just now.", detail, retry)


def of_incident(detail: str) -> Response:
    """Render what nobody foresaw."""
    return _error("Server.ServerProxy.InternalError", "Something broke while answering.", detail)


def of_body(error: HTTPException, *, detail: str) -> Response:
    """Render a body that was not read to its end: too large (413) or too slow (408)."""
    response = _error("Client.BadRequest", _TOO_LARGE if error.status_code == 413 else _TOO_SLOW, detail)  # noqa: PLR2004 - RFC 9110
    response.headers["connection"] = "close"
    return response


def _error(kind: str, message: str, detail: str, retry: float | None = None) -> Response:
    body = json.dumps({"type": kind, "message": message, "detail": detail}, ensure_ascii=False)
    status = _BAD_REQUEST if kind.startswith("Client.") else _INTERNAL
    headers = {"x-road-error": kind}
    if retry is not None:
        headers["retry-after"] = str(max(1, round(retry)))
    return Response(body.encode(), status_code=status, headers=headers, media_type=_JSON)
