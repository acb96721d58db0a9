# SPDX-License-Identifier: Apache-2.0
"""Registers of departments as adapters meet them: an HTTP interface with every bad manner, on a free port."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

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
    tokens: list[str] = field(default_factory=list)
    token_requests: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    token_answer: dict[str, Any] = field(default_factory=lambda: {"token_type": "Bearer", "expires_in": 3600})

    async def token(self, request: Request) -> Response:
        """Gives a new token to whoever asks."""
        form = parse_qs((await request.body()).decode())
        self.token_requests.append((request.headers.get("authorization", ""), form))
        self.tokens = [f"token-{len(self.token_requests)}"]
        return JSONResponse({"access_token": self.tokens[-1], **self.token_answer})

    async def guarded(self, request: Request) -> Response:
        """Answers who shows a token that holds."""
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return JSONResponse({}, status_code=401)
        return await self._answer(request, request.path_params["number"])

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
async def rest_register(**tls: Any) -> AsyncIterator[RestRegister]:
    """Serve it for as long as the block runs; `tls` goes to uvicorn."""
    register = RestRegister()
    app = Starlette(
        routes=[
            Route("/persons/{number}", register.person),
            Route("/token", register.token, methods=["POST"]),
            Route("/guarded/{number}", register.guarded),
            Route("/find", register.find, methods=["POST"]),
            Route("/bad/{manner}/{number}", register.bad),
        ]
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1, access_log=False, **tls
        )
    )
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        register.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield register
    finally:
        register.hanging.set()
        server.should_exit = True
        await serving
