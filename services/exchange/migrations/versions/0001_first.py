# SPDX-License-Identifier: Apache-2.0
"""The exchange's first schema: catalogue, grants, counts of calls, kept answers."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime, schema

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    schema.create(op)
    _create_catalogue()
    _create_grants()
    op.create_table(
        "quota_count",
        sa.Column("grant_id", sa.String(36), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
    )
    op.create_index("quota_count_by_day", "quota_count", ["day"])
    op.create_table(
        "kept_answer",
        sa.Column("answer_id", sa.String(36), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
    )
    op.create_index("kept_answer_by_expiry", "kept_answer", ["expire_time"])


def _create_catalogue() -> None:
    op.create_table(
        "resource",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("name_zh", sa.String(200), nullable=False),
        sa.Column("name_en", sa.String(200), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("sharing_class", sa.String(20), nullable=False),
        sa.Column("sharing_reason", sa.String(500), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("adapter", sa.String(20), nullable=False),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("timeout_ms", sa.Integer, nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index("resource_by_update", "resource", ["update_time"])


def _create_grants() -> None:
    op.create_table(
        "sharing_grant",
        sa.Column("grant_id", sa.String(36), primary_key=True),
        sa.Column("request_id", sa.String(36), nullable=False),
        sa.Column("resource", sa.String(64), sa.ForeignKey("resource.code"), nullable=False),
        sa.Column("grantee", sa.String(18), nullable=False),
        sa.Column("purposes", Json, nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("verify_fields", Json, nullable=False),
        sa.Column("basis", sa.String(200), nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
        sa.Column("daily_quota", sa.BigInteger, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("revoke_time", UtcDateTime, nullable=True),
        sa.Column("grounds", sa.String(500), nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index("sharing_grant_by_pair", "sharing_grant", ["grantee", "resource", "create_time"])
    op.create_index("sharing_grant_by_resource", "sharing_grant", ["resource", "create_time"])
    op.create_index("sharing_grant_by_time", "sharing_grant", ["create_time", "grant_id"])
    op.create_index("sharing_grant_by_update", "sharing_grant", ["update_time"])
