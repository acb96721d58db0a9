# SPDX-License-Identifier: Apache-2.0
"""FileDropService: translate in, one use case, translate out."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import Any, BinaryIO

from grpc import aio
from tongban.exchange.v1 import drops_pb2 as nouns
from tongban.exchange.v1 import drops_service_pb2 as pb
from tongban.exchange.v1 import drops_service_pb2_grpc

from services.exchange.domain.drops import Drop, DropState
from services.exchange.domain.refusals import FileDropInvalid
from services.exchange.service.drops import DropFile, DropService, digest_of
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

PIECE_SECONDS_MAX = 30.0
_STATES: Mapping[DropState, "nouns.DropState.ValueType"] = {
    DropState.LOADING: nouns.DROP_STATE_LOADING,
    DropState.CURRENT: nouns.DROP_STATE_CURRENT,
    DropState.SUPERSEDED: nouns.DROP_STATE_SUPERSEDED,
    DropState.REFUSED: nouns.DROP_STATE_REFUSED,
}


class FileDropRpc(drops_service_pb2_grpc.FileDropServiceServicer):
    """Takes files from providers."""

    def __init__(self, service: DropService, *, bytes_max: int) -> None:
        self._service = service
        self._bytes_max = bytes_max

    async def UploadFileDrop(
        self, request_iterator: AsyncIterator[pb.UploadFileDropRequest], context: Context
    ) -> pb.UploadFileDropResponse:
        """Take one file, whole, then load it. On its way it has no name in any folder."""
        caller = current_caller()
        first = await _next(request_iterator)
        if first is None or not first.HasField("header"):
            raise FileDropInvalid("An upload says first what comes.")
        header = first.header
        await self._service.must_take(header.resource, caller)
        with tempfile.TemporaryFile() as file:
            await self._receive(request_iterator, file)
            if await asyncio.to_thread(digest_of, file) != header.digest:
                raise FileDropInvalid("The file that arrived has another digest than was announced.")
            given = DropFile(header.request_id, header.resource, header.digest)
            drop = await self._service.load(given, file, caller)
        return pb.UploadFileDropResponse(drop=drop_to(drop))

    async def ListFileDrops(self, request: pb.ListFileDropsRequest, context: Context) -> pb.ListFileDropsResponse:
        """List the files of a resource."""
        page = await self._service.list(
            request.resource, page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListFileDropsResponse(drops=[drop_to(each) for each in page.rows], next_page_token=page.next_token)

    async def ListDropRejects(self, request: pb.ListDropRejectsRequest, context: Context) -> pb.ListDropRejectsResponse:
        """List rows that were set apart."""
        page = await self._service.rejects(
            request.drop_id, page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        rejects = [nouns.DropReject(line=each.line, field=each.field, reason=each.reason) for each in page.rows]
        return pb.ListDropRejectsResponse(rejects=rejects, next_page_token=page.next_token)

    async def _receive(self, requests: AsyncIterator[pb.UploadFileDropRequest], file: BinaryIO) -> None:
        size = 0
        while (piece := await _next(requests)) is not None:
            size += len(piece.chunk)
            if piece.HasField("header") or size > self._bytes_max:
                raise FileDropInvalid(f"A file is announced once, and has at most {self._bytes_max} bytes.")
            await asyncio.to_thread(file.write, piece.chunk)


async def _next(requests: AsyncIterator[pb.UploadFileDropRequest]) -> pb.UploadFileDropRequest | None:
    """Wait for a piece, not for ever: an upload holds a place."""
    try:
        async with asyncio.timeout(PIECE_SECONDS_MAX):
            return await anext(requests, None)
    except TimeoutError:
        raise FileDropInvalid("The upload stopped in the middle.") from None


def drop_to(drop: Drop) -> nouns.FileDrop:
    """Write a drop."""
    wire = nouns.FileDrop(
        drop_id=drop.drop_id,
        resource=drop.resource,
        version=drop.version,
        state=_STATES[drop.state],
        digest=drop.digest,
        rows=drop.rows,
        rejected=drop.rejected,
        reasons=drop.reasons,
        refusal=drop.refusal,
    )
    wire.receive_time.FromDatetime(drop.receive_time)
    if drop.switch_time is not None:
        wire.switch_time.FromDatetime(drop.switch_time)
    return wire
