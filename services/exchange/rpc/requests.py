# SPDX-License-Identifier: Apache-2.0
"""DataRequestService: translate in, one use case, translate out."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from grpc import aio
from tongban.exchange.v1 import requests_pb2 as nouns
from tongban.exchange.v1 import requests_service_pb2 as pb
from tongban.exchange.v1 import requests_service_pb2_grpc

from services.exchange.domain.answer import ANSWER_BYTES_MAX
from services.exchange.domain.refusals import ProviderAnswerInvalid
from services.exchange.domain.requests import LEASE, DataRequest, RequestState
from services.exchange.rpc.wire import subject_from, values_to
from services.exchange.service.requests import AnswerData, RequestData, RequestService, Work
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

_CODES = {state: nouns.DataRequestState.Value(f"DATA_REQUEST_STATE_{state.name}") for state in RequestState}
_STATES = {code: state for state, code in _CODES.items()}


class DataRequestRpc(requests_service_pb2_grpc.DataRequestServiceServicer):
    """Questions that a provider's people answer."""

    def __init__(self, service: RequestService) -> None:
        self._service = service

    async def RequestData(self, request: pb.RequestDataRequest, context: Context) -> pb.RequestDataResponse:
        """Ask."""
        command = RequestData(
            request_id=request.request_id,
            resource=request.resource,
            subject=subject_from(request.subject),
            purpose=request.purpose,
            case_id=request.case_id,
            fields=tuple(request.fields),
        )
        return pb.RequestDataResponse(request=_request_to(await self._service.ask(command, current_caller())))

    async def CollectData(self, request: pb.CollectDataRequest, context: Context) -> pb.CollectDataResponse:
        """Hand an answer over."""
        handed = await self._service.collect(request.id, current_caller())
        return pb.CollectDataResponse(
            request=_request_to(handed.request),
            values=values_to(handed.values),
            receipt=handed.receipt.to_wire(),
            disputed=handed.disputed,
        )

    async def ListDataRequests(
        self, request: pb.ListDataRequestsRequest, context: Context
    ) -> pb.ListDataRequestsResponse:
        """List own questions, newest first."""
        page = await self._service.list(
            state=_STATES.get(request.state),
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListDataRequestsResponse(
            requests=[_request_to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def GetDataRequest(self, request: pb.GetDataRequestRequest, context: Context) -> pb.GetDataRequestResponse:
        """Tell how a request stands."""
        found = await self._service.read(request.id, current_caller())
        grounds = "" if found.answer is None else found.answer.grounds
        return pb.GetDataRequestResponse(request=_request_to(found), grounds=grounds)

    async def LeaseDataRequests(
        self, request: pb.LeaseDataRequestsRequest, context: Context
    ) -> pb.LeaseDataRequestsResponse:
        """Give a provider's people open requests."""
        work = await self._service.lease(request.most, current_caller())
        return pb.LeaseDataRequestsResponse(leased=[_work_to(each) for each in work])

    async def AnswerDataRequest(
        self, request: pb.AnswerDataRequestRequest, context: Context
    ) -> pb.AnswerDataRequestResponse:
        """Answer or refuse what was leased."""
        if request.values.ByteSize() > ANSWER_BYTES_MAX:
            raise ProviderAnswerInvalid(f"The answer is larger than {ANSWER_BYTES_MAX} bytes.")
        command = AnswerData(
            id=request.id,
            lease_id=request.lease_id,
            record=MessageToDict(request.values) if request.HasField("values") else None,
            grounds=request.grounds,
        )
        answered = await self._service.answer(command, current_caller())
        return pb.AnswerDataRequestResponse(request=_request_to(answered))


def _work_to(work: Work) -> pb.LeasedDataRequest:
    wire = pb.LeasedDataRequest(
        request=_request_to(work.request), subject_key=work.subject_key, lease_id=work.request.lease_id
    )
    if work.request.lease_time is not None:
        wire.lease_until_time.FromDatetime(work.request.lease_time + LEASE)
    return wire


def _request_to(request: DataRequest) -> nouns.DataRequest:
    wire = nouns.DataRequest(
        id=request.id,
        agency=request.agency,
        provider=request.provider,
        resource=request.resource,
        purpose=request.purpose,
        case_id=request.case_id,
        fields=request.fields,
        state=_CODES[request.state],
        overdue=request.overdue,
    )
    wire.create_time.FromDatetime(request.create_time)
    wire.expire_time.FromDatetime(request.expire_time)
    if request.due_time is not None:
        wire.due_time.FromDatetime(request.due_time)
    return wire
