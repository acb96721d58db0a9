# SPDX-License-Identifier: Apache-2.0
"""The console's routes, ready to be put beside the REST door's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from services.gateway.console import receiver
from services.gateway.console.api import Api
from services.gateway.console.pages import Pages
from services.gateway.console.receiver import Receiver
from services.gateway.console.search import Search
from services.gateway.console.session import Attempts, Sessions, Verifier
from services.gateway.console.store import TraceStore
from services.gateway.service import GatewayService
from services.gateway.service.notices import NoticeDesk

LARGER_BODIES: Final[Mapping[str, int]] = {receiver.PATH: receiver.BODY_BYTES_MAX}
"""Paths that take larger bodies than the rest of the door, in bytes."""
_CSS: Final = Path(__file__).parent / "static" / "console.css"


def console_routes(
    service: GatewayService,
    verifier: Verifier,
    store: TraceStore,
    attempts: Attempts,
    *,
    sandbox: bool = False,
    traces_token: str = "",
    outbox: NoticeDesk | None = None,
) -> list[BaseRoute]:
    """Build the routes: `/v1/traces` (OTLP/HTTP), `/console/api/*`, `/console*` pages.

    Refusals of the API are raised, not rendered: the application that takes these routes renders them.

    Args:
        service: finds the case of a receipt, and in the sandbox its operators.
        verifier: tells what a bearer token says.
        store: keeps spans.
        attempts: counts failed attempts to sign in by the address that they come from.
        sandbox: True only in a sandbox: its operators sign in without a password.
        outbox: shows what a sandbox sent to nobody; None where there is no such thing.
        traces_token: what senders of traces must show as a bearer token; without one no traces are taken.
    """
    sessions = Sessions(verifier)
    search = Search(service, store)
    api = Api(sessions, store, search)
    pages = Pages(service, sessions, store, search, attempts, sandbox=sandbox, outbox=outbox)
    return [
        Route(receiver.PATH, Receiver(store, traces_token).receive, methods=["POST"]),
        Route("/console/api/traces", api.traces),
        Route("/console/api/traces/{trace_id}", api.trace),
        Route("/console/console.css", _css),
        Route("/console/sign-in", pages.guarded(pages.sign_in_form)),
        Route("/console/sign-in", pages.guarded(pages.sign_in), methods=["POST"]),
        Route("/console/sign-out", pages.guarded(pages.sign_out), methods=["POST"]),
        Route("/console", pages.guarded(pages.home)),
        *([Route("/console/outbox", pages.guarded(pages.outbox))] if outbox else []),
        Route("/console/traces/{trace_id}", pages.guarded(pages.trace)),
    ]


async def _css(_: Request) -> Response:
    return FileResponse(_CSS, media_type="text/css", headers={"cache-control": "public, max-age=3600"})
