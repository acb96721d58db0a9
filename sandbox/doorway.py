# SPDX-License-Identifier: Apache-2.0
"""Serves a small ASGI application on a port, without signals, access log or lifespan: the host has those."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from services.kit.errors import StartupError

_DRAIN_SECONDS = 1


@asynccontextmanager
async def listening(application: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the end of the block; gives the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise StartupError(f"Port {port} on {host} can't be had: {error.strerror}.") from error
    config = uvicorn.Config(
        application,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    # `_serve` is `serve` without the signal handlers, which belong to the process.
    serving = asyncio.create_task(server._serve([bound]))  # noqa: SLF001
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        bound.close()
