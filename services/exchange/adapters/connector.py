# SPDX-License-Identifier: Apache-2.0
"""A provider that dials out, as one more way to ask."""

from collections.abc import Mapping
from typing import Any

from services.exchange.domain.inquiry import Inquiry
from services.exchange.service.connectors import ConnectorHub
from services.kit.telemetry import current_traceparent


class ConnectorAdapter:
    """One resource of a provider that dials out."""

    def __init__(self, hub: ConnectorHub, provider: str, resource: str) -> None:
        self._hub = hub
        self._provider = provider
        self._resource = resource

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """Ask over a line of the provider."""
        return await self._hub.ask(self._provider, inquiry, traceparent=current_traceparent())

    async def probe(self) -> None:
        """Look whether a line is open at some process. Raises ProviderUnavailable."""
        await self._hub.must_hold(self._provider, self._resource)

    async def close(self) -> None:
        """Nothing to close: lines belong to their connectors."""
