# SPDX-License-Identifier: Apache-2.0
"""The exchange's rows: catalogue, grants, counts of calls, kept answers."""

from services.exchange.store.store import ExchangeStore
from services.exchange.store.tables import metadata

__all__ = ["ExchangeStore", "metadata"]
