# SPDX-License-Identifier: Apache-2.0
"""DemandService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import demands_pb2 as nouns
from tongban.exchange.v1 import demands_service_pb2 as pb
from tongban.exchange.v1 import demands_service_pb2_grpc

from services.exchange.domain.demand import DemandState
from services.exchange.rpc.enums import Enum
from services.exchange.rpc.search import hit_to
from services.exchange.service.demands import DemandService, DemandView, FileDemand
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]
STATES = Enum(nouns.DemandState, DemandState, "DEMAND_STATE")


class DemandRpc(demands_service_pb2_grpc.DemandServiceServicer):
    """Takes demands from filing to fulfilment."""

    def __init__(self, service: DemandService) -> None:
        self._service = service

    async def FileDemand(self, request: pb.FileDemandRequest, context: Context) -> pb.FileDemandResponse:
        """Say what is needed."""
        command = FileDemand(
            request_id=request.request_id,
            title=request.title,
            needs=request.needs,
            fields=tuple(request.fields),
            scene=request.scene,
            basis=request.basis,
        )
        return pb.FileDemandResponse(demand=_demand_to(await self._service.file(command, current_caller())))

    async def SuggestResources(
        self, request: pb.SuggestResourcesRequest, context: Context
    ) -> pb.SuggestResourcesResponse:
        """Give what may meet a demand."""
        page = await self._service.suggest(request.demand_id, current_caller())
        return pb.SuggestResourcesResponse(hits=[hit_to(each) for each in page.rows])

    async def AssignDemand(self, request: pb.AssignDemandRequest, context: Context) -> pb.AssignDemandResponse:
        """Give it to a provider to answer."""
        view = await self._service.assign(request.request_id, request.demand_id, request.provider, current_caller())
        return pb.AssignDemandResponse(demand=_demand_to(view))

    async def AcceptDemand(self, request: pb.AcceptDemandRequest, context: Context) -> pb.AcceptDemandResponse:
        """Say by which resource it is met."""
        view = await self._service.accept(request.request_id, request.demand_id, request.resource, current_caller())
        return pb.AcceptDemandResponse(demand=_demand_to(view))

    async def DeclineDemand(self, request: pb.DeclineDemandRequest, context: Context) -> pb.DeclineDemandResponse:
        """Say why not."""
        view = await self._service.decline(request.request_id, request.demand_id, request.reason, current_caller())
        return pb.DeclineDemandResponse(demand=_demand_to(view))

    async def FulfilDemand(self, request: pb.FulfilDemandRequest, context: Context) -> pb.FulfilDemandResponse:
        """Confirm that it is met."""
        view = await self._service.fulfil(request.request_id, request.demand_id, current_caller())
        return pb.FulfilDemandResponse(demand=_demand_to(view))

    async def CloseDemand(self, request: pb.CloseDemandRequest, context: Context) -> pb.CloseDemandResponse:
        """Pursue it no more."""
        view = await self._service.close(request.request_id, request.demand_id, request.reason, current_caller())
        return pb.CloseDemandResponse(demand=_demand_to(view))

    async def GetDemand(self, request: pb.GetDemandRequest, context: Context) -> pb.GetDemandResponse:
        """Read one with its clock."""
        caller = current_caller()
        return pb.GetDemandResponse(demand=_demand_to(await self._service.get(request.demand_id, caller)))

    async def ListDemands(self, request: pb.ListDemandsRequest, context: Context) -> pb.ListDemandsResponse:
        """List demands, newest first."""
        page = await self._service.list(
            providing=request.providing,
            state=STATES.read_any(request.state, "state"),
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListDemandsResponse(
            demands=[_demand_to(DemandView(each)) for each in page.rows], next_page_token=page.next_token
        )


def _demand_to(view: DemandView) -> nouns.Demand:
    demand = view.demand
    wire = nouns.Demand(
        demand_id=demand.demand_id,
        requester=demand.requester,
        title=demand.title,
        needs=demand.needs,
        fields=demand.fields,
        scene=demand.scene,
        basis=demand.basis,
        state=STATES.write(demand.state),
        provider=demand.provider,
        resource=demand.resource,
        reason=demand.reason,
        derivation_zh=[each.zh for each in view.derivation],
        derivation_en=[each.en for each in view.derivation],
    )
    wire.file_time.FromDatetime(demand.file_time)
    if view.due is not None:
        wire.due_time.FromDatetime(view.due)
    return wire
