# SPDX-License-Identifier: Apache-2.0
"""Bounds the body of a request while it is read: its size, declared or not, and the time that it takes."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DISCARD_SECONDS: Final = 2.0
_PART: Final = re.compile(r"(\{[a-z_]+\})")


class BoundedBodies:
    """Middleware. Too much is HTTPException 413, too slow 408, raised where the body is read.

    `larger` gives other bounds, in bytes, for addresses that take more, where `{name}` stands for one part of a path; they
    have as much more time, so that the slowest line that is waited for stays the same. `discard_max`: bytes of a body too large that
    are read and thrown away first, since a client that is still sending when we hang up does not hear why.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        bytes_max: int,
        seconds_max: float,
        larger: Mapping[str, int] | None = None,
        discard_max: int = 0,
    ) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._larger = [(_pattern(path), most) for path, most in (larger or {}).items()]
        self._discard_max = discard_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        most = next((most for pattern, most in self._larger if pattern.fullmatch(path)), self._bytes_max)
        body = _Body(receive, most, self._seconds_max * max(1.0, most / self._bytes_max))
        body.discard_max = self._discard_max
        body.declared = _declared(scope)
        await self._app(scope, body.receive, send)


class _Body:
    """Counts what arrives. Too much is raised where the body is read, so that it is answered like any refusal."""

    def __init__(self, receive: Receive, bytes_max: int, seconds_max: float) -> None:
        self._receive = receive
        self._bytes_max = bytes_max
        self._seconds_left = seconds_max
        self._seen = 0
        self._complete = False
        self.declared = 0
        self.discard_max = 0

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        if self.declared > self._bytes_max:
            await self._discard()
            raise HTTPException(413)
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            async with asyncio.timeout(self._seconds_left):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408) from None
        self._seconds_left -= clock() - begun
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._seen > self._bytes_max:
                await self._discard()
                raise HTTPException(413)
        return message

    async def _discard(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while not self._complete and self._seen <= self.discard_max:
                    message = await self._receive()
                    self._seen += len(message.get("body", b""))
                    self._complete = not message.get("more_body", False)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in _PART.split(path)))


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
