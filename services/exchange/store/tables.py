# SPDX-License-Identifier: Apache-2.0
"""The exchange's tables. No personal data in clear: what a provider gave is sealed, as adapters' settings are."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, String, Table

from services.kit.calendar import deadline_table
from services.kit.store import Json, UtcDateTime, kit_tables

metadata = MetaData()
kit_tables(metadata)
deadline_table(metadata)

resource = Table(
    "resource",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("provider", String(18), nullable=False),
    Column("sharing_class", String(20), nullable=False),
    Column("sharing_reason", String(500), nullable=False),
    Column("fields", Json, nullable=False),
    Column("adapter", String(20), nullable=False),
    Column("settings", LargeBinary, nullable=False),  # sealed: it may hold passwords
    Column("timeout_ms", Integer, nullable=False),
    Column("region", String(6), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("changed_by", String(120), nullable=False),
    Column("change_id", String(36), nullable=False),  # empty where an operator put it
    Column("index_version", SmallInteger, nullable=False),  # of the words that find it; see domain/words.py
    Index("resource_by_update", "update_time"),
    Index("resource_by_provider", "provider", "code"),
    Index("resource_by_index_version", "index_version"),
)

kept_answer = Table(
    "kept_answer",
    metadata,
    Column("answer_id", String(36), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Index("kept_answer_by_expiry", "expire_time"),
)
