# SPDX-License-Identifier: Apache-2.0
"""The REST door over the fake gateway, and a client that speaks to it without a socket."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import httpx
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.routing import BaseRoute

from services.gateway.rest.app import build_app
from services.gateway.rest.limits import Limits
from services.gateway.service.inbox import Inbox
from services.gateway.service.inbox.ports import InboxStore
from services.gateway.service.life import Life
from services.gateway.service.statistics import StatisticDesk
from services.gateway.service.voices import Voices
from services.gateway.service.webhooks import WebhookDesk
from services.kit.telemetry import Telemetry
from tests.support.gateway_desks import nothing_counted, refusing
from tests.support.gateway_fake import NOW, FakeGateway, FakeVerifier
from tests.support.gateway_matters import workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_opendata import FakeOpenData
from tests.support.gateway_voices import no_voices
from tests.support.gateway_world import World

MOTHER = {"authorization": "Bearer citizen:mother"}
OTHER = {"authorization": "Bearer citizen:other"}


@dataclass
class Doorway:
    """Everything that a test touches."""

    client: httpx.AsyncClient
    gateway: FakeGateway
    app: FastAPI
    spans: InMemorySpanExporter
    failing: dict[str, str]


@asynccontextmanager
async def doorway(
    *,
    limits: Limits | None = None,
    sandbox: bool = True,
    sample_ratio: float = 1.0,
    gateway: FakeGateway | None = None,
    console: Sequence[BaseRoute] = (),
    larger_bodies: Mapping[str, int] | None = None,
    open_data: FakeOpenData | None = None,
    webhooks: WebhookDesk | None = None,
    statistics: StatisticDesk | None = None,
    voices: Voices | None = None,
) -> AsyncIterator[Doorway]:
    """Open the door and a client of it."""
    gateway = gateway or FakeGateway()
    spans = InMemorySpanExporter()
    telemetry = Telemetry("gateway", sample_ratio=sample_ratio, processors=[SimpleSpanProcessor(spans)])
    failing: dict[str, str] = {}

    async def ready() -> Mapping[str, str]:
        return failing

    app = build_app(
        gateway,
        FakeVerifier(),
        open_data=open_data or FakeOpenData(),
        inbox=empty_inbox(),
        life=small_life(),
        webhooks=webhooks or refusing(),
        statistics=statistics or nothing_counted(),
        voices=voices or no_voices(),
        telemetry=telemetry,
        ready=ready,
        limits=limits,
        sandbox=sandbox,
        sample_ratio=sample_ratio,
        clock=lambda: NOW,
        console=console,
        larger_bodies=larger_bodies,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield Doorway(client, gateway, app, spans, failing)
    telemetry.close()


def empty_inbox() -> Inbox:
    """An inbox that nobody's token opens; tests/support/gateway_inbox.py has one with clerks."""
    world = World(MemoryGatewayStore(lambda: NOW), workflows_of(), lambda: NOW)
    return Inbox(world.engine, cast(InboxStore, world.store))


def small_life() -> Life:
    """Over a gateway of its own, without cases."""
    return World(MemoryGatewayStore(lambda: NOW), workflows_of(), lambda: NOW).life


async def draft(door: Doorway, key: str = "k-1", **answers: str) -> dict[str, object]:
    """Open a draft as the mother."""
    response = await door.client.post(
        "/api/v1/cases", json={"matter": "birth", "answers": answers}, headers={**MOTHER, "idempotency-key": key}
    )
    assert response.status_code == 201, response.text
    body: dict[str, object] = response.json()
    return body
