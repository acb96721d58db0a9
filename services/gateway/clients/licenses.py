# SPDX-License-Identifier: Apache-2.0
"""Licenses: the resident's own, with and without their credential."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.licenses.v1 import licenses_pb2
from tongban.licenses.v1 import licenses_service_pb2 as pb
from tongban.licenses.v1.licenses_service_pb2_grpc import LicensesServiceStub

from services.gateway.domain import kinds
from services.gateway.domain.refusals import LicenseNotFound
from services.gateway.service.present import agency_view
from services.gateway.service.views import LicenseView
from services.gateway.workflows import Workflows
from services.kit.caller import current_caller
from services.kit.paging import Page
from services.kit.rpc.peer import Peer
from services.kit.text import Text


class LicensesClient:
    """The licenses service."""

    def __init__(self, peer: Peer, workflows: Workflows) -> None:
        self._peer = peer
        self._licenses = peer.stub(LicensesServiceStub)
        self._workflows = workflows

    async def own(self, page_size: int, page_token: str) -> Page[LicenseView]:
        """The caller's licenses, newest first."""
        request = pb.ListOwnLicensesRequest(page_size=page_size, page_token=page_token)
        response = await self._peer.call(self._licenses.ListOwnLicenses, request)
        return Page(tuple(self._view(one) for one in response.licenses), response.next_page_token)

    async def read(self, license_id: str) -> LicenseView:
        """One with its credential."""
        if kinds.fault_of_uuid(license_id):
            raise LicenseNotFound("There is no such license.")
        response = await self._peer.call(self._licenses.GetLicense, pb.GetLicenseRequest(license_id=license_id))
        return self._view(response.license, response.credential, MessageToDict(response.attributes))

    def _view(
        self, one: licenses_pb2.License, credential: str = "", attributes: dict[str, Any] | None = None
    ) -> LicenseView:
        return LicenseView(
            license_id=one.license_id,
            identifier=one.identifier,
            type_code=one.type_code,
            name=Text(one.name_zh or one.type_code, one.name_en or one.type_code),
            version=one.version,
            state=licenses_pb2.LicenseState.Name(one.state).removeprefix("LICENSE_STATE_").lower(),
            issuer=agency_view(self._workflows.agency_of(one.issuer)),
            issued=_moment(one.issue_time),
            expires=_moment(one.expire_time) if one.HasField("expire_time") else None,
            case_id=one.case_id,
            own=one.holder_id == current_caller().id,
            credential=credential,
            attributes=attributes,
        )


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
