# SPDX-License-Identifier: Apache-2.0
"""GrantService: questions answered without a value, and what a grant would do."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import grants_service_pb2 as pb
from tongban.exchange.v1 import grants_service_pb2_grpc

from services.exchange.domain.inquiry import Ask
from services.exchange.rpc.grants import grant_to
from services.exchange.rpc.terms import METHODS, question_to
from services.exchange.rpc.wire import subject_from
from services.exchange.service.explaining import Explain, ExplainedGrant, Explainer, Explanation
from services.exchange.service.queries import QueryService
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

_TRUTHS = {True: pb.TRUTH_TRUE, False: pb.TRUTH_FALSE, None: pb.TRUTH_UNKNOWN}


class GrantRpc(grants_service_pb2_grpc.GrantServiceServicer):
    """Grants at work."""

    def __init__(self, queries: QueryService, explainer: Explainer) -> None:
        self._queries = queries
        self._explainer = explainer

    async def Ask(self, request: pb.AskRequest, context: Context) -> pb.AskResponse:
        """Ask questions about one subject."""
        ask = Ask(
            resource=request.resource,
            subject=subject_from(request.subject),
            questions=tuple(request.questions),
            purpose=request.purpose,
            case_id=request.case_id,
        )
        asked = await self._queries.ask(ask, current_caller())
        return pb.AskResponse(
            answers={name: _TRUTHS[answer] for name, answer in asked.answers.items()},
            grant_id=asked.grant_id,
            receipt=asked.receipt.to_wire(),
            disputed=asked.disputed,
        )

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """Tell what would happen."""
        explain = Explain(
            resource=request.resource,
            purpose=request.purpose,
            method=METHODS.read(request.method, "method"),
            fields=tuple(request.fields),
            questions=tuple(request.questions),
            grantee=request.grantee,
        )
        return _to_wire(await self._explainer.explain(explain, current_caller()))


def _to_wire(found: Explanation) -> pb.ExplainResponse:
    wire = pb.ExplainResponse(grants=[_grant_to_wire(each) for each in found.grants])
    if found.refusal is not None:
        wire.reason, wire.message = found.refusal.reason, found.refusal.message
        wire.retry_after_seconds = found.refusal.retry_after_seconds or 0.0
    if found.permit is not None:
        asked = {each.name for each in found.questions}
        wire.allowed = True
        wire.grant_id = found.permit.grant_id
        wire.fields.extend(name for name in found.permit.fields if name not in asked)
        wire.questions.extend(question_to(each) for each in found.questions)
        wire.consent_needed = found.permit.limits is not None and found.permit.limits.consent
    return wire


def _grant_to_wire(each: ExplainedGrant) -> pb.ExplainedGrant:
    wire = pb.ExplainedGrant(
        grant=grant_to(each.grant),
        quota_left=-1 if each.quota_left is None else each.quota_left,
        open=each.open,
        expired=each.expired,
    )
    if each.open_time is not None:
        wire.open_time.FromDatetime(each.open_time)
    return wire
