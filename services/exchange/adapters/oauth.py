# SPDX-License-Identifier: Apache-2.0
"""Access tokens by client credentials (RFC 6749, 4.4): one kept while it holds, renewed before it ends."""

import asyncio
import json
import time

import httpx

from services.exchange.adapters.bounded import read
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.domain.settings import OAuthSettings

_TOKEN_BYTES_MAX = 65_536
_EARLY_SECONDS = 30.0
"""Renewed so long before its end: clocks differ, and a question may be on its way for a while."""
_UNSTATED_SECONDS = 60.0
_SECONDS_MAX = 86_400.0


class TokenSource:
    """The token of one provider. However many ask, one renews it."""

    def __init__(self, settings: OAuthSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._renewing = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    async def token(self) -> str:
        """Give a token that still holds for a while. Raises ProviderUnavailable."""
        if time.monotonic() < self._until:
            return self._token
        async with self._renewing:
            if time.monotonic() >= self._until:
                await self._renew()
            return self._token

    def refused(self, token: str) -> None:
        """Forget a token that the provider no longer takes; one that came meanwhile stays."""
        if token == self._token:
            self._until = 0.0

    async def _renew(self) -> None:
        settings = self._settings
        form = {"grant_type": "client_credentials", **({"scope": settings.scope} if settings.scope else {})}
        if not settings.client_secret:  # RFC 8705, 2: the certificate of the connection shows who asks.
            form["client_id"] = settings.client_id
        request = self._client.build_request("POST", settings.token_url, data=form)
        auth = httpx.BasicAuth(settings.client_id, settings.client_secret) if settings.client_secret else None
        response = await self._client.send(request, stream=True, auth=auth)
        try:
            content = await read(response, _TOKEN_BYTES_MAX)
        finally:
            await response.aclose()
        if response.status_code != httpx.codes.OK:
            raise ProviderUnavailable(f"The provider gave no access token: HTTP status {response.status_code}.")
        token, seconds = _parsed(content)
        self._token, self._until = token, time.monotonic() + max(1.0, seconds - _EARLY_SECONDS)


def _parsed(content: bytes) -> tuple[str, float]:
    """Read token and lifetime (RFC 6749, 5.1); the token must fit a header."""
    try:
        answer = json.loads(content)
        token, kind = answer["access_token"], answer["token_type"]
        seconds = float(answer.get("expires_in", _UNSTATED_SECONDS))
        sound = kind.lower() == "bearer" and token.isascii() and token.isprintable() and seconds > 0
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise ProviderUnavailable("The provider's access token can't be read.")
    return token, min(seconds, _SECONDS_MAX)
