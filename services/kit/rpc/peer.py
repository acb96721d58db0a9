# SPDX-License-Identifier: Apache-2.0
"""The way to another service: who asks, what is left of the time, and the trace go along; errors come back in words."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar, cast

import grpc
from grpc import aio

from services.kit.caller import CURRENT, Caller
from services.kit.certificates import Identity, host_of
from services.kit.errors import Unavailable
from services.kit.rpc.channel import Method, SwappingChannel
from services.kit.rpc.deadline import seconds_left
from services.kit.rpc.status import received
from services.kit.telemetry import SpanKind, Telemetry, current_traceparent, traceparent_of

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
StubT = TypeVar("StubT")

_GATEWAY = "spiffe://tongban/service/gateway"


class Peer:
    """Another service as this process sees it. Made by `open`, closed with its block.

    Only the gateway passes a resident's or clerk's token on, since only from it is one accepted: every other service
    asks in its own name and says on whose behalf.
    """

    def __init__(self, channel: SwappingChannel, identity: Identity, telemetry: Telemetry, service: str) -> None:
        self._channel = channel
        self._telemetry = telemetry
        self._passes_tokens = identity.spiffe_id == _GATEWAY
        self.service = service

    @classmethod
    @asynccontextmanager
    async def open(
        cls, address: str, credentials: Identity, telemetry: Telemetry, *, server_name: str
    ) -> AsyncIterator[Self]:
        """Open the way to `server_name` (a service of ours) at `host:port`; connects on the first call.

        The server must hold the certificate of exactly that service: an agency's certificate, though of the same
        root, can't stand in for it.
        """
        channel = SwappingChannel(address, credentials, host_of("service", server_name))
        try:
            yield cls(channel, credentials, telemetry, server_name)
        finally:
            await channel.close()

    def stub(self, stub: Callable[[aio.Channel], StubT]) -> StubT:
        """Give the typed stub, e.g. `peer.stub(IdentityServiceStub)`; its methods are for `call` and `stream`."""
        return stub(cast(aio.Channel, self._channel))

    async def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT] | aio.UnaryUnaryMultiCallable[RequestT, ResponseT]",
        request: RequestT,
        *,
        timeout_seconds: float = 5.0,
        caller: Caller | None = None,
    ) -> ResponseT:
        """Ask and wait for the answer, never longer than the first caller waits.

        Raises:
            RemoteRefusal: the service refused; code and reason are its own.
            Unavailable: it did not answer (in time), or is busy.
            RemoteFailure: it broke while answering.
        """
        left = seconds_left()
        timeout = timeout_seconds if left is None else min(timeout_seconds, left)
        if timeout <= 0:
            raise Unavailable(f"No time is left to ask the {self.service} service.")
        way = cast(Method, method)
        path = way.path
        service, _, name = path[1:].rpartition("/")
        attributes = {"rpc.system.name": "grpc", "rpc.service": service, "rpc.method": name}
        with self._telemetry.span(path[1:], kind=SpanKind.CLIENT, attributes=attributes) as span:
            metadata = self._metadata(traceparent_of(span), caller)
            try:
                response = await self._channel.callable(way)(request, timeout=timeout, metadata=metadata)
            except aio.AioRpcError as error:
                span.set_attribute("rpc.response.status_code", error.code().name)
                raise received(error, self.service) from None
        return cast(ResponseT, response)

    async def stream(
        self,
        method: Any,
        request: Any,
        *,
        timeout_seconds: float | None = None,
        caller: Caller | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Ask for a stream and give its messages; `request` is a message, or an async iterable of them.

        Without a timeout the stream lives until one side ends it. Raises as `call` does; leaving the loop cancels it.
        """
        way = cast(Method, method)
        metadata = self._metadata(current_traceparent(), caller)
        ongoing = self._channel.callable(way)(_messages(request), timeout=timeout_seconds, metadata=metadata)
        try:
            async for response in ongoing:
                yield response
        except aio.AioRpcError as error:
            raise received(error, self.service) from None
        finally:
            ongoing.cancel()

    def _metadata(self, traceparent: str, caller: Caller | None) -> tuple[tuple[str, str], ...]:
        found = caller or CURRENT.get()
        token = found.token if found is not None and self._passes_tokens else ""
        trace = (("traceparent", traceparent),) if traceparent else ()
        return (*trace, ("authorization", f"Bearer {token}")) if token else trace


def _messages(request: Any) -> Any:
    """Let a message pass; a plain async iterable becomes an iterator that gRPC can take."""
    return aiter(request) if isinstance(request, AsyncIterable) else request
