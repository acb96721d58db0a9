# SPDX-License-Identifier: Apache-2.0
"""Batches as they are served: over streams that break, and processes that end, on both kinds of database."""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from tongban.exchange.v1 import batches_events_pb2, batches_pb2, exchange_service_pb2, grants_pb2
from tongban.exchange.v1 import batches_service_pb2 as pb
from tongban.exchange.v1.batches_service_pb2_grpc import BatchServiceStub

from services.cli.wiring import environment
from services.exchange.app import running
from services.kit.crypto import sm3
from services.kit.errors import Refusal, Unavailable
from services.kit.ids import new_id
from services.kit.run import serving
from tests.support.eventually import eventually
from tests.support.exchange_city import HOUSEHOLD, OPERATOR, POLICE, City, city, grant_request
from tests.support.mesh import free_port
from tests.support.neighbors import HOSPITAL, ready
from tests.support.profiles import Profile

TOTAL = 350


def number(at: int) -> str:
    """Synthetic: no real number begins with 99."""
    return f"9901001990{at:08d}"


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as town:
        await town.stock()
        allowed = grants_pb2.GrantTerms(methods=[grants_pb2.METHOD_BATCH])
        await town.call(OPERATOR, "CreateGrant", grant_request(terms=allowed))
        with sqlite3.connect(town.folder / "police.sqlite") as register:
            people = [(number(at), f"{at} Spring Lane", "Li Wei") for at in range(TOTAL)]
            register.executemany("INSERT INTO household VALUES (?, ?, ?)", people)
        register.close()
        yield town


@dataclass
class Receiver:
    """Asks over gRPC and holds what arrives."""

    town: City
    batch_id: str = field(default_factory=new_id)
    rows: list[batches_pb2.BatchRow] = field(default_factory=list)
    digest: bytes = bytes(32)
    closed: batches_pb2.Batch | None = None

    async def run(self, *, break_after: int | None = None, who: str = HOSPITAL, chunk: int = 60) -> None:
        """Go on until the batch is closed, or until so many rows more are held: then hang up."""
        peer = await self.town.peer(f"spiffe://tongban/agency/{who}")
        sending: asyncio.Queue[pb.QueryBatchRequest | None] = asyncio.Queue()
        sending.put_nowait(self._opening())
        goal = None if break_after is None else len(self.rows) + break_after
        async with aclosing(peer.stream(peer.stub(BatchServiceStub).QueryBatch, _each(sending))) as stream:
            expected = None
            async for response in stream:
                if response.HasField("opened"):
                    expected = response.opened.counted.rows
                elif response.HasField("part"):
                    self._hold(response.part)
                else:
                    self.closed = response.closed
                    return
                if goal is not None and len(self.rows) >= goal:
                    return
                if expected is not None and len(self.rows) >= expected:
                    expected = min(TOTAL, expected + chunk)
                    sending.put_nowait(self._next(expected))

    def _opening(self) -> pb.QueryBatchRequest:
        opening = pb.BatchOpening(batch_id=self.batch_id, resource=HOUSEHOLD, purpose="birth", received=len(self.rows))
        return pb.QueryBatchRequest(open=opening)

    def _next(self, until: int) -> pb.QueryBatchRequest:
        held = len(self.rows)
        if held == TOTAL:
            return pb.QueryBatchRequest(close=pb.BatchClosing(received=held))
        subjects = [exchange_service_pb2.Subject(number=number(at)) for at in range(held, until)]
        return pb.QueryBatchRequest(subjects=pb.BatchSubjects(subjects=subjects, received=held))

    def _hold(self, part: batches_pb2.BatchPart) -> None:
        assert part.position == len(self.rows)
        self.rows += part.rows
        lines = [row.outcome.encode() + b" " + row.values + b"\n" for row in part.rows]
        self.digest = sm3(self.digest, *lines)
        assert self.digest == part.digest

    @property
    def count(self) -> batches_pb2.BatchCount:
        answered = sum(bool(row.values) for row in self.rows)
        return batches_pb2.BatchCount(rows=len(self.rows), answered=answered, digest=self.digest)


async def _each(sending: "asyncio.Queue[Any]") -> AsyncIterator[Any]:
    while (request := await sending.get()) is not None:
        yield request


def addresses(rows: Sequence[batches_pb2.BatchRow]) -> list[str]:
    return [json.loads(row.values)["address"] for row in rows]


async def whole(town: City, receiver: Receiver) -> None:
    """The receiver has every row once, each with one leaf, and both sides counted alike."""
    assert addresses(receiver.rows) == [f"{at} Spring Lane" for at in range(TOTAL)]
    leaves = [leaf for leaf in await town.leaves() if leaf["outcome"] == "answered"]
    assert len(leaves) == len({leaf["subject"] for leaf in leaves}) == TOTAL
    assert receiver.closed is not None
    assert receiver.closed.counted == receiver.count


async def test_a_stream_that_breaks_goes_on_where_it_stopped(town: City) -> None:
    receiver = Receiver(town)
    await receiver.run(break_after=130)
    assert 130 <= len(receiver.rows) < TOTAL
    await receiver.run()
    await whole(town, receiver)


async def test_a_batch_outlives_the_process_that_began_it(town: City) -> None:
    receiver = Receiver(town)
    running_ = asyncio.create_task(receiver.run(chunk=20))
    await eventually(lambda: len(receiver.rows) >= 40)
    town.service.stop()
    with pytest.raises((Unavailable, Refusal)):
        await running_
    assert len(receiver.rows) < TOTAL
    settings = town.settings.model_copy(update={"grpc_port": free_port(), "worker": "2"})
    async with serving(settings, running) as other:
        await eventually(lambda: ready(other))
        town.service = other
        town.peers.clear()
        await receiver.run()
        await whole(town, receiver)


async def test_a_batch_outlives_a_process_that_is_killed(town: City) -> None:
    settings = town.settings.model_copy(update={"grpc_port": free_port(), "worker": "2", "drain_seconds": 1})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.exchange", env=os.environ | environment("exchange", settings)
    )
    try:
        first, town.service = town.service, SimpleNamespace(grpc_port=settings.grpc_port)  # type: ignore[assignment]
        await eventually(lambda: _listens(town), seconds=60)
        receiver = Receiver(town)
        running_ = asyncio.create_task(receiver.run(chunk=20))
        await eventually(lambda: len(receiver.rows) >= 60)
    finally:
        process.kill()
        await process.wait()
    with pytest.raises((Unavailable, Refusal)):
        await running_
    assert 60 <= len(receiver.rows) < TOTAL
    town.service = first
    town.peers.clear()
    await receiver.run()
    await whole(town, receiver)


async def _listens(town: City) -> bool:
    try:
        await town.call(HOSPITAL, "ListBatches", pb.ListBatchesRequest())
    except Unavailable:
        return False
    return True


async def test_another_process_goes_on_and_the_first_has_lost_the_batch(town: City) -> None:
    receiver = Receiver(town)
    await receiver.run(break_after=60)
    settings = town.settings.model_copy(update={"grpc_port": free_port(), "worker": "2"})
    async with serving(settings, running) as other:
        await eventually(lambda: ready(other))
        town.service, first = other, town.service
        town.peers.clear()
        await receiver.run()
        await whole(town, receiver)
        town.service = first
        town.peers.clear()


async def test_both_sides_reconcile_and_a_difference_is_told(town: City) -> None:
    receiver = Receiver(town)
    await receiver.run()
    await whole(town, receiver)
    wrong = receiver.count
    wrong.rows -= 1
    request = pb.ReconcileBatchRequest(batch_id=receiver.batch_id, count=wrong)
    answer = await town.call(HOSPITAL, "ReconcileBatch", request)
    assert answer.batch.state == batches_pb2.BATCH_STATE_DIFFERING
    await eventually(lambda: [fact.matched for fact in town.told(batches_events_pb2.BatchReconciled)] == [False])
    listed = await town.call(
        OPERATOR, "ListBatches", pb.ListBatchesRequest(state=batches_pb2.BATCH_STATE_DIFFERING, page_size=1)
    )
    assert [each.batch_id for each in listed.batches] == [receiver.batch_id]
    assert listed.batches[0].reported == wrong


async def test_batches_are_listed_page_by_page_and_everybody_sees_their_own(town: City) -> None:
    for _ in range(3):
        await Receiver(town).run(break_after=60)
    seen, token = [], ""
    while True:
        request = pb.ListBatchesRequest(page_size=2, page_token=token)
        page = await town.call(HOSPITAL, "ListBatches", request)
        seen += [each.batch_id for each in page.batches]
        token = page.next_page_token
        if not token:
            break
    assert len(set(seen)) == 3
    with pytest.raises(Refusal):
        await town.call(POLICE, "ListBatches", pb.ListBatchesRequest())


async def test_who_may_not_query_opens_no_batch(town: City) -> None:
    with pytest.raises(Refusal) as refusal:
        await Receiver(town).run(who=POLICE)
    assert refusal.value.reason == "RIGHT_MISSING"
