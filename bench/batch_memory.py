# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.batch_memory`: how much memory one exchange process takes while it streams large batches.

Full profile, certificates, leaves and sealed parts in PostgreSQL; rows of 10 kB from a register in memory; every row is
received, digested and held. Ends with 1 where the ceiling was passed or a row was lost.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tongban.exchange.v1 import batches_service_pb2, exchange_pb2, exchange_service_pb2, grants_pb2
from tongban.exchange.v1.batches_service_pb2_grpc import BatchServiceStub
from tongban.exchange.v1.exchange_service_pb2_grpc import CatalogueServiceStub

from bench.processes import Worker
from bench.world import GRANTED, PURPOSE, RESOURCE, World, free_port, world
from services.kit.certificates import Identity
from services.kit.crypto import sm3
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

PADDING = 10_000
SUBJECTS = 100
WATCH_SECONDS = 0.1


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10, help="streams at once")
    parser.add_argument("--megabytes", type=int, default=100, help="of each stream")
    parser.add_argument("--ceiling", type=int, default=512, help="mebibytes that the process may take")
    asked = parser.parse_args()
    return asyncio.run(run(asked.streams, asked.megabytes, asked.ceiling))


async def run(streams: int, megabytes: int, ceiling: int) -> int:
    """Streams, watches, and says what it took."""
    rows = megabytes * 1_000_000 // PADDING
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder), pinned=False))
            await _allow_batches(place)
            port = free_port()
            process = await stack.enter_async_context(place.another(core=None, port=port, BENCH_PADDING=str(PADDING)))
            telemetry = Telemetry("bench")
            stack.callback(telemetry.close)
            identity = Identity.open(place.pki, f"spiffe://tongban/agency/{place.hospital}")
            way = Peer.open(f"127.0.0.1:{port}", identity, telemetry, server_name="exchange")
            peer = await stack.enter_async_context(way)
            idle = process.memory_mebibytes()
            watching = asyncio.create_task(_most(process))
            begun = time.monotonic()
            received = await asyncio.gather(*(_receive(peer, place, rows) for _ in range(streams)))
            seconds = time.monotonic() - begun
            watching.cancel()
            most = max(_seen)
    whole = sum(received) // 1_000_000
    sys.stdout.write(
        f"{streams} streams of {rows} rows: {whole} MB in {seconds:.1f} s, {streams * rows / seconds:.0f} rows/s; "
        f"memory {idle} MiB idle, {most} MiB at most, ceiling {ceiling} MiB\n"
    )
    return int(most > ceiling or whole < streams * megabytes)


_seen: list[int] = [0]


async def _most(process: Worker) -> None:
    while True:
        _seen.append(process.memory_mebibytes())
        await asyncio.sleep(WATCH_SECONDS)


async def _allow_batches(place: World) -> None:
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


async def _receive(peer: Peer, place: World, rows: int) -> int:
    """Receive one batch as a receiver does; give the bytes of its values."""
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
    return size


if __name__ == "__main__":
    sys.exit(main())
