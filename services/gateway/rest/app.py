# SPDX-License-Identifier: Apache-2.0
"""Where the REST door is put together."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from starlette.routing import BaseRoute

from services.gateway.rest import (
    accesses,
    case_events,
    cases,
    consents,
    corrections,
    data_tracker,
    dealing,
    finding,
    health,
    licenses,
    materials,
    matters,
    notices,
    oauth,
    opendata,
    roster,
)
from services.gateway.rest import inbox as inbox_room
from services.gateway.rest import life as life_room
from services.gateway.rest import sandbox as sandbox_room
from services.gateway.rest import statistics as statistics_room
from services.gateway.rest import webhooks as webhooks_room
from services.gateway.rest.docs import add_docs
from services.gateway.rest.door import Door, Ready, Verifier
from services.gateway.rest.limits import Buckets, Limits, Streams
from services.gateway.rest.refused import add_refusals
from services.gateway.rest.watch import Watch
from services.gateway.service import GatewayService
from services.gateway.service.inbox import Inbox
from services.gateway.service.life import Life
from services.gateway.service.opendata import OpenData
from services.gateway.service.statistics import StatisticDesk
from services.gateway.service.voices import Voices
from services.gateway.service.webhooks import WebhookDesk
from services.kit.clock import Clock, utc_now
from services.kit.http.bodies import BoundedBodies
from services.kit.telemetry import Telemetry


def build_app(
    service: GatewayService,
    verifier: Verifier,
    *,
    open_data: OpenData,
    inbox: Inbox,
    life: Life,
    webhooks: WebhookDesk,
    statistics: StatisticDesk,
    voices: Voices,
    telemetry: Telemetry,
    ready: Ready,
    limits: Limits | None = None,
    sandbox: bool = False,
    sample_ratio: float = 1.0,
    clock: Clock = utc_now,
    console: Sequence[BaseRoute] = (),
    larger_bodies: Mapping[str, int] | None = None,
) -> FastAPI:
    """Build the public HTTP application.

    Args:
        service: the use cases.
        verifier: tells what a bearer token says.
        open_data: what is open to everybody.
        inbox: what clerks do.
        life: what applicants do beside drafting, submitting and reading.
        webhooks: what front-ends are told.
        statistics: figures of cases that have ended.
        voices: what residents are told and say.
        telemetry: traces each request.
        ready: answers what is wrong by the name of the part, for `/readyz`; empty when ready.
        limits: bounds of the door.
        sandbox: True only in a sandbox: made-up accounts exist.
        sample_ratio: share of requests with a foreign trace id that are recorded, 0 to 1.
        clock: tells when a stream's token ends.
        console: the routes of `services.gateway.console.routes.console_routes(...)`: rooms don't import one another.
        larger_bodies: other bounds of the body, in bytes, by path.
    """
    limits = limits or Limits()
    app = FastAPI(
        title="Tongban 通办",
        version="1.0.0",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.door = Door(
        service=service,
        open_data=open_data,
        inbox=inbox,
        life=life,
        webhooks=webhooks,
        statistics=statistics,
        voices=voices,
        verifier=verifier,
        ready=ready,
        limits=limits,
        buckets=Buckets(limits),
        streams=Streams(limits.streams_max, limits.streams_per_caller_max),
        downloads=Streams(limits.downloads_max, limits.downloads_per_caller_max),
        uploads=Streams(limits.uploads_max, limits.uploads_per_caller_max),
        sandbox=sandbox,
        clock=clock,
    )
    app.add_middleware(
        BoundedBodies,
        bytes_max=limits.body_bytes_max,
        seconds_max=limits.body_seconds_max,
        larger={**materials.LARGER_BODIES, **(larger_bodies or {})},
    )
    app.add_middleware(Watch, telemetry=telemetry, limits=limits, sample_ratio=sample_ratio)
    for room in (
        matters,
        cases,
        life_room,
        materials,
        case_events,
        licenses,
        accesses,
        data_tracker,
        consents,
        corrections,
        notices,
        inbox_room,
        dealing,
        finding,
        roster,
        opendata,
        webhooks_room,
        statistics_room,
        sandbox_room,
        oauth,
        health,
    ):
        app.include_router(room.router)
    app.include_router(accesses.public)
    app.include_router(data_tracker.public)
    add_refusals(app)
    add_docs(app)
    app.router.routes.extend(console)
    return app
