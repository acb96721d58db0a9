# SPDX-License-Identifier: Apache-2.0
"""Registers of departments as adapters meet them: an HTTP interface with every bad manner, on a free port."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

NUMBER = "990100199003070027"
MISSING = "990100199003070999"


@dataclass
class RestRegister:
    """What was asked, and where."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def person(self, request: Request) -> Response:
        number = request.path_params["number"]
        return await self._answer(request, number)

    async def find(self, request: Request) -> Response:
        return await self._answer(request, json.loads(await request.body())["number"])

    async def _answer(self, request: Request, number: str) -> Response:
        self.asked.append((request.method, number, dict(request.headers)))
        if number == MISSING:
            return JSONResponse({"detail": "no such person"}, status_code=404)
        spouse = {"name": "Wang Fang", "names": [{"value": "Wang Fang"}]}
        return JSONResponse({"number": number, "record": {"spouse": spouse, "since": "2015-05-20", "copies": 2}})

    async def bad(self, request: Request) -> Response:
        manners: dict[str, Callable[[], Response]] = {
            "large": lambda: StreamingResponse(_large(), media_type="application/json"),
            "text": lambda: Response("<html>", media_type="text/html"),
            "deep": lambda: Response("[" * 200_000, media_type="application/json"),
            "list": lambda: JSONResponse([1, 2]),
            "object": lambda: JSONResponse({"record": {"spouse": {"names": ["a"]}, "since": {"year": 2015}}}),
            "moved": lambda: RedirectResponse(f"/persons/{NUMBER}"),
            "broken": lambda: Response(status_code=500),
            "forbidden": lambda: Response(status_code=403),
        }
        manner = request.path_params["manner"]
        if manner == "hung":
            await self.hanging.wait()
        return manners.get(manner, manners["broken"])()


async def _large() -> AsyncIterator[bytes]:
    yield b'{"x": "'
    for _ in range(64):
        yield b"x" * 65_536
        await asyncio.sleep(0)


@asynccontextmanager
async def rest_register() -> AsyncIterator[RestRegister]:
    """Serve it for as long as the block runs."""
    register = RestRegister()
    app = Starlette(
        routes=[
            Route("/persons/{number}", register.person),
            Route("/find", register.find, methods=["POST"]),
            Route("/bad/{manner}/{number}", register.bad),
        ]
    )
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1, access_log=False)
    )
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        register.url = f"http://127.0.0.1:{port}"
        yield register
    finally:
        register.hanging.set()
        server.should_exit = True
        await serving
