# SPDX-License-Identifier: Apache-2.0
"""ProviderService: translate in, one use case, translate out."""

from collections.abc import Mapping
from typing import Any

from grpc import aio
from tongban.exchange.v1 import providers_pb2 as nouns
from tongban.exchange.v1 import providers_service_pb2 as pb
from tongban.exchange.v1 import providers_service_pb2_grpc

from services.exchange.domain.providers import AnswerPolicy, Day, Maintenance, ServiceLevel
from services.exchange.rpc.wire import moment_from
from services.exchange.service.providers.desk import AnnounceMaintenance, ProviderDesk
from services.exchange.service.providers.health import ProviderHealth, ProviderState, ProviderWatch
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

_STATES: Mapping[ProviderState, "nouns.ProviderState.ValueType"] = {
    ProviderState.UNKNOWN: nouns.PROVIDER_STATE_UNKNOWN,
    ProviderState.UP: nouns.PROVIDER_STATE_UP,
    ProviderState.DOWN: nouns.PROVIDER_STATE_DOWN,
    ProviderState.MAINTENANCE: nouns.PROVIDER_STATE_MAINTENANCE,
}


class ProviderRpc(providers_service_pb2_grpc.ProviderServiceServicer):
    """What providers say about themselves, and what was measured."""

    def __init__(self, desk: ProviderDesk, watch: ProviderWatch) -> None:
        self._desk = desk
        self._watch = watch

    async def PutAnswerPolicy(self, request: pb.PutAnswerPolicyRequest, context: Context) -> pb.PutAnswerPolicyResponse:
        """State how answers of a resource may be treated."""
        given = request.policy
        policy = AnswerPolicy(given.resource, given.idempotent, given.cache_seconds)
        await self._desk.put_policy(policy, request.request_id, current_caller())
        return pb.PutAnswerPolicyResponse(policy=given)

    async def PutServiceLevel(self, request: pb.PutServiceLevelRequest, context: Context) -> pb.PutServiceLevelResponse:
        """State what a provider promises."""
        given = request.service_level
        level = ServiceLevel(given.provider, given.availability_percent, given.latency_ms)
        await self._desk.put_level(level, request.request_id, current_caller())
        return pb.PutServiceLevelResponse(service_level=given)

    async def AnnounceMaintenance(
        self, request: pb.AnnounceMaintenanceRequest, context: Context
    ) -> pb.AnnounceMaintenanceResponse:
        """Announce maintenance."""
        command = AnnounceMaintenance(
            request_id=request.request_id,
            provider=request.provider,
            resource=request.resource,
            begin_time=moment_from(request.begin_time, "begin_time"),
            end_time=moment_from(request.end_time, "end_time"),
            grounds=request.grounds,
        )
        return pb.AnnounceMaintenanceResponse(maintenance=_window(await self._desk.announce(command, current_caller())))

    async def CancelMaintenance(
        self, request: pb.CancelMaintenanceRequest, context: Context
    ) -> pb.CancelMaintenanceResponse:
        """Call maintenance off."""
        window = await self._desk.cancel(request.maintenance_id, request.request_id, current_caller())
        return pb.CancelMaintenanceResponse(maintenance=_window(window))

    async def GetProviderHealth(
        self, request: pb.GetProviderHealthRequest, context: Context
    ) -> pb.GetProviderHealthResponse:
        """Tell how well one provider answers."""
        health = await self._watch.health(request.provider, days=request.days, caller=current_caller())
        return pb.GetProviderHealthResponse(health=_health(health))

    async def ListProviders(self, request: pb.ListProvidersRequest, context: Context) -> pb.ListProvidersResponse:
        """List providers with their present day."""
        page = await self._watch.list(
            page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListProvidersResponse(
            providers=[_health(each) for each in page.rows], next_page_token=page.next_token
        )


def _health(health: ProviderHealth) -> nouns.ProviderHealth:
    level = health.level
    wire = nouns.ProviderHealth(
        provider=health.provider,
        state=_STATES[health.state],
        service_level=nouns.ServiceLevel(
            provider=level.provider, availability_percent=level.availability_percent, latency_ms=level.latency_ms
        ),
        days=[_day(each, level) for each in health.days],
        maintenance=[_window(each) for each in health.windows],
    )
    if health.probe_time is not None:
        wire.probe_time.FromDatetime(health.probe_time)
    return wire


def _day(day: Day, level: ServiceLevel) -> nouns.ProviderDay:
    counts = day.counts
    return nouns.ProviderDay(
        day=day.day.isoformat(),
        questions=day.questions,
        answered=counts.get("answered", 0),
        failed=counts.get("failed", 0),
        invalid=counts.get("invalid", 0),
        hedged=counts.get("hedged", 0),
        cached=counts.get("cached", 0),
        availability_percent=round(day.availability_percent, 3),
        latency_p50_ms=day.latency_ms(0.5),
        latency_p95_ms=day.latency_ms(0.95),
        latency_p99_ms=day.latency_ms(0.99),
        met=day.met(level),
    )


def _window(window: Maintenance) -> nouns.Maintenance:
    wire = nouns.Maintenance(
        maintenance_id=window.maintenance_id,
        provider=window.provider,
        resource=window.resource,
        grounds=window.grounds,
        cancelled=window.cancelled,
    )
    wire.begin_time.FromDatetime(window.begin_time)
    wire.end_time.FromDatetime(window.end_time)
    return wire
