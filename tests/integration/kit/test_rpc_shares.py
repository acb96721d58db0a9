# SPDX-License-Identifier: Apache-2.0
"""No caller takes every place: what one may hold of calls and of streams, health and reflection counted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

from tests.support.eventually import eventually
from tests.support.mesh import BARRED, HEALTH, UNKNOWN, Mesh, mesh

VERIFY = pb.VerifyPersonRequest(subject_id="s", purpose="test", basis="test")
CHECK = health_pb2.HealthCheckRequest()
AGENCY = f"spiffe://tongban/agency/{HEALTH}"
OTHER = f"spiffe://tongban/agency/{UNKNOWN}"
SERVICE = "spiffe://tongban/service/exchange"
BUSY = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh(
        tmp_path,
        rpc_in_flight_max=5,
        rpc_in_flight_max_per_caller=2,
        rpc_streams_max=4,
        rpc_streams_max_per_caller=2,
    ) as made:
        made.fake.rights[UNKNOWN] = (True, ("identity.verify",))
        await made.server.health.set("", health_pb2.HealthCheckResponse.SERVING)
        yield made


async def channel(net: Mesh, name: str) -> aio.Channel:
    return await net.channel(net.identity(name).channel_credentials())


async def verify(net: Mesh, name: str) -> pb.VerifyPersonResponse:
    answer = await IdentityServiceStub(await channel(net, name)).VerifyPerson(VERIFY, timeout=5)
    assert isinstance(answer, pb.VerifyPersonResponse)
    return answer


async def code(call: Any) -> grpc.StatusCode:
    """Give how a call ends."""
    try:
        await call
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_department_at_its_bound_of_calls_leaves_the_door_open_to_others(net: Mesh) -> None:
    for name in (AGENCY, OTHER):
        await verify(net, name)  # Their rights are known from now on: asking for them would take a place as well.
    calls = net.fake.hold()
    held = [asyncio.create_task(verify(net, AGENCY)) for _ in range(2)]
    await calls.inside(2)
    assert await code(verify(net, AGENCY)) is BUSY
    health = health_pb2_grpc.HealthStub(await channel(net, AGENCY))
    assert await code(health.Check(CHECK, timeout=3)) is BUSY
    held += [asyncio.create_task(verify(net, name)) for name in (OTHER, SERVICE, SERVICE)]
    await calls.inside(3)
    assert await code(verify(net, SERVICE)) is BUSY
    calls.release()
    await asyncio.gather(*held)
    await verify(net, AGENCY)
    assert await code(health.Check(CHECK, timeout=3)) is grpc.StatusCode.OK


async def test_open_streams_have_a_bound_for_each_caller_and_one_for_all(net: Mesh) -> None:
    watches = []
    for name in (AGENCY, AGENCY, f"spiffe://tongban/agency/{BARRED}"):
        watches.append(health_pb2_grpc.HealthStub(await channel(net, name)).Watch(CHECK))
        assert (await watches[-1].read()).status == health_pb2.HealthCheckResponse.SERVING
    one_more = health_pb2_grpc.HealthStub(await channel(net, AGENCY)).Watch(CHECK)
    assert await code(one_more.read()) is BUSY
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    reflection = reflection_pb2_grpc.ServerReflectionStub(await channel(net, OTHER)).ServerReflectionInfo()
    await reflection.write(asked)
    assert (await reflection.read()).HasField("list_services_response")
    full = reflection_pb2_grpc.ServerReflectionStub(await channel(net, SERVICE)).ServerReflectionInfo()
    assert await code(full.read()) is BUSY
    watches[0].cancel()
    await eventually(lambda: net.server.door.streams.inside < 4)
    again = health_pb2_grpc.HealthStub(await channel(net, AGENCY)).Watch(CHECK)
    assert (await again.read()).status == health_pb2.HealthCheckResponse.SERVING


async def test_calls_that_never_send_their_request_hold_the_places_of_their_caller_alone(net: Mesh) -> None:
    """On the wire a unary call whose request never comes, as any client can make it."""
    silent: Any = (await channel(net, AGENCY)).stream_unary("/grpc.health.v1.Health/Check")
    calls = [silent() for _ in range(5)]
    refused = [call for call in calls if await _refused(call)]
    assert len(refused) == 3
    assert net.server.door.calls.inside == 2
    await verify(net, SERVICE)
    for call in calls:
        call.cancel()
    await eventually(lambda: net.server.door.calls.inside == 0)


async def _refused(call: Any) -> bool:
    await asyncio.wait([waiting := asyncio.ensure_future(code(call))], timeout=0.5)
    return waiting.done() and waiting.result() is BUSY
