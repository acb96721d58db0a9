# SPDX-License-Identifier: Apache-2.0
"""Where the REST door is put together."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.routing import BaseRoute

from services.gateway.rest.door import Ready, Verifier
from services.gateway.rest.limits import Limits
from services.gateway.service import GatewayService
from services.kit.telemetry import Telemetry


def build_app(
    service: GatewayService,
    verifier: Verifier,
    *,
    telemetry: Telemetry,
    ready: Ready,
    limits: Limits | None = None,
    sandbox: bool = False,
    sample_ratio: float = 1.0,
    console: Sequence[BaseRoute] = (),
) -> FastAPI:
    """Build the public HTTP application.

    `ready` answers the parts that are not ready, each with one sentence why; empty when all are.
    `console` takes the routes of `services.gateway.console.routes.console_routes(...)`: rooms don't import one another.
    """
    raise NotImplementedError
