# SPDX-License-Identifier: Apache-2.0
"""A provider's HTTP interface: one bounded JSON answer, mapped to fields."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport

from services.exchange.adapters.bounded import read
from services.exchange.adapters.oauth import TokenSource
from services.exchange.adapters.tls import context
from services.exchange.domain.answer import ANSWER_BYTES_MAX
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderUnavailable
from services.exchange.domain.settings import PLACE, RestSettings
from services.kit.telemetry import current_traceparent

_CONNECTIONS_MAX = 64
_IDLE_SECONDS = 30.0
_ANSWERS = {httpx.codes.OK, httpx.codes.NOT_FOUND}


class RestAdapter:
    """One request over a connection that is kept alive. 404 means no record; anything but 200 means no answer."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            # The broker's own limit rules the wait; the environment's proxies are not asked.
            timeout=None,  # noqa: S113
            trust_env=False,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},
            transport=AiohttpTransport(client=lambda: _session(settings)),
        )
        self._tokens = TokenSource(settings.oauth, self._client) if settings.oauth is not None else None

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Send the request; None for 404. A token that is no longer taken is renewed once."""
        if self._tokens is None:
            status, content = await self._send(inquiry, "")
        else:
            token = await self._tokens.token()
            status, content = await self._send(inquiry, token)
            if status == httpx.codes.UNAUTHORIZED:
                self._tokens.refused(token)
                status, content = await self._send(inquiry, await self._tokens.token())
        if status == httpx.codes.NOT_FOUND:
            return None
        if status != httpx.codes.OK:
            raise ProviderUnavailable(f"The provider answered with HTTP status {status}.")
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise ProviderAnswerInvalid("The provider's answer is not JSON.") from None
        return {field: at(answer, path) for field, path in self._settings.mapping.items()}

    async def probe(self) -> None:
        """Open a connection and ask nothing about anybody: whatever HTTP answers to OPTIONS, it is there."""
        request = self._client.build_request(
            "OPTIONS", urlsplit(self._settings.url)._replace(path="/", query="").geturl()
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, inquiry: Inquiry, token: str) -> tuple[int, bytes]:
        """Give the status, and the body where there may be an answer in it."""
        settings = self._settings
        headers = dict(settings.headers)
        if traceparent := current_traceparent():
            headers["traceparent"] = traceparent
        if token:
            headers["authorization"] = f"Bearer {token}"
        body = {name: value.replace(PLACE, inquiry.subject_key) for name, value in settings.body.items()}
        url = settings.url.replace(PLACE, quote(inquiry.subject_key, safe=""))
        request = self._client.build_request(settings.method, url, json=body or None, headers=headers)
        response = await self._client.send(request, stream=True)
        try:
            content = await read(response, ANSWER_BYTES_MAX) if response.status_code in _ANSWERS else b""
        finally:
            await response.aclose()
        return response.status_code, content


def _session(settings: RestSettings) -> ClientSession:
    """Give what carries httpx's requests: httpx's own pool looks at every connection for every request (decision 23)."""
    connector = TCPConnector(limit=_CONNECTIONS_MAX, keepalive_timeout=_IDLE_SECONDS, ssl=context(settings.tls))
    session = ClientSession(connector=connector, cookie_jar=DummyCookieJar())
    session._retry_connection = False  # noqa: SLF001 - no public way; asked twice only where its policy says so
    return session


def at(answer: Any, path: str) -> Any:
    """Follow a dotted path through objects, and arrays by position; None where it leads nowhere."""
    for step in path.split("."):
        if isinstance(answer, dict):
            answer = answer.get(step)
        elif isinstance(answer, list) and step.isdecimal() and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            return None
    return answer
