# SPDX-License-Identifier: Apache-2.0
"""tongban.identity.v1.AgencyService."""

from typing import Any

from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceServicer

from services.identity.domain.agency import agency_of
from services.identity.rpc.wire import agency_to_wire
from services.identity.service.agencies import AgenciesService
from services.kit.caller import current_caller
from services.kit.errors import PageTokenInvalid
from services.kit.paging import decode_token, encode_token


class AgencyRpc(AgencyServiceServicer):
    """Agencies and their rights."""

    def __init__(self, agencies: AgenciesService) -> None:
        self._agencies = agencies

    async def PutAgency(self, request: pb.PutAgencyRequest, _context: Any) -> pb.PutAgencyResponse:
        """Creates or changes an agency."""
        wanted = agency_of(
            uscc=request.uscc,
            name_zh=request.name_zh,
            name_en=request.name_en,
            rights=request.rights,
            active=request.active,
        )
        return pb.PutAgencyResponse(agency=agency_to_wire(await self._agencies.put(wanted, current_caller())))

    async def GetAgency(self, request: pb.GetAgencyRequest, _context: Any) -> pb.GetAgencyResponse:
        """Reads one agency."""
        agency = await self._agencies.agency(request.uscc, current_caller())
        return pb.GetAgencyResponse(agency=agency_to_wire(agency))

    async def ListAgencies(self, request: pb.ListAgenciesRequest, _context: Any) -> pb.ListAgenciesResponse:
        """Lists agencies by code."""
        after = str(decode_token(request.page_token).get("after", ""))
        if after and not after.isalnum():
            raise PageTokenInvalid("The page token is not one of ours.")
        rows, last = await self._agencies.agencies(after=after, page_size=request.page_size, caller=current_caller())
        return pb.ListAgenciesResponse(
            agencies=[agency_to_wire(agency) for agency in rows],
            next_page_token=encode_token(after=last) if last else "",
        )
