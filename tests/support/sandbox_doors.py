# SPDX-License-Identifier: Apache-2.0
"""The two doors that departments knock at, as real servers with real certificates whose behavior a test sets."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tongban.exchange.v1 import exchange_service_pb2 as exchange
from tongban.exchange.v1.exchange_service_pb2_grpc import (
    ConnectorServiceServicer,
    add_ConnectorServiceServicer_to_server,
)
from tongban.gateway.v1 import gateway_pb2 as nouns
from tongban.gateway.v1 import gateway_service_pb2 as gateway
from tongban.gateway.v1.gateway_service_pb2_grpc import TaskServiceServicer, add_TaskServiceServicer_to_server

from services.kit.certificates import CertificateAuthority, Identity
from services.kit.clock import utc_now
from services.kit.config import Common
from services.kit.errors import Unavailable
from services.kit.ids import new_id
from services.kit.rights import RightsSource, Standing
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.peer import Peer
from services.kit.rpc.server import Server
from services.kit.telemetry import Telemetry
from tests.support.mesh import free_port

AGENCY = "spiffe://tongban/agency/1299010000000102XJ"
RIGHTS = frozenset({"gateway.tasks", "exchange.provide"})


def task(
    operation: str,
    values: Mapping[str, str] | None = None,
    *,
    lease_seconds: float = 30,
    traceparent: str = "",
) -> nouns.Task:
    """A task as the gateway gives it."""
    made = nouns.Task(
        task_id=new_id(),
        case_id="case-1",
        step_id=operation,
        matter="birth",
        attempt=1,
        operation=operation,
        lease_token=new_id(),
        traceparent=traceparent,
    )
    made.lease_expire_time.FromDatetime(utc_now() + timedelta(seconds=lease_seconds))
    made.input.update(values or {})
    return made


class TaskDoor(TaskServiceServicer):
    """Gives the tasks that a test puts in, and remembers every answer."""

    def __init__(self) -> None:
        self.tasks: asyncio.Queue[nouns.Task] = asyncio.Queue()
        self.completed: list[gateway.CompleteTaskRequest] = []
        self.refused: list[gateway.RefuseTaskRequest] = []
        self.renewed: list[str] = []
        self.streams = 0
        self.lost = 0
        """So many answers are taken, but their acknowledgment is lost."""

    async def TakeTasks(self, _request: Any, _context: Any) -> AsyncIterator[gateway.TakeTasksResponse]:
        self.streams += 1
        while True:
            yield gateway.TakeTasksResponse(task=await self.tasks.get())

    async def CompleteTask(self, request: Any, _context: Any) -> Any:
        self.completed.append(request)
        if len(self.completed) <= self.lost:
            raise Unavailable("The answer is lost on its way.")
        return gateway.CompleteTaskResponse()

    async def RefuseTask(self, request: Any, _context: Any) -> Any:
        self.refused.append(request)
        return gateway.RefuseTaskResponse()

    async def RenewLease(self, request: Any, _context: Any) -> Any:
        self.renewed.append(request.task_id)
        response = gateway.RenewLeaseResponse()
        response.lease_expire_time.FromDatetime(utc_now() + timedelta(seconds=1))
        return response


class LineDoor(ConnectorServiceServicer):
    """Asks what a test puts in over the line that is up, and remembers the answers."""

    def __init__(self) -> None:
        self.questions: asyncio.Queue[exchange.ConnectResponse] = asyncio.Queue()
        self.hellos: list[list[str]] = []
        self.answers: dict[str, exchange.ConnectorAnswer] = {}

    async def Connect(self, requests: Any, _context: Any) -> AsyncIterator[exchange.ConnectResponse]:
        listening = asyncio.create_task(self._listen(requests))
        try:
            while True:
                yield await self.questions.get()
        finally:
            listening.cancel()

    async def _listen(self, requests: Any) -> None:
        async for request in requests:
            if request.WhichOneof("message") == "hello":
                self.hellos.append(list(request.hello.resources))
            else:
                self.answers[request.answer.work_id] = request.answer


@dataclass
class Doors:
    """Both doors on one port, which a test may close and open again."""

    folder: Path
    telemetry: Telemetry
    stack: AsyncExitStack
    tasks: TaskDoor = field(default_factory=TaskDoor)
    line: LineDoor = field(default_factory=LineDoor)
    port: int = field(default_factory=free_port)
    _server: Server | None = None

    async def open(self) -> None:
        """Serve."""
        settings = Common(
            database="sqlite:///unused/database",
            events="sqlite:///unused/events",
            grpc_port=self.port,
            pki=self.folder / "pki",
            keys=self.folder,
        )
        # Nobody comes with a token, and every agency has the rights of a department.
        keeper = Doorkeeper(None, RightsSource(_standing))  # type: ignore[arg-type]
        self._server = Server(
            "gateway", settings, self._certificate("spiffe://tongban/service/gateway"), self.telemetry, keeper
        )
        self._server.add(
            [
                (add_TaskServiceServicer_to_server, self.tasks),
                (add_ConnectorServiceServicer_to_server, self.line),
            ]
        )
        await self._server.start()

    async def close(self) -> None:
        """Be away."""
        if self._server is not None:
            await self._server.drain(0.2)
            self._server = None

    async def peer(self, telemetry: Telemetry) -> Peer:
        """The way of the department to both."""
        way = Peer.open(f"127.0.0.1:{self.port}", self._certificate(AGENCY), telemetry, server_name="gateway")
        return await self.stack.enter_async_context(way)

    def _certificate(self, spiffe_id: str) -> Identity:
        CertificateAuthority.open(self.folder / "pki").ensure(spiffe_id)
        return Identity.open(self.folder / "pki", spiffe_id)


async def _standing(_uscc: str) -> Standing:
    return Standing(active=True, rights=RIGHTS)


@asynccontextmanager
async def doors(folder: Path) -> AsyncIterator[Doors]:
    """Both doors, open."""
    telemetry = Telemetry("gateway")
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.close)
        made = Doors(folder, telemetry, stack)
        await made.open()
        stack.push_async_callback(made.close)
        yield made
