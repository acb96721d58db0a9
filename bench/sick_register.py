# SPDX-License-Identifier: Apache-2.0
"""Departments' registers behind HTTP that answer, or fall ill when told: hung, endless, too large, cut off, drop by drop."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import uvloop

from bench.processes import say
from bench.register import ANSWER

CHUNK = b"x" * 65_536
DROP_SECONDS = 0.02
MANNERS = ("hung", "endless", "gigabyte", "gone", "drops", "broken")


async def _illness(manner: str) -> AsyncIterator[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    match manner:
        case "hung":
            await asyncio.sleep(30)
        case "endless":
            yield head + b"transfer-encoding: chunked\r\n\r\n"
            while True:
                yield b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK)
        case "gigabyte":
            yield head + b"content-length: %d\r\n\r\n" % (1 << 30)
            for _ in range((1 << 30) // len(CHUNK)):
                yield CHUNK
        case "drops":
            for byte in ANSWER:
                await asyncio.sleep(DROP_SECONDS)
                yield bytes([byte])
        case "broken":
            yield b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"


class Registers:
    """All of them; a path names which."""

    ill = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; an ill register closes it."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not self.ill:
                    writer.write(ANSWER)
                    continue
                async for piece in _illness(head.split(b"/", 2)[1].decode()):
                    if writer.is_closing():  # The asker has heard enough.
                        break
                    writer.write(piece)
                    await writer.drain()
                break
        writer.close()


async def main() -> None:
    """Serves until it is terminated; a line on standard input says `ill` or `well`."""
    registers = Registers()
    server = await asyncio.start_server(registers.answer, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        registers.ill = line.strip() == b"ill"
        say(ill=registers.ill)


if __name__ == "__main__":
    uvloop.run(main())
