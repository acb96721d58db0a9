# SPDX-License-Identifier: Apache-2.0
"""While the broker is away anybody on the machine may take its port: a stranger there learns nothing and breaks nothing."""

import asyncio
import struct
from asyncio import StreamReader, StreamWriter
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.kit.errors import Unavailable
from services.kit.eventlog import Record, open_eventlog
from services.kit.eventlog.broker import connection_of
from tests.support.kafka import Broker
from tests.support.profiles import Profile

TOPIC = "tongban.stranger"
HANDSHAKE, VERSIONS, AUTHENTICATE = 17, 18, 36
SIGNATURE = b"v=" + b64encode(bytes(32))


class Stranger:
    """Speaks as much of Kafka's protocol as signing in takes."""

    def __init__(self, iterations: int, last: bytes) -> None:
        self.heard = b""
        self._iterations = iterations
        self._last = last

    @asynccontextmanager
    async def on(self, port: int) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while size := await reader.read(4):
                request = await reader.readexactly(*struct.unpack(">i", size))
                self.heard += request
                answer = request[4:8] + self._answer(int.from_bytes(request[:2]), request)
                writer.write(struct.pack(">i", len(answer)) + answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, kind: int, request: bytes) -> bytes:
        if kind == VERSIONS:
            known = [struct.pack(">hhh", each, 0, 1) for each in (HANDSHAKE, VERSIONS, AUTHENTICATE)]
            return struct.pack(">hi", 0, len(known)) + b"".join(known)
        if kind == HANDSHAKE:
            return struct.pack(">hih", 0, 1, 13) + b"SCRAM-SHA-256"
        first = b"n,,n=" in request
        said = self._challenge(request.rpartition(b",r=")[2]) if first else self._last
        return struct.pack(">hhi", 0, -1, len(said)) + said + bytes(8)

    def _challenge(self, nonce: bytes) -> bytes:
        return b"r=%bmore,s=%b,i=%d" % (nonce, b64encode(b"salt"), self._iterations)


@pytest.mark.parametrize(
    ("iterations", "last", "proofs"),
    [
        pytest.param(4096, SIGNATURE, True, id="a wrong signature"),
        pytest.param(4096, b"e=other-error", True, id="no signature"),
        pytest.param(1, SIGNATURE, False, id="a proof that is cheap to guess from"),
    ],
)
async def test_a_stranger_on_the_brokers_port_learns_no_password_and_is_outlived(
    full: Profile, kafka: Broker, iterations: int, last: bytes, proofs: bool
) -> None:
    known = connection_of(full.events)
    record = Record(topic=TOPIC, key="k", value=b"v")
    stranger = Stranger(iterations, last)
    async with open_eventlog(full.events) as log:
        await log.ensure_topics([TOPIC])
        await log.send([record])
        await asyncio.to_thread(kafka.kill)
        try:
            async with stranger.on(int(known["bootstrap_servers"].rpartition(":")[2])):
                with pytest.raises(Unavailable):
                    await log.send([record])
                with pytest.raises(Unavailable):
                    await log.send([record])
        finally:
            await asyncio.to_thread(kafka.start)
        await log.send([record])
    assert b"n=tongban,r=" in stranger.heard
    assert (b",p=" in stranger.heard) is proofs
    assert known["sasl_plain_password"].encode() not in stranger.heard
