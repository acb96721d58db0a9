# SPDX-License-Identifier: Apache-2.0
"""Wraps the handlers of a servicer, each once, when the server is made: there is no interceptor per call.

gRPC's own interceptors rebuild the handler for every call and nest a coroutine each; one wrapper per method does the
same work in one frame. Requests are read here, after the caller is admitted, so that strangers can't make us parse.

Every method is registered as one that takes a stream of requests, whatever its contract says: gRPC would wait for the
one request of a unary method before it calls us, and who never sends it would hold a place that no share counts. On
the wire the two are the same.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from services.kit.caller import Caller
from services.kit.errors import RequestInvalid
from services.kit.rpc.admission import Rule, rule_of
from services.kit.rpc.reading import Read, reader_of
from services.kit.rpc.streams import Stream, Take
from services.kit.rpc.unit import Door, Plan, Unit, abort

_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
Handlers = dict[str, "grpc.RpcMethodHandler[Any, Any]"]


class Registrar:
    """Stands in for the server when generated code registers a servicer, and registers the wrapped handlers instead."""

    def __init__(self, server: Any, door: Door, *, opened: frozenset[str] = frozenset()) -> None:
        self._server = server
        self._door = door
        self._opened = opened
        self.services: list[str] = []

    def add_generic_rpc_handlers(self, _handlers: Any) -> None:
        """Wait for `add_registered_method_handlers`, which names the methods."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Wrap and register."""
        wrapped = {name: self._wrapped(service_name, name, handler) for name, handler in method_handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service_name, wrapped),))
        self._server.add_registered_method_handlers(service_name, wrapped)
        self.services.append(service_name)

    def _wrapped(self, service: str, name: str, handler: Any) -> Any:
        streams = bool(handler.request_streaming or handler.response_streaming)
        rule = Rule() if self._opened else rule_of(service, name)
        plan = Plan(f"{service}/{name}", rule, streams, self._opened)
        read = reader_of(handler.request_deserializer)
        write = handler.response_serializer
        door = self._door
        take = _each(read) if handler.request_streaming else _one(read)
        behavior = getattr(handler, _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)])
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(Stream(door, plan, behavior, take).handler, None, write)
        return grpc.stream_unary_rpc_method_handler(_unary_answer(door, plan, behavior, take), None, write)


def _unary_answer(
    door: Door, plan: Plan, behavior: Callable[[Any, Any], Awaitable[Any]], take: Take
) -> Callable[[Any, Any], Awaitable[Any]]:
    attributes = plan.attributes
    enter: Callable[[Unit, Any], Awaitable[Caller] | None] = Unit.enter if plan.opened else Unit.admit_at_once

    async def call(bodies: Any, context: Any) -> Any:
        unit = Unit(door, plan, attributes)
        try:
            waiting = enter(unit, context)
            if waiting is not None:
                unit.let_in(await waiting)
            return await behavior(await take(bodies, context), context)
        except BaseException as error:
            status = unit.failed(error)
            if status is None:
                raise
        finally:
            unit.leave()
        await abort(context, status)
        return None

    return call


def _one(read: Read) -> Take:
    """Read the one message of a unary request."""

    async def reading(_bodies: Any, context: Any) -> Any:
        body = await context.read()
        if body is aio.EOF:
            raise RequestInvalid("The call ended without its request.")
        return read(body)

    return reading


def _each(read: Read) -> Take:
    """Read every message of a request stream."""

    async def reading(bodies: Any, _context: Any) -> Any:
        async def messages() -> AsyncIterator[Any]:
            async for body in bodies:
                yield read(body)

        return messages()

    return reading
