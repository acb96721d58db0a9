# SPDX-License-Identifier: Apache-2.0
"""A provider's HTTP interface: one bounded JSON answer, mapped to fields."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from services.exchange.domain.answer import ANSWER_BYTES_MAX
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderUnavailable
from services.exchange.domain.settings import PLACE, RestSettings
from services.kit.telemetry import current_traceparent

_CONNECTIONS_MAX = 64
_IDLE_SECONDS = 30.0


class RestAdapter:
    """One request over a connection that is kept alive. 404 means no record; anything but 200 means no answer."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            # The broker's own limit rules the wait; the environment's proxies are not asked.
            timeout=None,  # noqa: S113
            trust_env=False,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity", **settings.headers},
            limits=httpx.Limits(
                max_connections=_CONNECTIONS_MAX,
                max_keepalive_connections=_CONNECTIONS_MAX,
                keepalive_expiry=_IDLE_SECONDS,
            ),
        )

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Send the request; None for 404."""
        settings = self._settings
        body = {name: value.replace(PLACE, inquiry.subject_key) for name, value in settings.body.items()}
        request = self._client.build_request(
            settings.method,
            settings.url.replace(PLACE, quote(inquiry.subject_key, safe="")),
            json=body or None,
            headers={"traceparent": traceparent} if (traceparent := current_traceparent()) else None,
        )
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code not in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
                raise ProviderUnavailable(f"The provider answered with HTTP status {response.status_code}.")
            content = await _bounded(response)
        finally:
            await response.aclose()
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise ProviderAnswerInvalid("The provider's answer is not JSON.") from None
        return {field: _at(answer, path) for field, path in settings.mapping.items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _bounded(response: httpx.Response) -> bytes:
    """Read as it comes, undecoded: a small body can't unpack into a large one."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise ProviderAnswerInvalid(f"The provider's answer is larger than {ANSWER_BYTES_MAX} bytes.")
    return bytes(content)


def _at(answer: Any, path: str) -> Any:
    """Follow a dotted path through objects, and arrays by position; None where it leads nowhere."""
    for step in path.split("."):
        if isinstance(answer, dict):
            answer = answer.get(step)
        elif isinstance(answer, list) and step.isdecimal() and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            return None
    return answer
