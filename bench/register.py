# SPDX-License-Identifier: Apache-2.0
"""A department's register behind HTTP for benchmarks: answers every request with the same record, over connections that stay open."""

import asyncio
import json

import uvloop

from bench.exchange_server import RECORD
from bench.processes import say

_BODY = json.dumps(RECORD).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: requests without a body, one after the other."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serves until it is terminated."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
