# SPDX-License-Identifier: Apache-2.0
"""The verbs of CatalogueService that are about grants."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc

from services.exchange.domain.grant import Grant
from services.exchange.rpc.terms import terms_from, terms_to
from services.exchange.rpc.wire import moment_from
from services.exchange.service.grants import CreateGrant, GrantService, RevokeGrant
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]


class GrantVerbs(exchange_service_pb2_grpc.CatalogueServiceServicer):
    """Gives, takes back and lists grants."""

    def __init__(self, grants: GrantService) -> None:
        self._grants = grants

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
            terms=terms_from(given.terms),
        )
        return pb.CreateGrantResponse(grant=grant_to(await self._grants.create(command, current_caller())))

    async def RevokeGrant(self, request: pb.RevokeGrantRequest, context: Context) -> pb.RevokeGrantResponse:
        """Take a grant back."""
        command = RevokeGrant(request_id=request.request_id, grant_id=request.grant_id, grounds=request.grounds)
        return pb.RevokeGrantResponse(grant=grant_to(await self._grants.revoke(command, current_caller())))

    async def ListGrants(self, request: pb.ListGrantsRequest, context: Context) -> pb.ListGrantsResponse:
        """List grants, newest first."""
        page = await self._grants.list(
            resource=request.resource,
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListGrantsResponse(grants=[grant_to(each) for each in page.rows], next_page_token=page.next_token)


def grant_to(grant: Grant) -> nouns.Grant:
    """Write a grant."""
    wire = nouns.Grant(
        grant_id=grant.grant_id,
        resource=grant.resource,
        grantee=grant.grantee,
        purposes=grant.purposes,
        fields=grant.fields,
        verify_fields=grant.verify_fields,
        basis=grant.basis,
        revoked=grant.revoked,
        daily_quota=grant.daily_quota,
        terms=terms_to(grant.terms),
        application_id=grant.application_id,
    )
    wire.expire_time.FromDatetime(grant.expire_time)
    return wire
