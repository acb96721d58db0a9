# SPDX-License-Identifier: Apache-2.0
"""Around every adapter: a span whose context the provider gets, and one kind of refusal for whatever breaks there."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import get_current_span

from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.domain.resource import Resource
from services.exchange.service.ports import Adapter, AdapterFactory, Probed
from services.kit.errors import Refusal
from services.kit.logs import get_logger
from services.kit.telemetry import SpanKind, Telemetry


class WatchedAdapter:
    """Asks through another adapter, made with the first question. Neither span nor log line tells whom it is about."""

    def __init__(self, factory: AdapterFactory, resource: Resource, telemetry: Telemetry) -> None:
        self._factory = factory
        self._resource = resource
        self._inner: Adapter | None = None
        self._telemetry = telemetry
        self._attributes = {
            "tongban.resource": resource.code,
            "tongban.provider": resource.provider,
            "tongban.adapter": resource.adapter.value,
        }

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Ask within a span. What a driver raises is no answer: its class is logged, its words are not."""
        if not get_current_span().is_recording():  # Its child would not be recorded either, and still costs.
            return await self._ask(inquiry)
        with self._telemetry.span("provider.ask", kind=SpanKind.CLIENT, attributes=self._attributes):
            return await self._ask(inquiry)

    async def _ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        try:
            if self._inner is None:
                self._inner = self._factory(self._resource)
            return await self._inner.ask(inquiry)
        except (Refusal, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever breaks at a provider is, to the asker, no answer
            get_logger().warning("provider_failed", **self._attributes, error=type(error).__name__)
            raise ProviderUnavailable("The provider could not be asked.") from None

    async def probe(self) -> None:
        """Look whether the provider is there. Raises ProviderUnavailable where it is not."""
        inner: object = self._inner
        if isinstance(inner, Probed):
            await inner.probe()

    async def close(self) -> None:
        """Close the adapter."""
        if self._inner is not None:
            await self._inner.close()


def watched(factory: AdapterFactory, telemetry: Telemetry) -> AdapterFactory:
    """Give a factory whose adapters are watched."""

    def build(resource: Resource) -> Adapter:
        return WatchedAdapter(factory, resource, telemetry)

    return build
