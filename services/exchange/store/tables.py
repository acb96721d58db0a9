# SPDX-License-Identifier: Apache-2.0
"""The exchange's tables. No personal data in clear: what a provider gave is sealed, as adapters' settings are."""

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

from services.kit.store import Json, UtcDateTime, kit_tables

metadata = MetaData()
kit_tables(metadata)

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
    Index("resource_by_update", "update_time"),
)

sharing_grant = Table(
    "sharing_grant",
    metadata,
    Column("grant_id", String(36), primary_key=True),
    Column("request_id", String(36), nullable=False),
    Column("resource", String(64), ForeignKey("resource.code"), nullable=False),
    Column("grantee", String(18), nullable=False),
    Column("purposes", Json, nullable=False),
    Column("fields", Json, nullable=False),
    Column("verify_fields", Json, nullable=False),
    Column("basis", String(200), nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("daily_quota", BigInteger, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("revoke_time", UtcDateTime, nullable=True),
    Column("grounds", String(500), nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Index("sharing_grant_by_pair", "grantee", "resource", "create_time"),
    Index("sharing_grant_by_resource", "resource", "create_time"),
    Index("sharing_grant_by_time", "create_time", "grant_id"),
    Index("sharing_grant_by_update", "update_time"),
)

quota_count = Table(
    "quota_count",
    metadata,
    Column("grant_id", String(36), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Index("quota_count_by_day", "day"),
)

kept_answer = Table(
    "kept_answer",
    metadata,
    Column("answer_id", String(36), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Index("kept_answer_by_expiry", "expire_time"),
)
