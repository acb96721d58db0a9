# SPDX-License-Identifier: Apache-2.0
"""Desks for doors that have no store, and a receiver of webhooks that verifies as a library would."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from services.gateway.service.statistics import StatisticDesk, StatisticStore
from services.gateway.service.webhooks import WebhookDesk, WebhookStore
from tests.support.gateway_matters import NOW, workflows_of


def refusing() -> WebhookDesk:
    """A desk that nobody with the right comes to."""
    return WebhookDesk(cast(WebhookStore, None), clock=lambda: NOW, hosts=(), poll_seconds=1)


class _Empty:
    """No case has ended."""

    async def figures(self, first: str, last: str, matter: str) -> tuple[()]:  # noqa: ARG002 - the port's words
        return ()


def nothing_counted() -> StatisticDesk:
    """Statistics before the first case has ended."""
    return StatisticDesk(cast(StatisticStore, _Empty()), workflows_of())


@dataclass
class Receiver:
    """Answers with `status`, or not at all where it is 0, and keeps what it was sent."""

    status: int = 204
    got: list[httpx.Request] = field(default_factory=list)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self._answer)) as client:
            yield client

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        if not self.status:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.status)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(each.content) for each in self.got]


def verified(request: httpx.Request, shown_secret: str) -> bool:
    """Whether one of the signatures holds (Standard Webhooks 1.0)."""
    secret = base64.b64decode(shown_secret.removeprefix("whsec_"))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
    good = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return f"v1,{good}" in request.headers["webhook-signature"].split(" ")
