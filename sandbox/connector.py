# SPDX-License-Identifier: Apache-2.0
"""The line that a department dials out to the broker: it takes questions and answers them from its register."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing

from google.protobuf import struct_pb2
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc as wire

from sandbox.waits import growing
from services.kit.errors import RemoteFailure, RemoteRefusal, Unavailable
from services.kit.logs import get_logger
from services.kit.rpc.peer import Peer
from services.kit.telemetry import SpanKind, Telemetry

log = get_logger()

Lookup = Callable[[str], Awaitable[Mapping[str, str] | None]]
"""Finds a record by the number of a person; None where there is none."""

ANSWERS_MAX = 256
"""Questions answered at the same time; more wait on the line."""

_LINE_SECONDS = 3600.0


class Connector:
    """One department's line."""

    def __init__(self, exchange: Peer, telemetry: Telemetry, lookups: Mapping[str, Lookup]) -> None:
        self._exchange = exchange
        self._connector = exchange.stub(wire.ConnectorServiceStub)
        self._telemetry = telemetry
        self._lookups = lookups

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        waits = growing()
        while True:
            try:
                async with aclosing(self._line()) as line:
                    async for _ in line:
                        waits = growing()
            except (Unavailable, RemoteRefusal, RemoteFailure) as error:
                log.warning("line_down", why=getattr(error, "reason", "") or type(error).__name__)
            await asyncio.sleep(next(waits))

    async def _line(self) -> AsyncGenerator[None, None]:
        """One connection; yields at each question."""
        answers: asyncio.Queue[pb.ConnectRequest] = asyncio.Queue(ANSWERS_MAX)
        await answers.put(pb.ConnectRequest(hello=pb.ConnectorHello(resources=sorted(self._lookups))))
        room = asyncio.Semaphore(ANSWERS_MAX)
        answering: set[asyncio.Task[None]] = set()
        call = self._exchange.stream(self._connector.Connect, _outgoing(answers), timeout_seconds=_LINE_SECONDS)
        try:
            async with aclosing(call) as questions:
                async for question in questions:
                    await room.acquire()
                    task = asyncio.create_task(self._answer(question, answers))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
                    task.add_done_callback(lambda _: room.release())
                    yield
        finally:
            for task in answering:
                task.cancel()

    async def _answer(self, question: pb.ConnectResponse, answers: asyncio.Queue[pb.ConnectRequest]) -> None:
        with self._telemetry.span(
            "connector lookup",
            kind=SpanKind.SERVER,
            attributes={"tongban.resource": question.resource},
            parent=question.traceparent,
        ) as span:
            answer = pb.ConnectorAnswer(work_id=question.work_id, outcome=pb.CONNECTOR_OUTCOME_FAILED)
            try:
                record = await self._lookups[question.resource](question.subject_key)
            except Exception as error:  # noqa: BLE001 - the asker must hear that the register failed
                log.error("lookup_failed", resource=question.resource, error=type(error).__name__)  # noqa: TRY400
            else:
                answer = _found(question, record)
            span.set_attribute("tongban.outcome", pb.ConnectorOutcome.Name(answer.outcome))
            await answers.put(pb.ConnectRequest(answer=answer))


def _found(question: pb.ConnectResponse, record: Mapping[str, str] | None) -> pb.ConnectorAnswer:
    if record is None:
        return pb.ConnectorAnswer(work_id=question.work_id, outcome=pb.CONNECTOR_OUTCOME_NOT_FOUND)
    values = struct_pb2.Struct()
    values.update({name: record[name] for name in {*question.fields, "subject_key"} if name in record})
    return pb.ConnectorAnswer(work_id=question.work_id, outcome=pb.CONNECTOR_OUTCOME_FOUND, values=values)


async def _outgoing(answers: asyncio.Queue[pb.ConnectRequest]) -> AsyncIterator[pb.ConnectRequest]:
    while True:
        yield await answers.get()
