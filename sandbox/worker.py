# SPDX-License-Identifier: Apache-2.0
"""Takes a department's tasks from the gateway, does them, answers; for ever, through every break."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import islice
from typing import Any

from google.protobuf import json_format, struct_pb2
from tongban.gateway.v1 import gateway_pb2 as nouns
from tongban.gateway.v1 import gateway_service_pb2 as pb
from tongban.gateway.v1 import gateway_service_pb2_grpc as wire

from sandbox.register import Output
from sandbox.waits import growing
from sandbox.work import Operation, TaskRefused, Work
from services.kit.clock import Clock
from services.kit.errors import RemoteFailure, RemoteRefusal, Unavailable
from services.kit.ids import derived_id
from services.kit.logs import get_logger
from services.kit.rpc.peer import Peer
from services.kit.telemetry import SpanKind, Telemetry

log = get_logger()

IN_FLIGHT_MAX = 16
_STREAM_SECONDS = 3600.0
_ANSWER_SECONDS = 5.0
_DRAIN_SECONDS = 2.0
_RENEW_SHARE = 0.5
_TRIES_MAX = 12
"""Tries of a task whose department waits for the platform: half a minute in all, then the lease runs out."""


class TaskWorker:
    """One department at the gateway's door."""

    def __init__(
        self, department: str, gateway: Peer, telemetry: Telemetry, operations: Mapping[str, Operation], clock: Clock
    ) -> None:
        self._department = department
        self._gateway = gateway
        self._tasks = gateway.stub(wire.TaskServiceStub)
        self._telemetry = telemetry
        self._operations = operations
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take tasks until cancelled; then finish what was begun, for a bounded time."""
        waits = growing()
        try:
            while True:
                try:
                    async with aclosing(self._stream()) as responses:
                        async for response in responses:
                            waits = growing()
                            self._begin(response.task)
                except (Unavailable, RemoteRefusal, RemoteFailure) as error:
                    log.warning("tasks_not_taken", department=self._department, why=_why(error))
                await asyncio.sleep(next(waits))
        finally:
            if self._running:
                await asyncio.wait(self._running, timeout=_DRAIN_SECONDS)

    def _stream(self) -> AsyncGenerator[pb.TakeTasksResponse, None]:
        request = pb.TakeTasksRequest(operations=sorted(self._operations), in_flight_max=IN_FLIGHT_MAX)
        return self._gateway.stream(self._tasks.TakeTasks, request, timeout_seconds=_STREAM_SECONDS)

    def _begin(self, task: nouns.Task) -> None:
        running = asyncio.create_task(self._perform(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _perform(self, task: nouns.Task) -> None:
        """Do one task. What can't be answered comes again after its lease, and finds what was done."""
        attributes = {"tongban.case": task.case_id, "tongban.step": task.step_id}
        try:
            with self._telemetry.span(
                f"task {task.operation}", kind=SpanKind.CONSUMER, attributes=attributes, parent=task.traceparent
            ):
                await self._answer(task)
        except (Unavailable, RemoteRefusal, RemoteFailure) as error:
            log.warning("task_not_answered", department=self._department, task_id=task.task_id, why=_why(error))
        except Exception:  # the lease brings the task again; one broken task must not end the department
            log.exception("task_broke", department=self._department, task_id=task.task_id)

    async def _answer(self, task: nouns.Task) -> None:
        try:
            async with self._renewing(task):
                output = await self._do(task)
        except TaskRefused as refused:
            await self._refuse(task, refused)
        else:
            await self._complete(task, output)

    async def _do(self, task: nouns.Task) -> Output:
        operation = self._operations.get(task.operation)
        if operation is None:
            raise TaskRefused(
                "OPERATION_UNKNOWN", "该部门不办理此事项。", f"This department does not do {task.operation}."
            )
        work = Work(task.case_id, task.operation, json_format.MessageToDict(task.input))
        for wait in islice(growing(), _TRIES_MAX):
            try:
                return await operation(work)
            except Unavailable as away:
                # Sooner than the lease would bring the task again; what was done is not done twice.
                log.warning("task_waits", department=self._department, task_id=task.task_id, why=_why(away))
                await asyncio.sleep(wait)
        return await operation(work)

    async def _complete(self, task: nouns.Task, output: Output) -> None:
        struct = struct_pb2.Struct()
        struct.update(dict(output))
        request = pb.CompleteTaskRequest(
            request_id=derived_id("complete", task.task_id, task.lease_token),
            task_id=task.task_id,
            lease_token=task.lease_token,
            output=struct,
        )
        await self._told(self._tasks.CompleteTask, request, task)
        log.info("task_completed", department=self._department, operation=task.operation, case_id=task.case_id)

    async def _refuse(self, task: nouns.Task, refused: TaskRefused) -> None:
        request = pb.RefuseTaskRequest(
            request_id=derived_id("refuse", task.task_id, task.lease_token),
            task_id=task.task_id,
            lease_token=task.lease_token,
            reason=refused.reason,
            message_zh=refused.message_zh,
            message_en=refused.message_en,
        )
        await self._told(self._tasks.RefuseTask, request, task)
        log.info("task_refused", department=self._department, operation=task.operation, reason=refused.reason)

    async def _told(self, method: Any, request: Any, task: nouns.Task) -> None:
        """Answer, again and again while the lease holds: the request id makes the repeat harmless."""
        for wait in growing():
            try:
                await self._gateway.call(method, request, timeout_seconds=_ANSWER_SECONDS)
            except Unavailable:
                if self._lease_seconds(task) < wait:
                    raise
                await asyncio.sleep(wait)
            else:
                return

    @asynccontextmanager
    async def _renewing(self, task: nouns.Task) -> AsyncIterator[None]:
        """Hold the lease while the work takes longer than it."""
        renewing = asyncio.create_task(self._renew(task))
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self, task: nouns.Task) -> None:
        while (seconds := self._lease_seconds(task)) > 0:
            await asyncio.sleep(seconds * _RENEW_SHARE)
            request = pb.RenewLeaseRequest(task_id=task.task_id, lease_token=task.lease_token)
            try:
                response = await self._gateway.call(self._tasks.RenewLease, request, timeout_seconds=_ANSWER_SECONDS)
            except RemoteRefusal:
                return
            except (Unavailable, RemoteFailure):
                continue
            task.lease_expire_time.CopyFrom(response.lease_expire_time)

    def _lease_seconds(self, task: nouns.Task) -> float:
        ends = task.lease_expire_time
        return ends.seconds + ends.nanos / 1e9 - self._clock().timestamp()


def _why(error: Exception) -> str:
    return getattr(error, "reason", "") or type(error).__name__
