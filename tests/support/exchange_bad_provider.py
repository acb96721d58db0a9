# SPDX-License-Identifier: Apache-2.0
"""A provider's interface with every bad manner that HTTP allows, byte by byte, on a free port."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

GIGABYTE = 1 << 30
CHUNK = b"x" * 65_536
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

Manner = Callable[["BadProvider", asyncio.StreamWriter, str], Awaitable[None]]


@dataclass
class BadProvider:
    """Where it is, how often it was asked, and how much it managed to send."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            _, manner, number = head.split(" ", 2)[1].split("/", 2)
            self.asked[manner] += 1
            await MANNERS[manner](self, writer, number)
            await writer.drain()
        writer.close()

    async def write(self, manner: str, writer: asyncio.StreamWriter, piece: bytes) -> None:
        writer.write(piece)
        await writer.drain()
        self.sent[manner] += len(piece)


async def _good(_: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    writer.write(_answer({"subject_key": number, "name": "Li Wei"}))


async def _hung(provider: BadProvider, _: asyncio.StreamWriter, __: str) -> None:
    await provider.closing.wait()


async def _wrong_schema(_: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    writer.write(_answer({"subject_key": number, "name": {"first": ["Li"]}}))


async def _wrong_subject(_: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    writer.write(_answer({"subject_key": f"{number[:-1]}X", "name": "Somebody Else"}))


async def _gigabyte(provider: BadProvider, writer: asyncio.StreamWriter, _: str) -> None:
    writer.write(HEAD + f"content-length: {GIGABYTE}\r\n\r\n".encode())
    for _number in range(GIGABYTE // len(CHUNK)):
        await provider.write("gigabyte", writer, CHUNK)


async def _endless(provider: BadProvider, writer: asyncio.StreamWriter, _: str) -> None:
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        await provider.write("endless", writer, b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK))


async def _half(_: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    whole = _answer({"subject_key": number, "name": "Li Wei"})
    writer.write(whole[:-9])


async def _cut(_: BadProvider, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(HEAD + b'content-length: 21\r\n\r\n{"name": "Li Wei", "x')


async def _redirect(_: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    writer.write(f"HTTP/1.1 302 Found\r\nlocation: /good/{number}\r\ncontent-length: 0\r\n\r\n".encode())


async def _loris(provider: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    """Byte by byte: no single wait is long."""
    for byte in _answer({"subject_key": number, "name": "Li Wei"}):
        await provider.write("loris", writer, bytes([byte]))
        await asyncio.sleep(0.05)


async def _headers(provider: BadProvider, writer: asyncio.StreamWriter, _: str) -> None:
    writer.write(HEAD)
    while True:
        await provider.write("headers", writer, b"x-flood: " + CHUNK + b"\r\n")


async def _garbage(_: BadProvider, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")


async def _gone(_: BadProvider, __: asyncio.StreamWriter, ___: str) -> None:
    """Hangs up without a word."""


async def _flapping(provider: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    """Fails every other time."""
    if provider.asked["flapping"] % 2:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
    else:
        await _good(provider, writer, number)


async def _slow(provider: BadProvider, writer: asyncio.StreamWriter, number: str) -> None:
    """Late, but within its time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await provider.closing.wait()
    await _good(provider, writer, number)


MANNERS: dict[str, Manner] = {
    "good": _good,
    "slow": _slow,
    "hung": _hung,
    "schema": _wrong_schema,
    "subject": _wrong_subject,
    "gigabyte": _gigabyte,
    "endless": _endless,
    "half": _half,
    "cut": _cut,
    "redirect": _redirect,
    "loris": _loris,
    "headers": _headers,
    "garbage": _garbage,
    "gone": _gone,
    "flapping": _flapping,
}


def _answer(record: dict[str, object]) -> bytes:
    body = json.dumps(record).encode()
    return HEAD + b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body)


@asynccontextmanager
async def bad_provider() -> AsyncIterator[BadProvider]:
    """Serve it for as long as the block runs."""
    provider = BadProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        provider.closing.set()
        server.close()
