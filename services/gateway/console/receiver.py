# SPDX-License-Identifier: Apache-2.0
"""`POST /v1/traces`: an OTLP/HTTP receiver (OpenTelemetry Protocol 1.x, binary protobuf, gzip or plain).

It is for processes of this installation, which show the token that their settings hold: whoever merely reaches the
port, from this machine or another, writes nothing. Exports are unpacked and read on threads, a few at a time, so that
nobody who asks at the same door waits for them. Requests to it are never traced themselves.
"""

import asyncio
import hmac
import zlib
from collections.abc import Callable
from typing import Final

from google.rpc.code_pb2 import INVALID_ARGUMENT, UNAUTHENTICATED, UNAVAILABLE
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.console.spans import Received, TracesMalformed, TracesTooMany, decode
from services.gateway.console.store import TraceStore
from services.kit.errors import Unavailable

PATH: Final = "/v1/traces"
BODY_BYTES_MAX: Final = 4_000_000
"""As it is sent; the door refuses more while it arrives."""
_UNPACKED_BYTES_MAX: Final = 8_000_000
_IN_HAND_MAX: Final = 16
"""Exports whose bodies are in memory; one more is told to come again."""
_READ_AT_ONCE_MAX: Final = 2
_PROTOBUF: Final = "application/x-protobuf"
_GZIP_BITS: Final = 31  # zlib: a gzip header, the largest window


class Receiver:
    """Takes spans and keeps them. The answer says that they are kept."""

    def __init__(self, store: TraceStore, token: str, *, read: Callable[[bytes], Received] = decode) -> None:
        self._store = store
        self._token = token
        self._read = read
        self._in_hand = 0
        self._reading = asyncio.Semaphore(_READ_AT_ONCE_MAX)

    async def receive(self, request: Request) -> Response:
        """Take one export."""
        if not self._allowed(request):
            return _refused(401, UNAUTHENTICATED, "Traces are taken with the token that is set.", challenge="Bearer")
        if request.headers.get("content-type", "").partition(";")[0].strip() != _PROTOBUF:
            return _refused(415, INVALID_ARGUMENT, f"The body must be {_PROTOBUF}.")
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "identity"}:
            return _refused(415, INVALID_ARGUMENT, "The body may be packed by gzip, or not at all.")
        if self._in_hand >= _IN_HAND_MAX:
            return _refused(503, UNAVAILABLE, "Too many exports at once.", retry_seconds=1)
        self._in_hand += 1
        try:
            return await self._kept(await request.body(), packed=encoding == "gzip")
        finally:
            self._in_hand -= 1

    async def _kept(self, body: bytes, *, packed: bool) -> Response:
        try:
            async with self._reading:
                received = await asyncio.to_thread(self._received, body, packed)
            await self._store.add(received.spans)
        except TracesMalformed as error:
            return _refused(400, INVALID_ARGUMENT, str(error))
        except TracesTooMany as error:
            return _refused(413, INVALID_ARGUMENT, str(error))
        except Unavailable as error:
            return _refused(503, UNAVAILABLE, error.message, retry_seconds=1)
        answer = ExportTraceServiceResponse()
        if received.rejected:
            answer.partial_success.rejected_spans = received.rejected
            answer.partial_success.error_message = "Spans without valid ids and times were left out."
        return Response(answer.SerializeToString(), media_type=_PROTOBUF)

    def _allowed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").encode()
        return bool(self._token) and hmac.compare_digest(given, f"Bearer {self._token}".encode())

    def _received(self, body: bytes, packed: bool) -> Received:
        return self._read(_unpacked(body) if packed else body)


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


def _refused(status: int, code: int, message: str, *, retry_seconds: int = 0, challenge: str = "") -> Response:
    """Say no as OTLP wants it: google.rpc.Status in protobuf."""
    body = Status(code=code, message=message).SerializeToString()
    headers = {"retry-after": str(retry_seconds)} if retry_seconds else {}
    if challenge:
        headers["www-authenticate"] = challenge
    return Response(body, status_code=status, media_type=_PROTOBUF, headers=headers)
