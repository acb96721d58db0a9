# SPDX-License-Identifier: Apache-2.0
"""Several processes of the exchange on one store: a connector's line is held by one of them, and serves them all."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1.lines_service_pb2 import AskLineRequest
from tongban.exchange.v1.lines_service_pb2_grpc import LineServiceStub

from services.cli.wiring import environment
from services.exchange.app import running
from services.kit.certificates import Identity
from services.kit.errors import Refusal, RemoteRefusal, Unavailable
from services.kit.rpc.peer import Peer
from services.kit.serving import Serving, serving
from tests.support.eventually import eventually
from tests.support.exchange_city import (
    ENROLLMENT,
    INSURANCE,
    NUMBER,
    OPERATOR,
    City,
    ConnectorFake,
    city,
    enrollment,
    grant_request,
    query,
)
from tests.support.mesh import free_port
from tests.support.neighbors import HOSPITAL, ready
from tests.support.profiles import Profile

QUESTION = {"resource": ENROLLMENT, "fields": ["status"]}


@asynccontextmanager
async def second(town: City, port: int) -> AsyncIterator[Serving]:
    """Another process's runtime on the same store."""
    settings = town.settings.model_copy(update={"grpc_port": port, "worker": "2"})
    async with serving(settings, running) as other:
        await eventually(lambda: ready(other))
        yield other


def turn(town: City, service: Any) -> None:
    """Ask this one from now on."""
    town.service = service
    town.peers.clear()


async def stock(town: City) -> None:
    await town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=enrollment()))
    await town.call(
        OPERATOR, "CreateGrant", grant_request(resource=ENROLLMENT, fields=["status"], verify_fields=["status"])
    )


async def outcome(town: City) -> str:
    try:
        answer = await town.call(HOSPITAL, "Query", query(**QUESTION))
    except Refusal as refusal:
        return refusal.reason
    except Unavailable:
        return "UNAVAILABLE"
    return str(answer.values["status"])


async def until(town: City, expected: str) -> None:
    async def so() -> bool:
        return await outcome(town) == expected

    await eventually(so)


def silenced(connector: ConnectorFake) -> int:
    connector.silent = True
    return len(connector.work)


async def test_a_question_at_one_process_is_answered_over_the_line_of_another(profile: Profile) -> None:
    async with city(profile, provider_rest_seconds=0.1) as town, second(town, free_port()) as other:
        await stock(town)
        async with town.connector() as connector:
            first = town.service
            await until(town, "active")
            turn(town, other)
            await until(town, "active")
            work = connector.work[-1]
            assert (work.subject_key, list(work.fields), work.resource) == (NUMBER, ["status"], ENROLLMENT)
            assert work.traceparent
            before = len(await town.leaves())
            assert await outcome(town) == "active"
            assert len(await town.leaves()) == before + 1, "the asker's leaf and no other"
            connector.values = None
            assert await outcome(town) == "NOT_FOUND"
            turn(town, first)
        turn(town, other)
        await until(town, "UNAVAILABLE")


async def test_a_line_that_drops_meanwhile_ends_the_question_of_the_other_process(profile: Profile) -> None:
    async with city(profile) as town, second(town, free_port()) as other:
        await stock(town)
        async with town.connector() as connector:
            await until(town, "active")
            turn(town, other)
            await until(town, "active")
            seen = silenced(connector)
            asking = asyncio.create_task(outcome(town))
            await eventually(lambda: len(connector.work) > seen)
            connector.sending.put_nowait(None)
            assert await asking == "UNAVAILABLE"
            assert (await town.leaves())[-1]["outcome"] == "PROVIDER_UNAVAILABLE"


async def test_a_process_that_ends_with_the_line_leaves_a_coded_error_and_the_next_line_serves(
    profile: Profile,
) -> None:
    async with city(profile, provider_failures_max=1000) as town:
        await stock(town)
        first = town.service
        async with second(town, free_port()) as other:
            turn(town, other)
            async with town.connector() as connector:
                turn(town, first)
                await until(town, "active")
                seen = silenced(connector)
                asking = asyncio.create_task(outcome(town))
                await eventually(lambda: len(connector.work) > seen)
                other.stop()
                assert await asking == "UNAVAILABLE"
                await connector.ended.wait()
        assert await outcome(town) == "UNAVAILABLE"
        async with town.connector():
            await until(town, "active")


@asynccontextmanager
async def own_process(town: City) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own on the same store; the town's questions go to it. Whatever is left of it is killed."""
    settings = town.settings.model_copy(update={"grpc_port": free_port(), "worker": "2"})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.exchange", env=os.environ | environment("exchange", settings)
    )
    try:
        turn(town, SimpleNamespace(grpc_port=settings.grpc_port))

        await eventually(lambda: _opens(town), seconds=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _opens(town: City) -> bool:
    try:
        await town.call(HOSPITAL, "ListGrants", pb.ListGrantsRequest())
    except Unavailable:
        return False
    return True


async def test_a_killed_process_that_held_the_line_leaves_a_coded_error(profile: Profile) -> None:
    async with city(profile, provider_failures_max=1000) as town:
        await stock(town)
        first = town.service
        async with own_process(town) as process, town.connector() as connector:
            turn(town, first)
            await until(town, "active")
            seen = silenced(connector)
            asking = asyncio.create_task(outcome(town))
            await eventually(lambda: len(connector.work) > seen)
            process.kill()
            assert await asking == "UNAVAILABLE"
            assert (await town.leaves())[-1]["outcome"] == "PROVIDER_UNAVAILABLE"
        async with town.connector():
            await until(town, "active")


async def test_a_killed_process_that_asked_takes_no_place_on_the_line(profile: Profile) -> None:
    async with city(profile, connector_in_flight_max=1) as town:
        await stock(town)
        first = town.service
        async with town.connector() as connector:
            await until(town, "active")
            async with own_process(town) as process:
                await until(town, "active")
                seen = silenced(connector)
                asking = asyncio.create_task(outcome(town))
                await eventually(lambda: len(connector.work) > seen)
                process.kill()
                assert await asking == "UNAVAILABLE"
            connector.silent = False
            turn(town, first)
            await until(town, "active")


async def test_only_the_exchange_asks_over_lines(profile: Profile) -> None:
    async with city(profile) as town:
        request = AskLineRequest(provider=INSURANCE, resource=ENROLLMENT, subject_key=NUMBER, timeout_ms=1000)
        for spiffe_id in (OPERATOR, f"spiffe://tongban/agency/{INSURANCE}", "spiffe://tongban/service/gateway"):
            peer = await town.peer(spiffe_id)
            with pytest.raises(RemoteRefusal):
                await peer.call(peer.stub(LineServiceStub).AskLine, request)
        own = Identity.open(town.folder / "pki", "spiffe://tongban/service/exchange")
        address = f"127.0.0.1:{town.service.grpc_port}"
        async with Peer.open(address, own, town.telemetry, server_name="exchange") as peer:
            answer = await peer.call(peer.stub(LineServiceStub).AskLine, request)
        assert answer.outcome == 5, "no line, and nobody was asked"


async def test_processes_behind_one_port_reach_each_other(profile: Profile) -> None:
    """Whichever process a call or a connector comes to, the answer is the same."""
    async with city(profile, reuse_port=True, provider_failures_max=1000) as town:
        await stock(town)
        async with second(town, town.settings.grpc_port) as other:
            assert other.grpc_port == town.service.grpc_port
            async with town.connector():
                for _ in range(8):
                    town.peers.clear()
                    await until(town, "active")
                    assert await outcome(town) == "active"
