# SPDX-License-Identifier: Apache-2.0
"""The kinds of adapter that the exchange knows, each made from its settings."""

from pathlib import Path

from services.exchange.adapters.cases import CaseAdapter
from services.exchange.adapters.connector import ConnectorAdapter
from services.exchange.adapters.drop import DropAdapter
from services.exchange.adapters.rest import RestAdapter
from services.exchange.adapters.sql import SqlAdapter
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind, CaseSettings, RestSettings, SqlSettings
from services.exchange.service.connectors import ConnectorHub
from services.exchange.service.drops import DropStore
from services.exchange.service.ports import Adapter, Adapters


def adapters(hub: ConnectorHub, drops: DropStore, cases: Path | None = None) -> Adapters:
    """Give every kind; a benchmark or a test may pass others to the service instead."""

    def connector(resource: Resource) -> Adapter:
        return ConnectorAdapter(hub, resource.provider, resource.code)

    def drop(resource: Resource) -> Adapter:
        return DropAdapter(drops, resource.code)

    def case(resource: Resource) -> Adapter:
        if cases is None or not isinstance(resource.settings, CaseSettings):
            raise ProviderUnavailable("Cases answer in a sandbox alone.")
        return CaseAdapter(resource.settings, cases / resource.code.replace("/", "_"))

    return {
        AdapterKind.SQL: _sql,
        AdapterKind.REST: _rest,
        AdapterKind.CONNECTOR: connector,
        AdapterKind.FILE: drop,
        AdapterKind.SANDBOX: case,
    }


def _sql(resource: Resource) -> Adapter:
    if not isinstance(resource.settings, SqlSettings):
        raise TypeError("An SQL adapter needs SQL settings.")
    return SqlAdapter(resource.settings)


def _rest(resource: Resource) -> Adapter:
    if not isinstance(resource.settings, RestSettings):
        raise TypeError("A REST adapter needs REST settings.")
    return RestAdapter(resource.settings)
