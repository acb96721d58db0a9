# SPDX-License-Identifier: Apache-2.0
"""LineService: the door for the other processes of this service."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import lines_service_pb2 as pb
from tongban.exchange.v1 import lines_service_pb2_grpc

from services.exchange.domain.inquiry import Inquiry
from services.exchange.service.connectors import ConnectorHub
from services.kit.telemetry import current_traceparent

Context = aio.ServicerContext[Any, Any]


class LineRpc(lines_service_pb2_grpc.LineServiceServicer):
    """Asks over lines that are held here; passes nothing on, so that no question goes in circles."""

    def __init__(self, hub: ConnectorHub) -> None:
        self._hub = hub

    async def AskLine(self, request: pb.AskLineRequest, _context: Context) -> pb.AskLineResponse:
        """Ask. Ends with its asker, whose time it has."""
        inquiry = Inquiry(
            request.resource, request.subject_key, tuple(request.fields), timeout_seconds=request.timeout_ms / 1000
        )
        answer = await self._hub.ask_here(request.provider, inquiry, traceparent=current_traceparent())
        response = pb.AskLineResponse(outcome=pb.LineOutcome.Value(f"LINE_OUTCOME_{answer.outcome.name}"))
        response.values.update(answer.values)
        return response
