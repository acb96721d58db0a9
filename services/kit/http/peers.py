# SPDX-License-Identifier: Apache-2.0
"""What an application on a door with client certificates gets to know beyond ASGI: who is there, and what was sent.

`scope["tongban.peer"]`: the SPIFFE ids in the client's verified certificate, as the gRPC door knows them.
`scope["tongban.headers_sent"]`: the request's headers as they came, names in the sender's own letters: ASGI has them in
small ones, and whoever signs or hashes a message wants every byte.
"""

import asyncio
import ssl
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.server import ServerState

from services.kit.http.patient import PatientProtocol


class PeerProtocol(PatientProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert config.h11_max_incomplete_event_size is not None
        self.conn = self._read = _Reading(h11.SERVER, config.h11_max_incomplete_event_size)
        self._inner: Any = self.app
        self._names: list[bytes] = []
        self.app = self._told

    def connection_made(self, transport: Any) -> None:
        """Note who is there; the handshake is over, and the certificate verified."""
        super().connection_made(transport)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._names = _spiffe_names(secured.getpeercert() or {})

    async def _told(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; until it is answered h11 reads no other, so that these are its headers."""
        scope["tongban.peer"] = self._names
        scope["tongban.headers_sent"] = self._read.headers
        await self._inner(scope, receive, send)


class _Reading(h11.Connection):
    """Keeps the headers of the request that was read last."""

    headers: tuple[tuple[bytes, bytes], ...] = ()

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.headers = tuple(event.headers.raw_items())
        return event


def _spiffe_names(certificate: Any) -> list[bytes]:
    names = certificate.get("subjectAltName", ())
    return [name.encode() for kind, name in names if kind == "URI" and name.startswith("spiffe:")]
