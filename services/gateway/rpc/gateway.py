# SPDX-License-Identifier: Apache-2.0
"""For the owners of steps and for departments."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Protocol

import grpc.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.gateway.v1 import gateway_pb2, gateway_service_pb2_grpc
from tongban.gateway.v1 import gateway_service_pb2 as pb

from services.gateway.domain.definition import StepKind
from services.gateway.domain.history import CorrectionItem
from services.gateway.service.dealing import DealingDesk, Held
from services.gateway.service.ports import TaskRow
from services.gateway.service.steps import OpenStep, StepDesk
from services.gateway.service.tasks import CompleteTask, RefuseTask, TaskDesk
from services.kit.caller import current_caller
from services.kit.text import Text

Context = grpc.aio.ServicerContext[Any, Any]

_KINDS = {
    StepKind.VERIFY: gateway_pb2.STEP_KIND_VERIFY,
    StepKind.FETCH: gateway_pb2.STEP_KIND_FETCH,
    StepKind.LICENSE: gateway_pb2.STEP_KIND_LICENSE,
    StepKind.TASK: gateway_pb2.STEP_KIND_TASK,
    StepKind.PAY: gateway_pb2.STEP_KIND_PAY,
}


class StepRpc(gateway_service_pb2_grpc.StepServiceServicer):
    """StepService; rights and field rules stand in the contract."""

    def __init__(self, steps: StepDesk) -> None:
        self._steps = steps

    async def GetStepInput(self, request: pb.GetStepInputRequest, context: Context) -> pb.GetStepInputResponse:
        """What a step needs."""
        step = await self._steps.input(request.case_id, request.step_id, request.attempt, owner=current_caller().id)
        return pb.GetStepInputResponse(input=_step_to_wire(step))


class TaskRpc(gateway_service_pb2_grpc.TaskServiceServicer):
    """TaskService; rights and field rules stand in the contract."""

    def __init__(self, tasks: TaskDesk, dealings: DealingDesk) -> None:
        self._tasks = tasks
        self._dealings = dealings

    async def TakeTasks(self, request: pb.TakeTasksRequest, context: Context) -> AsyncIterator[pb.TakeTasksResponse]:
        """Tasks as they come."""
        async for task in self._tasks.take(list(request.operations), request.in_flight_max):
            yield pb.TakeTasksResponse(task=_task_to_wire(task))

    async def RenewLease(self, request: pb.RenewLeaseRequest, context: Context) -> pb.RenewLeaseResponse:
        """A longer lease."""
        until = await self._tasks.renew(request.task_id, request.lease_token)
        return pb.RenewLeaseResponse(lease_expire_time=_stamp(until))

    async def CompleteTask(self, request: pb.CompleteTaskRequest, context: Context) -> pb.CompleteTaskResponse:
        """Done."""
        command = CompleteTask(
            request_id=request.request_id,
            task_id=request.task_id,
            lease_token=request.lease_token,
            output=from_struct(request.output),
        )
        await self._tasks.complete(command)
        return pb.CompleteTaskResponse()

    async def RefuseTask(self, request: pb.RefuseTaskRequest, context: Context) -> pb.RefuseTaskResponse:
        """Not done, and why."""
        command = RefuseTask(
            request_id=request.request_id,
            task_id=request.task_id,
            lease_token=request.lease_token,
            reason=request.reason,
            message=Text(request.message_zh, request.message_en),
        )
        await self._tasks.refuse(command)
        return pb.RefuseTaskResponse()

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        """Tasks that wait."""
        page = await self._dealings.waiting(page_size=request.page_size, page_token=request.page_token)
        return pb.ListTasksResponse(
            tasks=[_waiting_to_wire(task) for task in page.rows], next_page_token=page.next_token
        )

    async def LeaseTask(self, request: pb.LeaseTaskRequest, context: Context) -> pb.LeaseTaskResponse:
        """One of them, held."""
        return pb.LeaseTaskResponse(task=_task_to_wire(await self._dealings.lease(request.request_id, request.task_id)))

    async def ReleaseTask(self, request: pb.ReleaseTaskRequest, context: Context) -> pb.ReleaseTaskResponse:
        """Given back."""
        await self._dealings.release(_held(request))
        return pb.ReleaseTaskResponse()

    async def NoteTask(self, request: pb.NoteTaskRequest, context: Context) -> pb.NoteTaskResponse:
        """A note of progress."""
        await self._dealings.note(_held(request), request.words)
        return pb.NoteTaskResponse()

    async def RequestCorrection(
        self, request: pb.RequestCorrectionRequest, context: Context
    ) -> pb.RequestCorrectionResponse:
        """What the applicant is to correct."""
        items = [CorrectionItem(one.name, Text(one.message_zh, one.message_en)) for one in request.items]
        await self._dealings.correct(_held(request), items)
        return pb.RequestCorrectionResponse()

    async def RequestExtension(
        self, request: pb.RequestExtensionRequest, context: Context
    ) -> pb.RequestExtensionResponse:
        """More time, and why."""
        reason = Text(request.message_zh, request.message_en)
        await self._dealings.extend(_held(request), request.working_days, reason, request.officer)
        return pb.RequestExtensionResponse()

    async def DecideExtension(self, request: pb.DecideExtensionRequest, context: Context) -> pb.DecideExtensionResponse:
        """What the head decided."""
        await self._dealings.decide_extension(
            request.request_id, request.task_id, request.officer, granted=request.granted
        )
        return pb.DecideExtensionResponse()


class _OfHolder(Protocol):
    request_id: str
    task_id: str
    lease_token: str


def _held(request: _OfHolder) -> Held:
    return Held(request.request_id, request.task_id, request.lease_token)


def from_struct(struct: Struct) -> dict[str, Any]:
    """Values by name; a whole number is an int, as whoever wrote it meant."""
    values: Mapping[str, Any] = MessageToDict(struct)
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()
    }


def to_struct(values: Mapping[str, Any]) -> Struct:
    """The same on the wire."""
    struct = Struct()
    struct.update(dict(values))
    return struct


def _step_to_wire(step: OpenStep) -> gateway_pb2.StepInput:
    return gateway_pb2.StepInput(
        case_id=step.case_id,
        step_id=step.step_id,
        attempt=step.attempt,
        kind=_KINDS[step.kind],
        purpose=step.purpose,
        basis=step.basis,
        agency=step.agency,
        applicant_id=step.applicant_id,
        input=to_struct(step.input),
        undoes=step.undoes,
        ends_licenses=step.ends_licenses,
    )


def _task_to_wire(task: TaskRow) -> gateway_pb2.Task:
    assert task.lease_until is not None
    return gateway_pb2.Task(
        task_id=task.task_id,
        case_id=task.case_id,
        step_id=task.step_id,
        matter=task.matter,
        attempt=task.attempt,
        operation=task.operation,
        input=to_struct(task.input),
        lease_expire_time=_stamp(task.lease_until),
        lease_token=task.lease_token,
        traceparent=task.traceparent,
        title_zh=task.title.zh,
        title_en=task.title.en,
    )


def _waiting_to_wire(task: TaskRow) -> pb.WaitingTask:
    assert task.created is not None
    waiting = pb.WaitingTask(
        task_id=task.task_id,
        case_id=task.case_id,
        step_id=task.step_id,
        matter=task.matter,
        operation=task.operation,
        create_time=_stamp(task.created),
    )
    if task.lease_until is not None:
        waiting.lease_expire_time.CopyFrom(_stamp(task.lease_until))
    return waiting


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
