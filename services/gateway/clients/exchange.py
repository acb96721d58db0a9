# SPDX-License-Identifier: Apache-2.0
"""Exchange: what a department says, for a form or for a step."""

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

from services.gateway.domain.expressions import Scalar
from services.gateway.service.ports import Question, SourceAnswer
from services.kit.caller import Caller, CallerKind
from services.kit.rpc.peer import Peer

_ITSELF = Caller(CallerKind.SERVICE, "gateway")
_PREFILL_SECONDS = 4.0
"""A person waits: a source that is slower leaves its fields empty."""


class ExchangeClient:
    """The exchange service."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._exchange = peer.stub(ExchangeServiceStub)

    async def ask(self, question: Question) -> SourceAnswer:
        """Ask a department on the resident's own token."""
        request = pb.QueryRequest(
            resource=question.resource,
            subject=pb.Subject(subject_id=question.subject_id),
            fields=question.fields,
            purpose=question.purpose,
            case_id=question.case_id,
            on_behalf_of=question.on_behalf_of,
        )
        response = await self._peer.call(self._exchange.Query, request, timeout_seconds=_PREFILL_SECONDS)
        return SourceAnswer(response.provider, _values(response.values), frozenset(response.disputed))

    async def answer(self, answer_id: str) -> SourceAnswer:
        """The full answer of a step, of whichever provider."""
        request = pb.GetAnswerRequest(answer_id=answer_id)
        response = await self._peer.call(self._exchange.GetAnswer, request, caller=_ITSELF)
        return SourceAnswer("", _values(response.values), frozenset(response.disputed))


def _values(struct: Struct) -> dict[str, Scalar]:
    """Plain values only; lists and objects are no facts that a form or a rule reads."""
    return {name: value for name, value in MessageToDict(struct).items() if isinstance(value, str | float | bool)}
