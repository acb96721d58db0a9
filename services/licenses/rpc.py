# SPDX-License-Identifier: Apache-2.0
"""The gRPC doorway: translates in, calls one use case, translates out."""

from collections.abc import Mapping
from typing import Any

import grpc.aio
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from tongban.licenses.v1 import licenses_pb2, licenses_service_pb2_grpc
from tongban.licenses.v1 import licenses_service_pb2 as pb

from services.kit.caller import current_caller
from services.licenses.domain.catalogue import Attributes, LicenseType, Value
from services.licenses.domain.license import License, LicenseState
from services.licenses.domain.verdict import Verdict
from services.licenses.service import ChangeLicense, Changing, Issued, IssueLicense, Issuing, Reading, Verifying

Context = grpc.aio.ServicerContext[Any, Any]

_STATES = {
    LicenseState.ACTIVE: licenses_pb2.LICENSE_STATE_ACTIVE,
    LicenseState.SUSPENDED: licenses_pb2.LICENSE_STATE_SUSPENDED,
    LicenseState.REVOKED: licenses_pb2.LICENSE_STATE_REVOKED,
    LicenseState.EXPIRED: licenses_pb2.LICENSE_STATE_EXPIRED,
    LicenseState.SUPERSEDED: licenses_pb2.LICENSE_STATE_SUPERSEDED,
}


class LicensesRpc(licenses_service_pb2_grpc.LicensesServiceServicer):
    """LicensesService; rights and field rules stand in the contract."""

    def __init__(self, issuing: Issuing, changing: Changing, reading: Reading, verifying: Verifying) -> None:
        self._issuing = issuing
        self._changing = changing
        self._reading = reading
        self._verifying = verifying
        self._types = {one.code: one for one in issuing.types()}

    async def ListLicenseTypes(
        self, request: pb.ListLicenseTypesRequest, context: Context
    ) -> pb.ListLicenseTypesResponse:
        """What can be issued."""
        return pb.ListLicenseTypesResponse(types=[_type_to_wire(one) for one in self._issuing.types()])

    async def IssueLicense(self, request: pb.IssueLicenseRequest, context: Context) -> pb.IssueLicenseResponse:
        """A license of the calling agency."""
        command = IssueLicense(
            request_id=request.request_id,
            type_code=request.type_code,
            holder_id=request.holder_id,
            serial=request.serial,
            attributes=from_struct(request.attributes),
            case_id=request.case_id,
        )
        issued = await self._issuing.issue(command, current_caller())
        return pb.IssueLicenseResponse(license=self._issued(issued), receipt=issued.receipt.to_wire())

    async def GetLicense(self, request: pb.GetLicenseRequest, context: Context) -> pb.GetLicenseResponse:
        """One license with its credential."""
        shown = await self._reading.get(request.license_id, current_caller())
        return pb.GetLicenseResponse(
            license=self._to_wire(shown.license, shown.state),
            credential=shown.credential,
            attributes=to_struct(shown.attributes),
            receipt=shown.receipt.to_wire(),
        )

    async def ListOwnLicenses(self, request: pb.ListOwnLicensesRequest, context: Context) -> pb.ListOwnLicensesResponse:
        """The calling resident's licenses, newest first."""
        page = await self._reading.own(current_caller(), request.page_size, request.page_token)
        return pb.ListOwnLicensesResponse(
            licenses=[self._to_wire(license, state) for license, state in page.rows],
            next_page_token=page.next_token,
        )

    async def SuspendLicense(self, request: pb.SuspendLicenseRequest, context: Context) -> pb.SuspendLicenseResponse:
        """Out of force until restored."""
        command = ChangeLicense(request.request_id, request.license_id, request.grounds)
        return pb.SuspendLicenseResponse(license=self._issued(await self._changing.suspend(command, current_caller())))

    async def RestoreLicense(self, request: pb.RestoreLicenseRequest, context: Context) -> pb.RestoreLicenseResponse:
        """Back in force."""
        command = ChangeLicense(request.request_id, request.license_id, request.grounds)
        return pb.RestoreLicenseResponse(license=self._issued(await self._changing.restore(command, current_caller())))

    async def RevokeLicense(self, request: pb.RevokeLicenseRequest, context: Context) -> pb.RevokeLicenseResponse:
        """Ended for good."""
        command = ChangeLicense(request.request_id, request.license_id, request.grounds)
        return pb.RevokeLicenseResponse(license=self._issued(await self._changing.revoke(command, current_caller())))

    async def VerifyLicense(self, request: pb.VerifyLicenseRequest, context: Context) -> pb.VerifyLicenseResponse:
        """The verdict, check by check."""
        caller = current_caller()
        if request.identifier:
            return _verdict_to_wire(await self._verifying.identifier(request.identifier, caller))
        return _verdict_to_wire(await self._verifying.credential(request.credential, caller))

    def _issued(self, issued: Issued) -> licenses_pb2.License:
        return self._to_wire(issued.license, issued.state)

    def _to_wire(self, license: License, state: LicenseState) -> licenses_pb2.License:
        of_type = self._types.get(license.identifier.type_code)
        wire = licenses_pb2.License(
            license_id=license.license_id,
            identifier=str(license.identifier),
            type_code=license.identifier.type_code,
            version=license.identifier.version,
            state=_STATES[state],
            holder_id=license.holder_id,
            issuer=license.identifier.issuer,
            case_id=license.case_id,
            name_zh=of_type.name_zh if of_type else "",
            name_en=of_type.name_en if of_type else "",
        )
        wire.issue_time.FromDatetime(license.issue_time)
        if license.expire_time is not None:
            wire.expire_time.FromDatetime(license.expire_time)
        return wire


def from_struct(struct: Struct) -> Attributes:
    """Read attributes; JSON knows no whole numbers, so 3.0 becomes 3 and null means not given."""
    found: Mapping[str, Any] = MessageToDict(struct)
    return {name: _whole(value) for name, value in found.items() if value is not None}


def to_struct(attributes: Attributes) -> Struct:
    """Write attributes."""
    return ParseDict(dict(attributes), Struct())


def _whole(value: Value) -> Value:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return {name: _whole(one) for name, one in value.items()} if isinstance(value, dict) else value


def _type_to_wire(one: LicenseType) -> licenses_pb2.LicenseType:
    return licenses_pb2.LicenseType(
        code=one.code,
        name_zh=one.name_zh,
        name_en=one.name_en,
        vct=one.vct,
        attributes=[
            licenses_pb2.AttributeType(
                name=attribute.name,
                label_zh=attribute.label_zh,
                label_en=attribute.label_en,
                disclosable=attribute.disclosable,
                required=attribute.required,
            )
            for attribute in one.attributes
        ],
        validity_months=one.validity_months,
    )


def _verdict_to_wire(verdict: Verdict) -> pb.VerifyLicenseResponse:
    return pb.VerifyLicenseResponse(
        valid=verdict.valid,
        checks=[
            licenses_pb2.Check(name=check.name.value, passed=check.passed, reason=check.reason)
            for check in verdict.checks
        ],
        state=_STATES[verdict.state] if verdict.state else licenses_pb2.LICENSE_STATE_UNSPECIFIED,
    )
