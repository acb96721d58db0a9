# SPDX-License-Identifier: Apache-2.0
"""CatalogueService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc

from services.exchange.rpc.wire import grant_to, moment_from, resource_from, resource_to
from services.exchange.service.catalogue import CatalogueService, CreateGrant, RevokeGrant
from services.kit.caller import Caller, CallerKind, current_caller

Context = aio.ServicerContext[Any, Any]


class CatalogueRpc(exchange_service_pb2_grpc.CatalogueServiceServicer):
    """Keeps the catalogue and the grants."""

    def __init__(self, service: CatalogueService) -> None:
        self._service = service

    async def PutResource(self, request: pb.PutResourceRequest, context: Context) -> pb.PutResourceResponse:
        """Create or replace a resource."""
        resource = await self._service.put_resource(resource_from(request.resource), current_caller())
        return pb.PutResourceResponse(resource=resource_to(resource, settings=True))

    async def GetResource(self, request: pb.GetResourceRequest, context: Context) -> pb.GetResourceResponse:
        """Read one resource."""
        caller = current_caller()
        resource = await self._service.get_resource(request.code, caller)
        return pb.GetResourceResponse(resource=resource_to(resource, settings=_may_see_settings(caller)))

    async def ListResources(self, request: pb.ListResourcesRequest, context: Context) -> pb.ListResourcesResponse:
        """List resources by code."""
        caller = current_caller()
        page = await self._service.list_resources(
            page_size=request.page_size, page_token=request.page_token, caller=caller
        )
        settings = _may_see_settings(caller)
        return pb.ListResourcesResponse(
            resources=[resource_to(each, settings=settings) for each in page.rows], next_page_token=page.next_token
        )

    async def CreateGrant(self, request: pb.CreateGrantRequest, context: Context) -> pb.CreateGrantResponse:
        """Create a grant."""
        given = request.grant
        command = CreateGrant(
            request_id=request.request_id,
            resource=given.resource,
            grantee=given.grantee,
            purposes=tuple(given.purposes),
            fields=tuple(given.fields),
            verify_fields=tuple(given.verify_fields),
            basis=given.basis,
            expire_time=moment_from(given.expire_time, "grant.expire_time"),
            daily_quota=given.daily_quota,
        )
        return pb.CreateGrantResponse(grant=grant_to(await self._service.create_grant(command, current_caller())))

    async def RevokeGrant(self, request: pb.RevokeGrantRequest, context: Context) -> pb.RevokeGrantResponse:
        """Take a grant back."""
        command = RevokeGrant(request_id=request.request_id, grant_id=request.grant_id, grounds=request.grounds)
        return pb.RevokeGrantResponse(grant=grant_to(await self._service.revoke_grant(command, current_caller())))

    async def ListGrants(self, request: pb.ListGrantsRequest, context: Context) -> pb.ListGrantsResponse:
        """List grants, newest first."""
        page = await self._service.list_grants(
            resource=request.resource,
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListGrantsResponse(grants=[grant_to(each) for each in page.rows], next_page_token=page.next_token)


def _may_see_settings(caller: Caller) -> bool:
    """Addresses and passwords of registers are for operators alone."""
    return caller.kind is CallerKind.OPERATOR
