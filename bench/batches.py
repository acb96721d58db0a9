# SPDX-License-Identifier: Apache-2.0
"""A receiver of batches: what the benchmarks of batches share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from tongban.exchange.v1 import batches_service_pb2, exchange_pb2, exchange_service_pb2, grants_pb2
from tongban.exchange.v1.batches_service_pb2_grpc import BatchServiceStub
from tongban.exchange.v1.exchange_service_pb2_grpc import CatalogueServiceStub

from bench.world import GRANTED, PURPOSE, RESOURCE, World
from services.kit.certificates import Identity
from services.kit.crypto import sm3
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

SUBJECTS = 100
"""Of one message."""


async def allow(place: World) -> None:
    """Grant the hospital batches."""
    grant = exchange_pb2.Grant(
        resource=RESOURCE,
        grantee=place.hospital,
        purposes=[PURPOSE],
        fields=GRANTED,
        basis="PIPL art. 13(1)(3)",
        terms=grants_pb2.GrantTerms(methods=[grants_pb2.METHOD_BATCH]),
    )
    grant.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    stub = place.operator.stub(CatalogueServiceStub)
    await place.operator.call(
        stub.CreateGrant, exchange_service_pb2.CreateGrantRequest(request_id=new_id(), grant=grant)
    )


@asynccontextmanager
async def receiving(place: World, address: str) -> AsyncIterator[Peer]:
    """The hospital's channel to an exchange process."""
    telemetry = Telemetry("bench")
    identity = Identity.open(place.pki, f"spiffe://tongban/agency/{place.hospital}")
    try:
        async with Peer.open(address, identity, telemetry, server_name="exchange") as peer:
            yield peer
    finally:
        telemetry.close()


async def receive(peer: Peer, place: World, rows: int) -> int:
    """Receive one batch as a receiver does, digested and held; give the bytes of its values."""
    held, size, digest = 0, 0, bytes(32)
    arrived = asyncio.Event()
    subject = exchange_service_pb2.Subject(number=place.number)

    async def requests() -> AsyncIterator[batches_service_pb2.QueryBatchRequest]:
        opening = batches_service_pb2.BatchOpening(batch_id=new_id(), resource=RESOURCE, purpose=PURPOSE)
        yield batches_service_pb2.QueryBatchRequest(open=opening)
        asked = 0
        while asked < rows:
            some = min(SUBJECTS, rows - asked)
            subjects = batches_service_pb2.BatchSubjects(subjects=[subject] * some, received=held)
            yield batches_service_pb2.QueryBatchRequest(subjects=subjects)
            asked += some
            while held < asked:
                arrived.clear()
                await arrived.wait()
        yield batches_service_pb2.QueryBatchRequest(close=batches_service_pb2.BatchClosing(received=held))

    async for response in peer.stream(peer.stub(BatchServiceStub).QueryBatch, requests()):
        if response.HasField("part"):
            part = response.part
            digest = sm3(digest, *(row.outcome.encode() + b" " + row.values + b"\n" for row in part.rows))
            if part.digest != digest:
                message = "The digests differ."
                raise RuntimeError(message)
            held += len(part.rows)
            size += sum(len(row.values) for row in part.rows)
            arrived.set()
    if held != rows:
        message = f"{rows - held} rows are missing."
        raise RuntimeError(message)
    return size
