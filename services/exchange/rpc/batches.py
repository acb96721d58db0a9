# SPDX-License-Identifier: Apache-2.0
"""BatchService: a stream of subjects in, a stream of parts out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from grpc import aio
from tongban.exchange.v1 import batches_pb2 as nouns
from tongban.exchange.v1 import batches_service_pb2 as pb
from tongban.exchange.v1 import batches_service_pb2_grpc

from services.exchange.domain.batches import Batch, BatchState, OpeningMissing, Part, Report
from services.exchange.rpc.wire import subject_from
from services.exchange.service.batch_stream import BatchStream
from services.exchange.service.batches import BatchService, OpenBatch, ReconcileBatch
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]
Requests = AsyncIterator[pb.QueryBatchRequest]

SILENCE_SECONDS_MAX = 300.0
"""A receiver who says nothing for so long is let go of; he goes on with a new stream."""
_STATES = {
    nouns.BATCH_STATE_OPEN: BatchState.OPEN,
    nouns.BATCH_STATE_CLOSED: BatchState.CLOSED,
    nouns.BATCH_STATE_MATCHED: BatchState.MATCHED,
    nouns.BATCH_STATE_DIFFERING: BatchState.DIFFERING,
}
_CODES = {state: code for code, state in _STATES.items()}


class BatchRpc(batches_service_pb2_grpc.BatchServiceServicer):
    """Batches. The next message is read when the last one is answered and sent: nothing piles up here."""

    def __init__(self, service: BatchService) -> None:
        self._service = service

    async def QueryBatch(self, request_iterator: Requests, context: Context) -> AsyncIterator[pb.QueryBatchResponse]:
        """Open or go on, answer, close. A stream that ends without `close` leaves the batch open."""
        stream = await self._opened(request_iterator)
        yield pb.QueryBatchResponse(opened=_batch_to(stream.batch))
        async for part in stream.kept():
            yield pb.QueryBatchResponse(part=_part_to(part))
        while (request := await _next(request_iterator)) is not None:
            if request.HasField("close"):
                yield pb.QueryBatchResponse(closed=_batch_to(await stream.close(received=request.close.received)))
                return
            if not request.HasField("subjects"):
                raise OpeningMissing("A batch is opened first, and once.")
            subjects = [subject_from(each) for each in request.subjects.subjects]
            async for part in stream.answer(subjects, received=request.subjects.received):
                yield pb.QueryBatchResponse(part=_part_to(part))

    async def ReconcileBatch(self, request: pb.ReconcileBatchRequest, context: Context) -> pb.ReconcileBatchResponse:
        """Compare what both sides counted."""
        report = Report(request.count.rows, request.count.answered, request.count.digest)
        batch = await self._service.reconcile(ReconcileBatch(request.batch_id, report), current_caller())
        return pb.ReconcileBatchResponse(batch=_batch_to(batch))

    async def ListBatches(self, request: pb.ListBatchesRequest, context: Context) -> pb.ListBatchesResponse:
        """List batches, newest first."""
        page = await self._service.list(
            state=_STATES.get(request.state),
            resource=request.resource,
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListBatchesResponse(batches=[_batch_to(each) for each in page.rows], next_page_token=page.next_token)

    async def _opened(self, requests: Requests) -> BatchStream:
        first = await _next(requests)
        if first is None or not first.HasField("open"):
            raise OpeningMissing("A batch is opened first, and once.")
        command = OpenBatch(
            batch_id=first.open.batch_id,
            resource=first.open.resource,
            purpose=first.open.purpose,
            case_id=first.open.case_id,
            fields=tuple(first.open.fields),
            received=first.open.received,
        )
        return await self._service.open(command, current_caller())


async def _next(requests: Requests) -> pb.QueryBatchRequest | None:
    try:
        async with asyncio.timeout(SILENCE_SECONDS_MAX):
            return await anext(requests, None)
    except TimeoutError:
        return None


def _batch_to(batch: Batch) -> nouns.Batch:
    wire = nouns.Batch(
        batch_id=batch.receiver_id,
        agency=batch.agency,
        resource=batch.resource,
        purpose=batch.purpose,
        case_id=batch.case_id,
        fields=batch.fields,
        state=_CODES[batch.state],
        received=batch.received,
        counted=_count_to(batch.counted),
        reported=None if batch.reported is None else _count_to(batch.reported),
    )
    wire.create_time.FromDatetime(batch.create_time)
    wire.move_time.FromDatetime(batch.move_time)
    return wire


def _count_to(report: Report) -> nouns.BatchCount:
    return nouns.BatchCount(rows=report.rows, answered=report.answered, digest=report.digest)


def _part_to(part: Part) -> nouns.BatchPart:
    rows = [
        nouns.BatchRow(
            outcome=row.outcome,
            values=row.values,
            leaf_hash=row.leaf_hash,
            blinding=row.blinding,
            disputed=row.disputed,
        )
        for row in part.rows
    ]
    return nouns.BatchPart(position=part.position, rows=rows, digest=part.digest, leaf_index=part.leaf_index)
