# SPDX-License-Identifier: Apache-2.0
"""The console's routes, ready to be put beside the REST door's."""

from typing import Protocol

from starlette.routing import BaseRoute

from services.gateway.console.store import TraceStore
from services.gateway.service import GatewayService
from services.kit.caller import Caller


class Verifier(Protocol):
    """Tells who a bearer token stands for; `services.kit.tokens.TokenVerifier` is one."""

    async def verify(self, token: str) -> Caller:
        """Verify an access token. Raises Unauthenticated; Unavailable where the keys can't be had."""
        ...


def console_routes(
    service: GatewayService,
    verifier: Verifier,
    store: TraceStore,
    *,
    sandbox: bool = False,
    traces_token: str = "",
) -> list[BaseRoute]:
    """Build the routes: `/v1/traces` (OTLP/HTTP), `/console/api/*`, `/console*` pages.

    Refusals are raised, not rendered: the application that takes these routes renders them.
    """
    raise NotImplementedError
