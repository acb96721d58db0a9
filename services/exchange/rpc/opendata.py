# SPDX-License-Identifier: Apache-2.0
"""OpenDataService: translate in, one use case, translate out."""

import json
from collections.abc import AsyncIterator
from typing import Any

from grpc import aio
from tongban.exchange.v1 import opendata_pb2 as nouns
from tongban.exchange.v1 import opendata_service_pb2 as pb
from tongban.exchange.v1 import opendata_service_pb2_grpc

from services.exchange.domain.opendata.dataset import About, Column, Dataset, Form, License, Role, Theme
from services.exchange.domain.opendata.release import MEDIA_TYPES, Format, Release
from services.exchange.domain.opendata.source import FileSource, Source, SqlSource
from services.exchange.domain.opendata.steps import Step, StepKind
from services.exchange.rpc.enums import Enum
from services.exchange.rpc.metadata import CYCLES, OPENINGS
from services.exchange.service.opencatalogue import CatalogueFormat, OpenCatalogue
from services.exchange.service.opendata import OpenDataService, ProduceRelease, WithdrawRelease
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

_ABOUTS = Enum(nouns.OpenAbout, About, "OPEN_ABOUT")
_FORMS = Enum(nouns.OpenForm, Form, "OPEN_FORM")
_ROLES = Enum(nouns.OpenRole, Role, "OPEN_ROLE")
_STEPS = Enum(nouns.OpenStepKind, StepKind, "OPEN_STEP_KIND")
_LICENSES = Enum(nouns.OpenLicense, License, "OPEN_LICENSE")
_THEMES = Enum(nouns.OpenTheme, Theme, "OPEN_THEME")
_FORMATS = Enum(nouns.OpenFormat, Format, "OPEN_FORMAT")
_CATALOGUES = Enum(pb.OpenCatalogueFormat, CatalogueFormat, "OPEN_CATALOGUE_FORMAT")


class OpenDataRpc(opendata_service_pb2_grpc.OpenDataServiceServicer):
    """The opening list, releases, the catalogue of both."""

    def __init__(self, service: OpenDataService, catalogue: OpenCatalogue) -> None:
        self._service = service
        self._catalogue = catalogue

    async def PutOpenDataset(self, request: pb.PutOpenDatasetRequest, context: Context) -> pb.PutOpenDatasetResponse:
        """Create or replace a data set."""
        source = _source(request.dataset.source)
        given = _dataset(request.dataset, source)
        stored = await self._service.put(given, source, request.request_id, current_caller())
        return pb.PutOpenDatasetResponse(dataset=_dataset_to(stored))

    async def ListOpenDatasets(
        self, request: pb.ListOpenDatasetsRequest, context: Context
    ) -> pb.ListOpenDatasetsResponse:
        """List data sets by name."""
        page = await self._service.datasets(
            page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListOpenDatasetsResponse(
            datasets=[_dataset_to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def GetOpenDataset(self, request: pb.GetOpenDatasetRequest, context: Context) -> pb.GetOpenDatasetResponse:
        """Read one data set."""
        found = await self._service.dataset(request.dataset, current_caller())
        return pb.GetOpenDatasetResponse(dataset=_dataset_to(found))

    async def ProduceRelease(self, request: pb.ProduceReleaseRequest, context: Context) -> pb.ProduceReleaseResponse:
        """Publish the next version."""
        command = ProduceRelease(request.request_id, request.dataset, request.period_start, request.period_end)
        return pb.ProduceReleaseResponse(release=_release_to(await self._service.produce(command, current_caller())))

    async def WithdrawRelease(self, request: pb.WithdrawReleaseRequest, context: Context) -> pb.WithdrawReleaseResponse:
        """Take a version back."""
        command = WithdrawRelease(request.request_id, request.dataset, request.version, request.reason)
        return pb.WithdrawReleaseResponse(release=_release_to(await self._service.withdraw(command, current_caller())))

    async def ListReleases(self, request: pb.ListReleasesRequest, context: Context) -> pb.ListReleasesResponse:
        """List versions, newest first."""
        page = await self._service.releases(
            request.dataset, page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListReleasesResponse(
            releases=[_release_to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def GetRelease(self, request: pb.GetReleaseRequest, context: Context) -> pb.GetReleaseResponse:
        """Read one version."""
        found = await self._service.release(request.dataset, request.version, current_caller())
        return pb.GetReleaseResponse(release=_release_to(found))

    async def ReadReleaseFile(
        self, request: pb.ReadReleaseFileRequest, context: Context
    ) -> AsyncIterator[pb.ReadReleaseFileResponse]:
        """Read a file, piece by piece."""
        pieces = await self._service.read(
            request.dataset,
            request.version,
            _FORMATS.read(request.format, "format"),
            offset=request.offset,
            length=request.length,
            caller=current_caller(),
        )
        async for piece in pieces:
            yield pb.ReadReleaseFileResponse(content=piece)

    async def GetOpenCatalogue(
        self, request: pb.GetOpenCatalogueRequest, context: Context
    ) -> pb.GetOpenCatalogueResponse:
        """Give the catalogue of everything open."""
        written = await self._catalogue.written(_CATALOGUES.read(request.format, "format"), current_caller())
        return pb.GetOpenCatalogueResponse(
            content=written.content, media_type=written.media_type, sha256=written.sha256
        )


def _source(wire: nouns.OpenSource) -> Source | None:
    if wire.file:
        return FileSource(wire.file)
    return SqlSource(wire.url, wire.statement) if wire.url or wire.statement else None


def _dataset(wire: nouns.OpenDataset, source: Source | None) -> Dataset:
    """Read a data set; a source that was left out is put in by the use case."""
    return Dataset(
        dataset=wire.dataset,
        resource=wire.resource,
        title_zh=wire.title_zh,
        title_en=wire.title_en,
        description_zh=wire.description_zh,
        description_en=wire.description_en,
        keywords=tuple(wire.keywords),
        theme=_THEMES.read(wire.theme, "dataset.theme"),
        cycle=CYCLES.read(wire.cycle, "dataset.cycle"),
        license=_LICENSES.read(wire.license, "dataset.license"),
        opening=OPENINGS.read(wire.opening, "dataset.opening"),
        opening_reason=wire.opening_reason,
        basis=wire.basis,
        about=_ABOUTS.read(wire.about, "dataset.about"),
        form=_FORMS.read(wire.form, "dataset.form"),
        columns=tuple(_column(each, f"dataset.columns[{index}]") for index, each in enumerate(wire.columns)),
        k=wire.k,
        diversity=wire.diversity,
        suppress_percent_max=wire.suppress_percent_max,
        source=source or FileSource(""),
    )


def _column(wire: nouns.OpenColumn, place: str) -> Column:
    steps = tuple(_step(each, f"{place}.steps[{index}]") for index, each in enumerate(wire.steps))
    role = _ROLES.read(wire.role, f"{place}.role")
    return Column(wire.name, wire.label_zh, wire.label_en, role, steps or (Step(StepKind.KEEP),))


def _step(wire: nouns.OpenStep, place: str) -> Step:
    return Step(
        kind=_STEPS.read(wire.kind, f"{place}.kind"),
        digits=wire.digits,
        width=wire.width,
        floor=wire.floor if wire.HasField("floor") else None,
        ceiling=wire.ceiling if wire.HasField("ceiling") else None,
    )


def _dataset_to(dataset: Dataset) -> nouns.OpenDataset:
    """Write a data set, never its source."""
    return nouns.OpenDataset(
        dataset=dataset.dataset,
        resource=dataset.resource,
        title_zh=dataset.title_zh,
        title_en=dataset.title_en,
        description_zh=dataset.description_zh,
        description_en=dataset.description_en,
        keywords=dataset.keywords,
        theme=_THEMES.write(dataset.theme),
        cycle=CYCLES.write(dataset.cycle),
        license=_LICENSES.write(dataset.license),
        opening=OPENINGS.write(dataset.opening),
        opening_reason=dataset.opening_reason,
        basis=dataset.basis,
        about=_ABOUTS.write(dataset.about),
        form=_FORMS.write(dataset.form),
        columns=[
            nouns.OpenColumn(
                name=each.name,
                label_zh=each.label_zh,
                label_en=each.label_en,
                role=_ROLES.write(each.role),
                steps=[_step_to(step) for step in each.steps],
            )
            for each in dataset.columns
        ],
        k=dataset.k,
        diversity=dataset.diversity,
        suppress_percent_max=dataset.suppress_percent_max,
    )


def _step_to(step: Step) -> nouns.OpenStep:
    return nouns.OpenStep(
        kind=_STEPS.write(step.kind), digits=step.digits, width=step.width, floor=step.floor, ceiling=step.ceiling
    )


def _release_to(release: Release) -> nouns.OpenRelease:
    wire = nouns.OpenRelease(
        dataset=release.dataset,
        version=release.version,
        license=_LICENSES.write(release.license),
        period_start=release.period_start.isoformat(),
        period_end=release.period_end.isoformat(),
        rows=release.rows,
        k=release.k,
        diversity=release.diversity,
        suppressed=release.suppressed,
        rules_json=json.dumps(release.rules, ensure_ascii=False, sort_keys=True),
        leaf_index=release.leaf_index,
        leaf_hash=release.leaf_hash,
        withdraw_reason=release.withdraw_reason,
    )
    if not release.withdrawn:
        wire.files.extend(
            nouns.OpenFile(
                format=_FORMATS.write(each.format),
                media_type=MEDIA_TYPES[each.format],
                bytes=each.size,
                sha256=each.sha256,
            )
            for each in release.files
        )
    wire.publish_time.FromDatetime(release.publish_time)
    if release.withdraw_time is not None:
        wire.withdraw_time.FromDatetime(release.withdraw_time)
    return wire
