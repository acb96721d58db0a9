# SPDX-License-Identifier: Apache-2.0
"""ConnectorService: the door for providers that dial out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from grpc import aio
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc

from services.exchange.domain.answer import ANSWER_BYTES_MAX
from services.exchange.domain.refusals import HelloMissing
from services.exchange.service.connectors import ConnectorHub, Line, Outcome, Work, WorkAnswer
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

HELLO_SECONDS = 10.0
_OUTCOMES = {
    pb.CONNECTOR_OUTCOME_FOUND: Outcome.FOUND,
    pb.CONNECTOR_OUTCOME_NOT_FOUND: Outcome.NOT_FOUND,
    pb.CONNECTOR_OUTCOME_FAILED: Outcome.FAILED,
}


class ConnectorRpc(exchange_service_pb2_grpc.ConnectorServiceServicer):
    """One call is one line; it lives until one side hangs up."""

    def __init__(self, hub: ConnectorHub, rulebook: Rulebook) -> None:
        self._hub = hub
        self._rulebook = rulebook

    async def Connect(
        self, request_iterator: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> AsyncIterator[pb.ConnectResponse]:
        """Send work and match answers. Whatever ends the line fails its open work at once."""
        hello = await _hello(request_iterator)
        offered = {code: await self._rulebook.resource(code) for code in hello.resources}
        with self._hub.line(current_caller().id, offered) as line:
            reading = asyncio.create_task(_read(request_iterator, line))
            try:
                async for work in line.work():
                    yield _to_wire(work)
                await reading
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await reading


async def _hello(requests: AsyncIterator[pb.ConnectRequest]) -> pb.ConnectorHello:
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await anext(requests, None)
    except TimeoutError:
        first = None
    if first is None or not first.HasField("hello"):
        raise HelloMissing("A connector says first which resources it serves.")
    return first.hello


async def _read(requests: AsyncIterator[pb.ConnectRequest], line: Line) -> None:
    """Deliver answers until the connector hangs up or says something that it may not."""
    try:
        async for request in requests:
            if not request.HasField("answer"):
                raise HelloMissing("A connector says hello once.")
            line.deliver(request.answer.work_id, _from_wire(request.answer))
    finally:
        line.close()


def _from_wire(answer: pb.ConnectorAnswer) -> WorkAnswer:
    if answer.ByteSize() > ANSWER_BYTES_MAX:
        return WorkAnswer(Outcome.INVALID)
    return WorkAnswer(_OUTCOMES[answer.outcome], dict(answer.values.items()))


def _to_wire(work: Work) -> pb.ConnectResponse:
    wire = pb.ConnectResponse(
        work_id=work.work_id,
        resource=work.resource,
        subject_key=work.subject_key,
        fields=work.fields,
        traceparent=work.traceparent,
    )
    wire.expire_time.FromDatetime(work.expire_time)
    return wire
