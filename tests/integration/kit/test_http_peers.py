# SPDX-License-Identifier: Apache-2.0
"""An HTTP door with client certificates: what the application gets to know, and certificates that change under it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.kit.certificates import CertificateAuthority, Identity
from services.kit.http import HttpServer, patient

AGENCY = "spiffe://tongban/agency/1299010000000102XJ"
SERVICE = "spiffe://tongban/service/exchange"


class Door:
    def __init__(self, folder: Path) -> None:
        self.authority = CertificateAuthority.open(folder)
        self.folder = folder
        self.agency = self.authority.issue(AGENCY)
        self.authority.issue(SERVICE)
        self.seen: list[dict[str, Any]] = []
        self.port = 0

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        await receive()
        self.seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    @asynccontextmanager
    async def client(self, folder: Path | None) -> AsyncIterator[httpx.AsyncClient]:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        if folder is not None:
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{self.port}", verify=context) as opened:
            yield opened

    async def serial(self) -> str:
        """Serial number of the certificate that a new handshake is answered with."""
        async with self.client(self.agency) as opened:
            stream = (await opened.get("/")).extensions["network_stream"]
            return str(stream.get_extra_info("ssl_object").getpeercert()["serialNumber"])


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    opened = Door(tmp_path)
    server = HttpServer(opened, "127.0.0.1", 0, identity=Identity.open(tmp_path, SERVICE))
    opened.port = await server.start()
    yield opened
    await server.drain(2)


async def test_the_application_knows_who_is_there_and_what_was_sent(door: Door) -> None:
    async with door.client(door.agency) as client:
        await client.get("/a", headers={"X-Mine": "1"})
        await client.get("/b", headers={"x-MINE": "2"})
    assert [scope["tongban.peer"] for scope in door.seen] == [[AGENCY.encode()]] * 2
    assert (b"X-Mine", b"1") in door.seen[0]["tongban.headers_sent"]
    assert (b"x-MINE", b"2") in door.seen[1]["tongban.headers_sent"]


@pytest.mark.parametrize(
    ("before", "said"),
    [(0, b""), (0, b"GET /a HTTP/1.1\r\n"), (0, b"GET /a HTTP/1.1\r\nX-Slow: "), (1, b"GET /a HTTP/1.1\r\nX-Slow: ")],
)
async def test_whoever_does_not_finish_their_headers_keeps_no_connection(
    door: Door, before: int, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "HEADER_SECONDS", 0.3)
    context = ssl.create_default_context(cafile=str(door.folder / "ca.crt"))
    context.load_cert_chain(door.agency / "tls.crt", door.agency / "tls.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context)
    for _ in range(before):
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    writer.write(said)

    async def trickles() -> None:
        while True:
            await asyncio.sleep(0.1)
            writer.write(b"a" if said.endswith(b" ") else b"")

    trickling = asyncio.create_task(trickles())
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    trickling.cancel()
    writer.close()


async def test_two_requests_in_one_packet_keep_their_own_headers(door: Door) -> None:
    context = ssl.create_default_context(cafile=str(door.folder / "ca.crt"))
    context.load_cert_chain(door.agency / "tls.crt", door.agency / "tls.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context)
    writer.write(
        b"GET /a HTTP/1.1\r\nHost: x\r\nX-N: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nX-N: 2\r\nConnection: close\r\n\r\n"
    )
    answers = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answers.count(b"204") == 2
    assert [dict(scope["tongban.headers_sent"])[b"X-N"] for scope in door.seen] == [b"1", b"2"]


async def test_a_renewed_certificate_is_shown_without_a_restart(door: Door) -> None:
    before = await door.serial()
    assert await door.serial() == before
    door.authority.issue(SERVICE)
    assert await door.serial() != before


async def test_a_half_written_pair_is_left_alone_until_it_is_whole(door: Door) -> None:
    before = await door.serial()
    key = door.folder / "services/exchange/tls.key"
    own = key.read_bytes()
    key.write_bytes((door.agency / "tls.key").read_bytes())
    assert await door.serial() == before
    key.write_bytes(own)
    assert await door.serial() == before


async def test_strangers_do_not_get_in(door: Door, tmp_path: Path) -> None:
    stranger = CertificateAuthority.open(tmp_path / "other").issue(AGENCY)
    for folder in (None, stranger):
        async with door.client(folder) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/")
    assert door.seen == []
