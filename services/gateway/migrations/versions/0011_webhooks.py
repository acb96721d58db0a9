# SPDX-License-Identifier: Apache-2.0
"""Webhooks, and what they are told."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

revision = "0011_webhooks"
down_revision = "0010_voices"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "webhook",
        sa.Column("webhook_id", sa.String(36), primary_key=True),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("news", Json, nullable=False),
        sa.Column("matters", Json, nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("old_until", UtcDateTime, nullable=True),
        sa.Column("paused", UtcDateTime, nullable=True),
        sa.Column("pause_reason", sa.String(64), nullable=False),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("delivery_id", sa.String(36), primary_key=True),
        sa.Column("webhook_id", sa.String(36), nullable=False),
        sa.Column("news", sa.String(30), nullable=False),
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("due", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("settled", UtcDateTime, nullable=True),
    )
    op.create_index("webhook_delivery_by_due", "webhook_delivery", ["state", "due"])
    op.create_index("webhook_delivery_by_hook", "webhook_delivery", ["webhook_id", "created", "delivery_id"])
