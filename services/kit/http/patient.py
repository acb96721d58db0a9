# SPDX-License-Identifier: Apache-2.0
"""A request that comes too slowly ends its connection: uvicorn would wait for its first lines for ever, and connections are counted."""

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS: Final = 10.0


class PatientProtocol(H11Protocol):
    """One connection. Between requests uvicorn has a time of its own; from the first byte on this one counts."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Expect a request."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Go on waiting while line and headers are not whole."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._arrived()
        elif self._due is None:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._arrived()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._due = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _arrived(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
