# SPDX-License-Identifier: Apache-2.0
"""Open data of the exchange, read in the gateway's own name: there is nobody to ask for."""

import json
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

from tongban.exchange.v1 import metadata_pb2
from tongban.exchange.v1 import opendata_pb2 as nouns
from tongban.exchange.v1 import opendata_service_pb2 as pb
from tongban.exchange.v1.opendata_service_pb2_grpc import OpenDataServiceStub

from services.gateway.service.opendata import CatalogueView, ColumnView, DatasetView, FileView, ReleaseView
from services.kit.caller import Caller, CallerKind
from services.kit.paging import Page
from services.kit.rpc.peer import Peer
from services.kit.text import Text

_ITSELF = Caller(CallerKind.SERVICE, "gateway")
_CATALOGUE_SECONDS = 20.0
_FILE_SECONDS = 900.0


class OpenDataClient:
    """The exchange service."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = peer.stub(OpenDataServiceStub)

    async def datasets(self, *, page_size: int, page_token: str) -> Page[DatasetView]:
        """List what is open, by name."""
        request = pb.ListOpenDatasetsRequest(page_size=page_size, page_token=page_token)
        found = await self._peer.call(self._stub.ListOpenDatasets, request, caller=_ITSELF)
        return Page(tuple(_dataset(each) for each in found.datasets), found.next_page_token)

    async def dataset(self, name: str) -> DatasetView:
        """Read one data set."""
        request = pb.GetOpenDatasetRequest(dataset=name)
        return _dataset((await self._peer.call(self._stub.GetOpenDataset, request, caller=_ITSELF)).dataset)

    async def releases(self, name: str, *, page_size: int, page_token: str) -> Page[ReleaseView]:
        """List versions, newest first."""
        request = pb.ListReleasesRequest(dataset=name, page_size=page_size, page_token=page_token)
        found = await self._peer.call(self._stub.ListReleases, request, caller=_ITSELF)
        return Page(tuple(_release(each) for each in found.releases), found.next_page_token)

    async def release(self, name: str, version: int) -> ReleaseView:
        """Read one version."""
        request = pb.GetReleaseRequest(dataset=name, version=version)
        return _release((await self._peer.call(self._stub.GetRelease, request, caller=_ITSELF)).release)

    async def content(self, name: str, version: int, form: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Read a part of a file, in pieces."""
        request = pb.ReadReleaseFileRequest(
            dataset=name,
            version=version,
            format=nouns.OpenFormat.Value(f"OPEN_FORMAT_{form.upper()}"),
            offset=offset,
            length=length,
        )
        stream = self._peer.stream(self._stub.ReadReleaseFile, request, timeout_seconds=_FILE_SECONDS, caller=_ITSELF)
        try:
            async for each in stream:
                yield each.content
        finally:
            await stream.aclose()

    async def catalogue(self, notation: str) -> CatalogueView:
        """Read the catalogue, `turtle` or `json_ld`."""
        form = pb.OpenCatalogueFormat.Value(f"OPEN_CATALOGUE_FORMAT_{notation.upper()}")
        found = await self._peer.call(
            self._stub.GetOpenCatalogue,
            pb.GetOpenCatalogueRequest(format=form),
            timeout_seconds=_CATALOGUE_SECONDS,
            caller=_ITSELF,
        )
        return CatalogueView(found.content, found.media_type, found.sha256)


def _dataset(wire: nouns.OpenDataset) -> DatasetView:
    return DatasetView(
        dataset=wire.dataset,
        resource=wire.resource,
        title=Text(zh=wire.title_zh, en=wire.title_en),
        description=Text(zh=wire.description_zh, en=wire.description_en),
        keywords=tuple(wire.keywords),
        theme=_word(nouns.OpenTheme, wire.theme, "OPEN_THEME_"),
        cycle=_word(metadata_pb2.UpdateCycle, wire.cycle, "UPDATE_CYCLE_"),
        license=_word(nouns.OpenLicense, wire.license, "OPEN_LICENSE_"),
        opening=_word(metadata_pb2.Opening, wire.opening, "OPENING_"),
        condition=wire.opening_reason,
        basis=wire.basis,
        about=_word(nouns.OpenAbout, wire.about, "OPEN_ABOUT_"),
        form=_word(nouns.OpenForm, wire.form, "OPEN_FORM_"),
        columns=tuple(
            ColumnView(
                each.name, Text(zh=each.label_zh, en=each.label_en), _word(nouns.OpenRole, each.role, "OPEN_ROLE_")
            )
            for each in wire.columns
        ),
        k=wire.k,
        diversity=wire.diversity,
    )


def _release(wire: nouns.OpenRelease) -> ReleaseView:
    return ReleaseView(
        dataset=wire.dataset,
        version=wire.version,
        license=_word(nouns.OpenLicense, wire.license, "OPEN_LICENSE_"),
        period_start=wire.period_start,
        period_end=wire.period_end,
        publish_time=wire.publish_time.ToDatetime(tzinfo=UTC),
        rows=wire.rows,
        k=wire.k,
        diversity=wire.diversity,
        suppressed=wire.suppressed,
        rules=json.loads(wire.rules_json),
        files=tuple(
            FileView(_word(nouns.OpenFormat, each.format, "OPEN_FORMAT_"), each.media_type, each.bytes, each.sha256)
            for each in wire.files
        ),
        leaf_index=wire.leaf_index,
        leaf_hash=wire.leaf_hash,
        withdraw_time=wire.withdraw_time.ToDatetime(tzinfo=UTC) if wire.HasField("withdraw_time") else None,
        withdraw_reason=wire.withdraw_reason,
    )


def _word(enum: Any, value: int, prefix: str) -> str:
    return str(enum.Name(value)).removeprefix(prefix).lower()
