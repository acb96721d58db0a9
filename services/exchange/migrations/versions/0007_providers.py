# SPDX-License-Identifier: Apache-2.0
"""What holds for providers: how answers may be treated, what is promised, maintenance, days as counted."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime

revision = "0007_providers"
down_revision = "0006_corrections"


def upgrade() -> None:
    """Add the tables of providers."""
    op.create_index("resource_by_provider", "resource", ["provider", "code"])
    op.create_table(
        "answer_policy",
        sa.Column("resource", sa.String(64), sa.ForeignKey("resource.code"), primary_key=True),
        sa.Column("idempotent", sa.Boolean, nullable=False),
        sa.Column("cache_seconds", sa.Integer, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index("answer_policy_by_update", "answer_policy", ["update_time"])
    op.create_table(
        "service_level",
        sa.Column("provider", sa.String(18), primary_key=True),
        sa.Column("availability_percent", sa.Float, nullable=False),
        sa.Column("latency_ms", sa.Integer, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_table(
        "maintenance",
        sa.Column("maintenance_id", sa.String(36), primary_key=True),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("begin_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime, nullable=False),
        sa.Column("grounds", sa.String(500), nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index("maintenance_by_provider", "maintenance", ["provider", "end_time"])
    op.create_index("maintenance_by_update", "maintenance", ["update_time"])
    op.create_table(
        "provider_count",
        sa.Column("provider", sa.String(18), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
    )
    op.create_index("provider_count_by_day", "provider_count", ["day"])
    op.create_table(
        "provider_probe",
        sa.Column("provider", sa.String(18), primary_key=True),
        sa.Column("probe_time", UtcDateTime, nullable=False),
        sa.Column("healthy", sa.Boolean, nullable=False),
    )
