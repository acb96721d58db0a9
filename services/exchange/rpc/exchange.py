# SPDX-License-Identifier: Apache-2.0
"""ExchangeService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc

from services.exchange.domain.inquiry import Query, Verification
from services.exchange.rpc.wire import subject_from, values_to
from services.exchange.service.queries import QueryService
from services.exchange.service.steps import StepService
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]


class ExchangeRpc(exchange_service_pb2_grpc.ExchangeServiceServicer):
    """Brokers queries and verifications."""

    def __init__(self, queries: QueryService, steps: StepService) -> None:
        self._queries = queries
        self._steps = steps

    async def Query(self, request: pb.QueryRequest, context: Context) -> pb.QueryResponse:
        """Ask one resource about one subject."""
        query = Query(
            resource=request.resource,
            subject=subject_from(request.subject),
            fields=tuple(request.fields),
            purpose=request.purpose,
            case_id=request.case_id,
            on_behalf_of=request.on_behalf_of,
        )
        answer = await self._queries.query(query, current_caller())
        response = pb.QueryResponse(
            values=values_to(answer.values),
            grant_id=answer.grant_id,
            provider=answer.provider,
            receipt=answer.receipt.to_wire(),
            disputed=answer.disputed,
        )
        response.answer_time.FromDatetime(answer.answer_time)
        return response

    async def Verify(self, request: pb.VerifyRequest, context: Context) -> pb.VerifyResponse:
        """Compare values with a resource."""
        question = Verification(
            resource=request.resource,
            subject=subject_from(request.subject),
            values=dict(request.values),
            purpose=request.purpose,
            case_id=request.case_id,
        )
        answer = await self._queries.verify(question, current_caller())
        return pb.VerifyResponse(
            matched=answer.matched,
            fields=answer.fields,
            grant_id=answer.grant_id,
            receipt=answer.receipt.to_wire(),
            disputed=answer.disputed,
        )

    async def GetAnswer(self, request: pb.GetAnswerRequest, context: Context) -> pb.GetAnswerResponse:
        """Hand over the answer of a step."""
        kept, disputed = await self._steps.collect(request.answer_id)
        return pb.GetAnswerResponse(case_id=kept.case_id, values=values_to(kept.values), disputed=disputed)
