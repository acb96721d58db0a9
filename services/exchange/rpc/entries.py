# SPDX-License-Identifier: Apache-2.0
"""EntryService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import catalogue_service_pb2 as pb
from tongban.exchange.v1 import catalogue_service_pb2_grpc

from services.exchange.domain.metadata import QualityMeasure
from services.exchange.domain.version import Difference, Version
from services.exchange.rpc.metadata import day_from, quality_to
from services.exchange.rpc.wire import resource_to
from services.exchange.service.entries import EntryService
from services.kit.caller import Caller, CallerKind, current_caller

Context = aio.ServicerContext[Any, Any]


class EntryRpc(catalogue_service_pb2_grpc.EntryServiceServicer):
    """Tells what an entry was, and keeps what was measured of it."""

    def __init__(self, service: EntryService) -> None:
        self._service = service

    async def ListResourceVersions(
        self, request: pb.ListResourceVersionsRequest, context: Context
    ) -> pb.ListResourceVersionsResponse:
        """List versions, newest first."""
        page = await self._service.versions(
            request.code, page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListResourceVersionsResponse(
            versions=[_version_to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def CompareResourceVersions(
        self, request: pb.CompareResourceVersionsRequest, context: Context
    ) -> pb.CompareResourceVersionsResponse:
        """Tell what differs."""
        found = await self._service.compare(request.code, request.from_revision, request.to_revision, current_caller())
        return pb.CompareResourceVersionsResponse(differences=[difference_to(each) for each in found])

    async def RecordQuality(self, request: pb.RecordQualityRequest, context: Context) -> pb.RecordQualityResponse:
        """Keep a measure."""
        caller, given = current_caller(), request.measure
        measure = QualityMeasure(
            measure_date=day_from(given.measure_date, "measure.measure_date"),
            completeness=given.completeness,
            timeliness=given.timeliness,
            accuracy=given.accuracy,
            sample=given.sample,
            measured_by=_measurer(caller),
        )
        kept = await self._service.record_quality(request.request_id, request.code, measure, caller)
        return pb.RecordQualityResponse(measure=quality_to(kept))


def difference_to(difference: Difference) -> pb.Difference:
    """Write one place where two versions differ."""
    return pb.Difference(path=difference.path, before=difference.before, after=difference.after)


def _version_to(version: Version) -> pb.ResourceVersion:
    wire = pb.ResourceVersion(
        resource=resource_to(version.resource, settings=False),
        change_id=version.by.change_id,
        changed_by=_shown(version.by.label),
    )
    wire.change_time.FromDatetime(version.change_time)
    return wire


def _shown(label: str) -> str:
    """Agencies by their code; which operator it was is no reader's business."""
    return "operator" if label.startswith("operator:") else label


def _measurer(caller: Caller) -> str:
    return "operator" if caller.kind is CallerKind.OPERATOR else caller.agency or caller.id
