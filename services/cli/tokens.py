# SPDX-License-Identifier: Apache-2.0
"""`tongban token`: signs in as an account of the sandbox, through the public token endpoint."""

import asyncio

import httpx

from services.cli.demo.resident import DoorRefused, issue_token
from services.cli.options import Options
from services.cli.ports import Ports
from services.kit.errors import StartupError

_SECONDS = 10.0


def default_url(options: Options) -> str:
    """The public door of the local system."""
    return Ports(options.host, options.http_port, options.grpc_port).url


def token(persona: str, url: str) -> str:
    """An access token. Raises StartupError where nobody answers or the account is unknown."""
    return asyncio.run(_token(persona, url))


async def _token(persona: str, url: str) -> str:
    async with httpx.AsyncClient(base_url=url, timeout=_SECONDS, trust_env=False) as http:
        try:
            return await issue_token(http, persona)
        except httpx.TransportError as error:
            raise StartupError(f"Nobody answers at {url}; is `tongban run` running?") from error
        except DoorRefused as refused:
            raise StartupError(f"No token for {persona}: {refused}") from refused
