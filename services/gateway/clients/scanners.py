# SPDX-License-Identifier: Apache-2.0
"""Who looks for viruses: a ClamAV daemon, or in a sandbox a part that knows one test string and says so."""

import asyncio
import struct
from typing import Final

from services.kit.errors import Unavailable

_CHUNK: Final = 64_000
_SECONDS: Final = 30.0
_ANSWER_MAX: Final = 4096
_EICAR: Final = b"".join((b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"))
"""The EICAR test string (2003); in two parts, so that no scanner takes this file for it."""


class ClamScanner:
    """clamd by its INSTREAM command (clamd(8)): the file goes over in pieces and is kept nowhere."""

    name = "clamav"

    def __init__(self, address: str) -> None:
        """`address`: `host:port`, or the path of a unix socket, which begins with a slash."""
        self._address = address

    async def scan(self, content: bytes) -> str:
        """What it found, empty for nothing. Raises Unavailable where it does not answer, or could not tell."""
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await self._asked(content)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise Unavailable("The virus scanner does not answer.", retry_after_seconds=5) from None
        verdict = answer.removeprefix("stream: ")
        if verdict == "OK":
            return ""
        if verdict.endswith(" FOUND"):
            return verdict.removesuffix(" FOUND")
        raise Unavailable("The virus scanner could not look at the file.", retry_after_seconds=60)

    async def _asked(self, content: bytes) -> str:
        if self._address.startswith("/"):
            reader, writer = await asyncio.open_unix_connection(self._address, limit=_ANSWER_MAX)
        else:
            host, _, port = self._address.rpartition(":")
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=_ANSWER_MAX)
        try:
            writer.write(b"zINSTREAM\0")
            for start in range(0, len(content), _CHUNK):
                piece = content[start : start + _CHUNK]
                writer.write(struct.pack("!L", len(piece)) + piece)
                await writer.drain()
            writer.write(struct.pack("!L", 0))
            await writer.drain()
            return (await reader.readuntil(b"\0")).rstrip(b"\0").decode("utf-8", "replace").strip()
        finally:
            writer.close()


class EicarScanner:
    """Finds the EICAR test string and nothing else: for sandboxes, whose files nobody has made to do harm."""

    name = "eicar-only"

    async def scan(self, content: bytes) -> str:
        """The name of the test file, or nothing."""
        return "Eicar-Test-Signature" if _EICAR in content else ""
