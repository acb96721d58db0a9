# SPDX-License-Identifier: Apache-2.0
"""The ClamAV adapter speaks INSTREAM to a daemon, over both kinds of sockets, and says when it can't tell."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.gateway.clients.scanners import ClamScanner, EicarScanner
from services.kit.errors import Unavailable
from tests.support.gateway_materials import EICAR, PDF


class Daemon:
    """Reads a stream as clamd(8) says, and answers what it is told to."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
        while size := struct.unpack("!L", await reader.readexactly(4))[0]:
            self.got += await reader.readexactly(size)
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(daemon: Daemon, folder: Path, kind: str) -> AsyncIterator[ClamScanner]:
    if kind == "unix":
        server, address = await asyncio.start_unix_server(daemon.serve, folder / "clamd"), str(folder / "clamd")
    else:
        server = await asyncio.start_server(daemon.serve, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield ClamScanner(address)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_a_file_goes_over_whole_and_the_answer_comes_back(kind: str, tmp_path: Path) -> None:
    content = PDF * 2000
    clean, found = Daemon(b"stream: OK\0"), Daemon(b"stream: Win.Test.EICAR_HDB-1 FOUND\0")
    async with listening(clean, tmp_path, kind) as scanner:
        assert await scanner.scan(content) == ""
    assert clean.got == content
    async with listening(found, tmp_path / "..", kind) as scanner:
        assert await scanner.scan(content) == "Win.Test.EICAR_HDB-1"


@pytest.mark.parametrize("answer", [b"INSTREAM size limit exceeded. ERROR\0", b"", b"stream: OK"])
async def test_what_it_can_not_tell_is_no_clean_file(answer: bytes, tmp_path: Path) -> None:
    async with listening(Daemon(answer), tmp_path, "tcp") as scanner:
        with pytest.raises(Unavailable):
            await scanner.scan(PDF)


async def test_a_daemon_that_is_away_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await ClamScanner(str(tmp_path / "nobody")).scan(PDF)


async def test_the_part_of_the_sandbox_knows_the_test_file_alone() -> None:
    assert await EicarScanner().scan(EICAR) == "Eicar-Test-Signature"
    assert await EicarScanner().scan(PDF) == ""
