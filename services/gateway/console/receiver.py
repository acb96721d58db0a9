# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/traces`: an OTLP/HTTP receiver (OpenTelemetry Protocol 1.x, binary protobuf, gzip or plain).

It is for processes of this installation: it listens to loopback only, unless a token is set, which then everybody
must send. Requests to it are never traced themselves.
"""

import hmac
import ipaddress
import zlib
from typing import Final

from google.rpc.code_pb2 import INVALID_ARGUMENT, PERMISSION_DENIED, UNAVAILABLE
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.console.spans import TracesMalformed, decode
from services.gateway.console.store import TraceStore
from services.kit.errors import Unavailable

PATH: Final = "/v1/traces"
BODY_BYTES_MAX: Final = 4_000_000
_UNPACKED_BYTES_MAX: Final = 16_000_000
_PROTOBUF: Final = "application/x-protobuf"
_GZIP_BITS: Final = 31  # zlib: a gzip header, the largest window


class Receiver:
    """Takes spans and keeps them. The answer says that they are kept."""

    def __init__(self, store: TraceStore, token: str = "") -> None:
        self._store = store
        self._token = token

    async def receive(self, request: Request) -> Response:
        """Take one export."""
        if not self._allowed(request):
            return _refused(
                403, PERMISSION_DENIED, "Traces are taken from this machine only, or with the token that is set."
            )
        if request.headers.get("content-type", "").partition(";")[0].strip() != _PROTOBUF:
            return _refused(415, INVALID_ARGUMENT, f"The body must be {_PROTOBUF}.")
        body = await request.body()
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "identity"}:
            return _refused(415, INVALID_ARGUMENT, "The body may be packed by gzip, or not at all.")
        try:
            received = decode(_unpacked(body) if encoding == "gzip" else body)
        except TracesMalformed as error:
            return _refused(400, INVALID_ARGUMENT, str(error))
        try:
            await self._store.add(received.spans)
        except Unavailable as error:
            return _refused(503, UNAVAILABLE, error.message, retry_seconds=1)
        answer = ExportTraceServiceResponse()
        if received.rejected:
            answer.partial_success.rejected_spans = received.rejected
            answer.partial_success.error_message = "Spans without valid ids and times were left out."
        return Response(answer.SerializeToString(), media_type=_PROTOBUF)

    def _allowed(self, request: Request) -> bool:
        if self._token:
            given = request.headers.get("authorization", "")
            return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())
        forwarded = {"forwarded", "x-forwarded-for", "via"} & set(request.headers)
        return not forwarded and request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unpacked(body: bytes) -> bytes:
    """Unpack gzip up to a bound: a few packed bytes can stand for gigabytes."""
    unpacking = zlib.decompressobj(_GZIP_BITS)
    try:
        plain = unpacking.decompress(body, _UNPACKED_BYTES_MAX)
    except zlib.error as error:
        raise TracesMalformed("The body is no gzip.") from error
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise TracesMalformed("The body is too large when unpacked, or cut off.")
    return plain


def _refused(status: int, code: int, message: str, *, retry_seconds: int = 0) -> Response:
    """Say no as OTLP wants it: google.rpc.Status in protobuf."""
    body = Status(code=code, message=message).SerializeToString()
    headers = {"retry-after": str(retry_seconds)} if retry_seconds else None
    return Response(body, status_code=status, media_type=_PROTOBUF, headers=headers)
