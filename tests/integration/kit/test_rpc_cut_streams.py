# SPDX-License-Identifier: Apache-2.0
"""A service that stops cuts streams that are being written into: whoever asked hears that it is away, never that it broke."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from services.kit.errors import RemoteFailure, Unavailable
from services.kit.rpc.status import received

STREAMS = 10
ROUNDS = 12
TALK = "/tongban.test.Talk/Talk"
MESSAGE = bytes(2_000)


@pytest.mark.parametrize("turns", range(ROUNDS))
async def test_a_stream_that_is_cut_while_it_is_written_into_says_that_the_service_is_away(turns: int) -> None:
    server = aio.server()
    handler: Any = grpc.stream_stream_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tongban.test.Talk", {"Talk": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    heard = asyncio.Event()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        streams = [asyncio.create_task(_talk(channel, heard)) for _ in range(STREAMS)]
        await heard.wait()
        for _ in range(turns * 7):  # Another moment in each round: what is cut is where the loop happens to be.
            await asyncio.sleep(0)
        await server.stop(None)
        ends = await asyncio.gather(*streams)
    assert [type(end) for end in ends] == [Unavailable] * STREAMS


def test_what_grpc_says_of_a_cut_stream_is_no_failure_of_the_service_and_its_own_internal_is() -> None:
    cut = aio.AioRpcError(grpc.StatusCode.INTERNAL, aio.Metadata(), aio.Metadata(), "Internal error from Core")
    broken = aio.AioRpcError(grpc.StatusCode.INTERNAL, aio.Metadata(), aio.Metadata(), "")
    assert isinstance(received(cut, "exchange"), Unavailable)
    assert isinstance(received(broken, "exchange"), RemoteFailure)


async def _echo(bodies: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for body in bodies:
        yield body


async def _talk(channel: aio.Channel, heard: asyncio.Event) -> BaseException | None:
    try:
        call: Any = channel.stream_stream(TALK)
        async for _ in call(_endless()):
            heard.set()
    except aio.AioRpcError as error:
        return received(error, "exchange")
    return None


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield MESSAGE
