# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/opendata`: what departments open to everybody. No account; counted by address; for any site to read."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.gateway.rest.contract import LINK, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, anybody, downloading
from services.gateway.rest.pages import next_link
from services.gateway.rest.ranges import has_already, part_of
from services.gateway.rest.shapes.base import Shape
from services.gateway.rest.shapes.opendata import OpenDataset, OpenDatasets, OpenFile, OpenRelease, OpenReleases
from services.gateway.service.opendata import FileView, ReleaseView
from services.kit.errors import NotFound
from services.kit.http.problems import problem

ROOT: Final = "/api/v1/opendata"
_NOTATIONS: Final = {"catalog.ttl": "turtle", "catalog.jsonld": "json_ld"}
_OPEN: Final = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
_MINUTE: Final = {"cache-control": "public, max-age=60", **_OPEN}
_HOUR: Final = {"cache-control": "public, max-age=3600", **_OPEN}
_BYTES: Final = {
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}}
        for media_type in ("text/csv", "application/json", "application/vnd.apache.parquet")
    }
}

router = APIRouter(route_class=JsonRoute, tags=["opendata"], dependencies=[Depends(anybody)])

Name = Annotated[
    str,
    Path(pattern=r"^[a-z][a-z0-9-]{1,62}[a-z0-9]$", description="Name of the data set.", examples=["births-by-month"]),
]
Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="Version, from 1 on.", examples=[1])]


@router.get(
    f"{ROOT}/datasets",
    summary="List what is open",
    operation_id="list_open_datasets",
    response_model=OpenDatasets,
    responses={200: answers("Data sets, by name.", LINK), **errors()},
)
async def list_datasets(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """Every data set of the opening list that is open, with its rules."""
    page = await door.open_data.datasets(page_size=page_size, page_token=page_token)
    body = OpenDatasets(
        datasets=[OpenDataset.model_validate(each) for each in page.rows], next_page_token=page.next_token
    )
    return _json(body, next_link(request, page.next_token))


@router.get(
    f"{ROOT}/datasets/{{dataset}}",
    summary="Read one data set",
    operation_id="get_open_dataset",
    response_model=OpenDataset,
    responses={200: answers("The data set."), **errors(404)},
)
async def get_dataset(door: TheDoor, dataset: Name) -> Response:
    """One entry of the opening list."""
    return _json(OpenDataset.model_validate(await door.open_data.dataset(dataset)))


@router.get(
    f"{ROOT}/datasets/{{dataset}}/releases",
    summary="List the versions of a data set",
    operation_id="list_open_releases",
    response_model=OpenReleases,
    responses={200: answers("Versions, newest first, withdrawn ones too.", LINK), **errors(404)},
)
async def list_releases(
    request: Request, door: TheDoor, dataset: Name, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """Every version with its files, the rules it was made by, and the leaf of its production."""
    page = await door.open_data.releases(dataset, page_size=page_size, page_token=page_token)
    body = OpenReleases(releases=[_release(each) for each in page.rows], next_page_token=page.next_token)
    return _json(body, next_link(request, page.next_token))


@router.get(
    f"{ROOT}/datasets/{{dataset}}/releases/{{version}}/{{file}}",
    summary="Download a file",
    operation_id="get_open_file",
    response_class=Response,
    responses={
        200: {**answers("The file; `ETag` is its SHA-256."), **_BYTES},
        206: {**answers("The part that Range asked for."), **_BYTES},
        304: answers("The reader has it already (If-None-Match)."),
        **errors(404, 410, 416),
    },
)
async def get_file(
    request: Request,
    door: TheDoor,
    dataset: Name,
    version: Version,
    _place: Annotated[None, Depends(downloading)],
    file: Annotated[str, Path(pattern=r"^data\.(csv|json|parquet)$", examples=["data.csv"])],
) -> Response:
    """The bytes, or a part of them: `Range`, `If-Range` and `If-None-Match` are understood."""
    release = await door.open_data.release(dataset, version)
    if release.withdraw_time is not None:
        return _gone(request, release)
    form = file.partition(".")[2]
    found = _file(release, form)
    tag = f'"{found.sha256}"'
    headers = {"etag": tag, "accept-ranges": "bytes", **_HOUR}
    if has_already(request.headers, tag):
        return Response(status_code=304, headers=headers)
    part = part_of(request.headers, found.bytes, tag)
    headers["content-length"] = str(part.length)
    headers["content-disposition"] = f'attachment; filename="{dataset}-{version}.{form}"'
    if not part.whole:
        headers["content-range"] = f"bytes {part.offset}-{part.offset + part.length - 1}/{found.bytes}"
    pieces = door.open_data.content(dataset, version, form, offset=part.offset, length=part.length)
    return _Download(
        pieces,
        door.limits.download_seconds,
        status_code=200 if part.whole else 206,
        headers=headers,
        media_type=found.media_type,
    )


@router.get(
    f"{ROOT}/{{catalog}}",
    summary="The catalogue (DCAT-AP 3)",
    operation_id="get_open_catalogue",
    response_class=Response,
    responses={
        200: {
            **answers("Everything that is open."),
            "content": {"text/turtle": {"schema": {"type": "string"}}, "application/ld+json": {"schema": {}}},
        },
        304: answers("The reader has it already (If-None-Match)."),
        **errors(404),
    },
)
async def get_catalogue(
    request: Request,
    door: TheDoor,
    catalog: Annotated[str, Path(pattern=r"^catalog\.(ttl|jsonld)$", examples=["catalog.ttl"])],
) -> Response:
    """`catalog.ttl` or `catalog.jsonld`: for harvesters of open-data portals."""
    written = await door.open_data.catalogue(_NOTATIONS[catalog])
    headers = {"etag": f'"{written.sha256}"', **_MINUTE}
    if has_already(request.headers, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(written.content, headers=headers, media_type=written.media_type)


class _Download(StreamingResponse):
    """A file on its way. Whoever does not take it in time is cut off: a reader that stalls would keep its place for ever."""

    def __init__(self, content: AsyncIterator[bytes], seconds: float, **rest: Any) -> None:
        super().__init__(content, **rest)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            raise ClientDisconnect from None


def _gone(request: Request, release: ReleaseView) -> Response:
    """Say that there was a file, and why it does not come back (RFC 9110, 15.5.11)."""
    request.scope["tongban.reason"] = "RELEASE_WITHDRAWN"
    words = f"The release was withdrawn: {release.withdraw_reason}"
    return problem(410, "RELEASE_WITHDRAWN", words, remedy="Take another version of the data set.", headers=_OPEN)


def _file(release: ReleaseView, form: str) -> FileView:
    """Give the file. Raises NotFound."""
    found = next((each for each in release.files if each.format == form), None)
    if found is None:
        raise NotFound("The release has no such file.")
    return found


def _release(view: ReleaseView) -> OpenRelease:
    place = f"{ROOT}/datasets/{view.dataset}/releases/{view.version}"
    files = [
        OpenFile(
            format=each.format,
            media_type=each.media_type,
            bytes=each.bytes,
            sha256=each.sha256,
            href=f"{place}/data.{each.format}",
        )
        for each in view.files
    ]
    given: dict[str, Any] = {name: getattr(view, name) for name in OpenRelease.model_fields if name != "files"}
    return OpenRelease(**given, files=files)


def _json(shape: Shape, headers: Mapping[str, str] | None = None) -> Response:
    return Response(shape.model_dump_json(), media_type="application/json", headers={**_MINUTE, **(headers or {})})
