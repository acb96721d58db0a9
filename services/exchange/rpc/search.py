# SPDX-License-Identifier: Apache-2.0
"""SearchService: translate in, one use case, translate out."""

from collections.abc import Sequence
from typing import Any

from grpc import aio
from tongban.exchange.v1 import search_service_pb2 as pb
from tongban.exchange.v1 import search_service_pb2_grpc

from services.exchange.domain.search import Hit, Holder
from services.exchange.rpc.metadata import OPENINGS, field_to
from services.exchange.rpc.wire import CLASSES, resource_to
from services.exchange.service.search import SearchService
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]


class SearchRpc(search_service_pb2_grpc.SearchServiceServicer):
    """Answers questions to the catalogue."""

    def __init__(self, service: SearchService) -> None:
        self._service = service

    async def SearchResources(self, request: pb.SearchResourcesRequest, context: Context) -> pb.SearchResourcesResponse:
        """Find resources, best first."""
        page = await self._service.search(
            request.words,
            any_word=request.any_word,
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
            provider=request.provider,
            sharing_class=CLASSES.read_any(request.sharing_class, "sharing_class"),
            theme=request.theme,
            opening=OPENINGS.read_any(request.opening, "opening"),
        )
        return pb.SearchResourcesResponse(hits=[hit_to(each) for each in page.rows], next_page_token=page.next_token)

    async def FindHolders(self, request: pb.FindHoldersRequest, context: Context) -> pb.FindHoldersResponse:
        """Tell who holds the fields of a form."""
        found = await self._service.find_holders(request.fields, current_caller())
        return pb.FindHoldersResponse(fields=[_holders_to(each, found[each]) for each in request.fields])


def hit_to(hit: Hit) -> pb.ResourceHit:
    """Write a resource that was found."""
    return pb.ResourceHit(resource=resource_to(hit.resource, settings=False), score=hit.score)


def _holders_to(field: str, holders: Sequence[Holder]) -> pb.FieldHolders:
    return pb.FieldHolders(
        field=field,
        holders=[
            pb.Holder(
                resource=each.resource.code,
                name_zh=each.resource.name_zh,
                name_en=each.resource.name_en,
                provider=each.resource.provider,
                sharing_class=CLASSES.write(each.resource.sharing_class),
                field=field_to(each.item),
                exact=each.exact,
            )
            for each in holders
        ],
    )
