# SPDX-License-Identifier: Apache-2.0
"""For who tells a case something, and for operators."""

from typing import Any, Protocol

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.gateway.v1 import engine_pb2, engine_service_pb2_grpc
from tongban.gateway.v1 import engine_service_pb2 as pb

from services.gateway.rpc.gateway import from_struct
from services.gateway.service.operating import OnStep, OperatorDesk, StandingOfCase
from services.gateway.service.outside import OutsideDesk, SignalCase

Context = grpc.aio.ServicerContext[Any, Any]


class _OnStep(Protocol):
    """What every request about a parked step says."""

    request_id: str
    case_id: str
    step_id: str
    why: str


class SignalRpc(engine_service_pb2_grpc.SignalServiceServicer):
    """SignalService; rights and field rules stand in the contract."""

    def __init__(self, outside: OutsideDesk) -> None:
        self._outside = outside

    async def SignalCase(self, request: pb.SignalCaseRequest, context: Context) -> pb.SignalCaseResponse:
        """What a case waits for."""
        await self._outside.signal(
            SignalCase(request.request_id, request.case_id, request.signal, from_struct(request.output))
        )
        return pb.SignalCaseResponse()


class OperatorRpc(engine_service_pb2_grpc.OperatorServiceServicer):
    """OperatorService; rights and field rules stand in the contract."""

    def __init__(self, operators: OperatorDesk) -> None:
        self._operators = operators

    async def ListParkedCases(self, request: pb.ListParkedCasesRequest, context: Context) -> pb.ListParkedCasesResponse:
        """Who needs an operator."""
        page = await self._operators.parked(request.page_size, request.page_token)
        return pb.ListParkedCasesResponse(cases=[_to_wire(each) for each in page.rows], next_page_token=page.next_token)

    async def ResumeStep(self, request: pb.ResumeStepRequest, context: Context) -> pb.ResumeStepResponse:
        """Again."""
        return pb.ResumeStepResponse(case=_to_wire(await self._operators.resume(_on_step(request))))

    async def SkipStep(self, request: pb.SkipStepRequest, context: Context) -> pb.SkipStepResponse:
        """Without it."""
        return pb.SkipStepResponse(case=_to_wire(await self._operators.skip(_on_step(request))))

    async def CompensateStep(self, request: pb.CompensateStepRequest, context: Context) -> pb.CompensateStepResponse:
        """Back."""
        return pb.CompensateStepResponse(case=_to_wire(await self._operators.compensate(_on_step(request))))

    async def HandOverStep(self, request: pb.HandOverStepRequest, context: Context) -> pb.HandOverStepResponse:
        """Somebody else."""
        after = await self._operators.hand_over(_on_step(request), request.role)
        return pb.HandOverStepResponse(case=_to_wire(after))

    async def ProposeOutput(self, request: pb.ProposeOutputRequest, context: Context) -> pb.ProposeOutputResponse:
        """By hand."""
        after = await self._operators.propose(_on_step(request), from_struct(request.output))
        return pb.ProposeOutputResponse(case=_to_wire(after))

    async def ConfirmOutput(self, request: pb.ConfirmOutputRequest, context: Context) -> pb.ConfirmOutputResponse:
        """By hand, seen by another."""
        return pb.ConfirmOutputResponse(case=_to_wire(await self._operators.confirm(_on_step(request))))

    async def TerminateCase(self, request: pb.TerminateCaseRequest, context: Context) -> pb.TerminateCaseResponse:
        """The end, before its time."""
        after = await self._operators.terminate(request.request_id, request.case_id, request.why)
        return pb.TerminateCaseResponse(case=_to_wire(after))


def _on_step(request: _OnStep) -> OnStep:
    return OnStep(request.request_id, request.case_id, request.step_id, request.why)


def _to_wire(standing: StandingOfCase) -> engine_pb2.CaseStanding:
    submit_time = None
    if standing.submitted is not None:
        submit_time = Timestamp()
        submit_time.FromDatetime(standing.submitted)
    return engine_pb2.CaseStanding(
        case_id=standing.case_id,
        receipt=standing.receipt,
        matter=standing.matter,
        status=standing.status.value,
        version=standing.version,
        parked=[
            engine_pb2.ParkedStep(
                step_id=one.step_id,
                title_zh=one.title.zh,
                title_en=one.title.en,
                reason=one.reason,
                attempt=one.attempt,
                proposed_by=one.proposed_by,
            )
            for one in standing.parked
        ],
        submit_time=submit_time,
    )
