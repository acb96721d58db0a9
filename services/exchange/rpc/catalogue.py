# SPDX-License-Identifier: Apache-2.0
"""CatalogueService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import exchange_service_pb2 as pb

from services.exchange.rpc.grants import GrantVerbs
from services.exchange.rpc.metadata import quality_to
from services.exchange.rpc.wire import resource_from, resource_to
from services.exchange.service.catalogue import CatalogueService
from services.exchange.service.entries import EntryService
from services.exchange.service.grants import GrantService
from services.kit.caller import Caller, CallerKind, current_caller

Context = aio.ServicerContext[Any, Any]


class CatalogueRpc(GrantVerbs):
    """Keeps the catalogue and the grants."""

    def __init__(self, service: CatalogueService, grants: GrantService, entries: EntryService) -> None:
        super().__init__(grants)
        self._service = service
        self._entries = entries

    async def PutResource(self, request: pb.PutResourceRequest, context: Context) -> pb.PutResourceResponse:
        """Create or replace a resource."""
        resource = await self._service.put_resource(resource_from(request.resource), current_caller())
        return pb.PutResourceResponse(resource=resource_to(resource, settings=True))

    async def GetResource(self, request: pb.GetResourceRequest, context: Context) -> pb.GetResourceResponse:
        """Read one resource, now or in an earlier version."""
        caller = current_caller()
        if request.revision:
            version = await self._entries.version(request.code, request.revision, caller)
            return pb.GetResourceResponse(resource=resource_to(version.resource, settings=False))
        resource = await self._service.get_resource(request.code, caller)
        quality = await self._entries.quality(request.code)
        return pb.GetResourceResponse(
            resource=resource_to(resource, settings=_may_see_settings(caller)),
            quality=[quality_to(each) for each in quality],
        )

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


def _may_see_settings(caller: Caller) -> bool:
    """Addresses and passwords of registers are for operators alone."""
    return caller.kind is CallerKind.OPERATOR
