# SPDX-License-Identifier: Apache-2.0
"""An ASGI app on uvicorn in our loop: no signal handlers, no lifespan, no access log of its own, everything bounded.

With an identity every client must show a certificate of our root; see `peers.py` for what the app then finds in its scope.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from services.kit.certificates import Identity
from services.kit.errors import StartupError
from services.kit.http.patient import PatientProtocol
from services.kit.http.peers import PeerProtocol

_REQUESTS_MAX: Final = 1000
_HEADER_BYTES_MAX: Final = 32 * 1024
_KEEP_ALIVE_SECONDS: Final = 15
_GRACE_SECONDS: Final = 1
_BACKLOG: Final = 512


class HttpServer:
    """One HTTP port. `start`, then `drain`. `shared`: other processes of the service listen on it too."""

    def __init__(
        self, app: Any, host: str, port: int, *, identity: Identity | None = None, shared: bool = False
    ) -> None:
        self._address = (host, port)
        self._shared = shared
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http=PatientProtocol if identity is None else PeerProtocol,
                ssl_context_factory=None if identity is None else lambda *_: identity.server_context(),
                ws="none",
                server_header=False,
                proxy_headers=False,  # an address that the client may choose is nobody's
                limit_concurrency=_REQUESTS_MAX,
                h11_max_incomplete_event_size=_HEADER_BYTES_MAX,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> int:
        """Open the port and serve; give the port. Raises StartupError where it can't be had."""
        listener = _listening(*self._address, shared=self._shared)
        self.port = int(listener.getsockname()[1])
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name="http")
        begun = asyncio.create_task(self._uvicorn.begun.wait())
        await asyncio.wait({self._task, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if self._task.done():
            self._task.result()
            raise StartupError("The HTTP server ended at once.")
        return self.port

    async def drain(self, seconds: float) -> None:
        """Take nothing new, let requests finish for a second, cut what is left."""
        if self._task is None:
            return
        self._uvicorn.should_exit = True
        await asyncio.wait({self._task}, timeout=seconds)
        if not self._task.done():
            self._uvicorn.force_exit = True
            self._task.cancel()
            await asyncio.wait({self._task})


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: one place decides when the process stops."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.begun.set()


def _listening(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(f"The HTTP port {host}:{port} can't be opened: {error.strerror}.") from error
    listener.setblocking(False)
    return listener
