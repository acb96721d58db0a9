# SPDX-License-Identifier: Apache-2.0
"""Facts of providers: what holds for them, and when they will not answer."""

from tongban.exchange.v1 import providers_events_pb2 as pb
from tongban.exchange.v1.corrections_events_pb2 import CorrectionChanged
from tongban.exchange.v1.exchange_events_pb2 import ResourceChanged

from services.exchange.domain.providers import Maintenance, MaintenanceAnnounced, ProviderTermsChanged
from services.exchange.service.providers import Providers
from services.exchange.service.providers.health import ProviderWatch
from services.kit.consumer import Routes
from services.kit.envelope import Envelope, Outgoing


def encoded(fact: object) -> Outgoing | None:
    """Put a fact of this area into its message; None for one of another."""
    match fact:
        case ProviderTermsChanged(provider, resource):
            return Outgoing(pb.ProviderTermsChanged(provider=provider, resource=resource), key=provider)
        case MaintenanceAnnounced(window):
            return Outgoing(_maintenance_announced(window), key=window.provider)
    return None


def _maintenance_announced(window: Maintenance) -> pb.MaintenanceAnnounced:
    message = pb.MaintenanceAnnounced(
        maintenance_id=window.maintenance_id,
        provider=window.provider,
        resource=window.resource,
        cancelled=window.cancelled,
    )
    message.begin_time.FromDatetime(window.begin_time)
    message.end_time.FromDatetime(window.end_time)
    return message


class ProviderEvents:
    """Facts heard by every process: each keeps what holds for providers right."""

    def __init__(self, watch: ProviderWatch, providers: Providers) -> None:
        self._watch = watch
        self._providers = providers

    @property
    def routes(self) -> Routes:
        """Which fact goes where."""
        return {
            pb.ProviderTermsChanged: self.on_provider_terms_changed,
            pb.MaintenanceAnnounced: self.on_maintenance_announced,
            CorrectionChanged: self.on_correction_changed,
            ResourceChanged: self.on_resource_changed,
        }

    async def on_provider_terms_changed(self, _fact: pb.ProviderTermsChanged, _envelope: Envelope) -> None:
        """Read what changed."""
        await self._watch.refresh()

    async def on_maintenance_announced(self, _fact: pb.MaintenanceAnnounced, _envelope: Envelope) -> None:
        """Read what was announced or called off."""
        await self._watch.refresh()

    async def on_correction_changed(self, fact: CorrectionChanged, _envelope: Envelope) -> None:
        """Give no kept answer of the resource again: a value in one of them may be the wrong one."""
        self._providers.forget(fact.resource)

    async def on_resource_changed(self, fact: ResourceChanged, _envelope: Envelope) -> None:
        """Reach the provider anew, or no more: what is open was opened by the settings from before."""
        await self._providers.let_go(fact.resource)
