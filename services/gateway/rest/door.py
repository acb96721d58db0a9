# SPDX-License-Identifier: Apache-2.0
"""What the REST door needs from outside, and how a request becomes a caller."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param

from services.gateway.rest.limits import Allowance, Buckets, Limits, Streams
from services.gateway.service import GatewayService
from services.gateway.service.inbox import Inbox
from services.gateway.service.life import Life
from services.gateway.service.opendata import OpenData
from services.gateway.service.statistics import StatisticDesk
from services.gateway.service.voices import Voices
from services.gateway.service.webhooks import WebhookDesk
from services.kit.caller import Caller, acting_as
from services.kit.clock import Clock
from services.kit.errors import Unauthenticated
from services.kit.tokens import Claims

Ready = Callable[[], Awaitable[Mapping[str, str]]]
"""Answers what is wrong by the name of the part, in words; empty when ready. `runtime.readiness.problems` is one."""


class Verifier(Protocol):
    """Tells what a bearer token says; `services.kit.tokens.TokenVerifier` is one."""

    async def verify(self, token: str) -> Claims:
        """Verify an access token. Raises Unauthenticated; Unavailable where the keys can't be had."""
        ...


class TokenMissing(Unauthenticated):
    """This address is for residents who are signed in."""


@dataclass(frozen=True)
class Door:
    """Everything that the routes share; found in the application's state."""

    service: GatewayService
    open_data: OpenData
    inbox: Inbox
    life: Life
    webhooks: WebhookDesk
    statistics: StatisticDesk
    voices: Voices
    verifier: Verifier
    ready: Ready
    limits: Limits
    buckets: Buckets
    streams: Streams
    downloads: Streams
    uploads: Streams
    sandbox: bool
    clock: Clock

    async def caller(self, request: Request) -> Caller:
        """Tell who asks by the bearer token, and count the request for him.

        A token that doesn't hold is counted for the address that it came from.
        """
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() != "bearer" or not token:
            self.count(request, _address(request))
            raise TokenMissing(
                "This needs an access token.",
                remedy="Send the header `Authorization: Bearer <token>`; see /oauth/token.",
            )
        try:
            claims = await self.verifier.verify(token)
        except Unauthenticated:
            self.count(request, _address(request))
            raise
        self.count(request, f"{claims.kind.value}:{claims.subject}")
        request.scope["tongban.caller"] = claims.kind.value
        request.scope["tongban.expires"] = claims.expires
        return Caller(kind=claims.kind, id=claims.subject, rights=claims.rights, agency=claims.agency, token=token)

    def count(self, request: Request, key: str) -> None:
        """Take one token from the bucket, and say in the answer what is left. Raises TooManyRequests."""
        allowance = self.buckets.take(key)
        request.scope["tongban.headers"] = _rate_headers(allowance, self.limits)


def _rate_headers(allowance: Allowance, limits: Limits) -> tuple[tuple[bytes, bytes], ...]:
    """Say what is left (draft-ietf-httpapi-ratelimit-headers, version 10)."""
    window = max(1, round(limits.burst / limits.per_second))
    return (
        (b"ratelimit-policy", f'"caller";q={allowance.limit};w={window}'.encode()),
        (b"ratelimit", f'"caller";r={allowance.remaining};t={allowance.reset_seconds}'.encode()),
    )


def _address(request: Request) -> str:
    return f"address:{request.client.host if request.client else 'unknown'}"


async def door_of(request: Request) -> Door:  # A thread would be used for a plain function.
    """Give what the routes share."""
    door = request.app.state.door
    assert isinstance(door, Door)
    return door


async def resident(request: Request, door: Annotated[Door, Depends(door_of)]) -> AsyncIterator[Caller]:
    """Do the request for its caller. Raises Unauthenticated or TooManyRequests."""
    caller = await door.caller(request)
    with acting_as(caller):
        yield caller


async def anybody(request: Request, door: Annotated[Door, Depends(door_of)]) -> None:
    """Count a request that needs no token for the address that it comes from. Raises TooManyRequests."""
    door.count(request, _address(request))


async def downloading(request: Request, door: Annotated[Door, Depends(door_of)]) -> AsyncIterator[None]:
    """Hold one of an address's places until the file is read. Raises TooManyRequests."""
    with door.downloads.one_more(_address(request)):
        yield


TheDoor = Annotated[Door, Depends(door_of)]
Resident = Annotated[Caller, Depends(resident)]
