# SPDX-License-Identifier: Apache-2.0
"""The exchange's gRPC doorway."""

from services.exchange.rpc.applications import ApplicationRpc
from services.exchange.rpc.batches import BatchRpc
from services.exchange.rpc.catalogue import CatalogueRpc
from services.exchange.rpc.changes import ChangeRpc
from services.exchange.rpc.connector import ConnectorRpc
from services.exchange.rpc.consents import ConsentRpc, PreviewRpc
from services.exchange.rpc.corrections import CorrectionRpc
from services.exchange.rpc.demands import DemandRpc
from services.exchange.rpc.documents import DocumentRpc
from services.exchange.rpc.drops import FileDropRpc
from services.exchange.rpc.entries import EntryRpc
from services.exchange.rpc.exchange import ExchangeRpc
from services.exchange.rpc.explaining import GrantRpc
from services.exchange.rpc.lines import LineRpc
from services.exchange.rpc.opendata import OpenDataRpc
from services.exchange.rpc.providers import ProviderRpc
from services.exchange.rpc.requests import DataRequestRpc
from services.exchange.rpc.search import SearchRpc
from services.exchange.rpc.subscriptions import SubscriptionRpc

__all__ = [
    "ApplicationRpc",
    "BatchRpc",
    "CatalogueRpc",
    "ChangeRpc",
    "ConnectorRpc",
    "ConsentRpc",
    "CorrectionRpc",
    "DataRequestRpc",
    "DemandRpc",
    "DocumentRpc",
    "EntryRpc",
    "ExchangeRpc",
    "FileDropRpc",
    "GrantRpc",
    "LineRpc",
    "OpenDataRpc",
    "PreviewRpc",
    "ProviderRpc",
    "SearchRpc",
    "SubscriptionRpc",
]
