# SPDX-License-Identifier: Apache-2.0
"""One database per service behind one dialect-neutral path; what differs between SQLite and PostgreSQL stays in here."""

from services.kit.envelope import Outgoing
from services.kit.store.dialect import insert_into
from services.kit.store.store import Encode, Resources, Store
from services.kit.store.tables import KitTables, kit_tables
from services.kit.store.tx import Tx
from services.kit.store.types import BigId, Json, UtcDateTime

__all__ = [
    "BigId",
    "Encode",
    "Json",
    "KitTables",
    "Outgoing",
    "Resources",
    "Store",
    "Tx",
    "UtcDateTime",
    "insert_into",
    "kit_tables",
]
