# SPDX-License-Identifier: Apache-2.0
"""What holds for providers: how answers may be treated, what is promised, maintenance, days as counted; files they drop."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

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
    _create_drops()


def _create_drops() -> None:
    op.create_table(
        "file_drop",
        sa.Column("drop_id", sa.String(36), primary_key=True),
        sa.Column("resource", sa.String(64), sa.ForeignKey("resource.code"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("receive_time", UtcDateTime, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("rejected", sa.BigInteger, nullable=False),
        sa.Column("reasons", Json, nullable=False),
        sa.Column("refusal", sa.String(40), nullable=False),
        sa.Column("switch_time", UtcDateTime, nullable=True),
    )
    op.create_index("file_drop_by_resource", "file_drop", ["resource", "version"], unique=True)
    op.create_index("file_drop_by_state", "file_drop", ["resource", "state"])
    op.create_table(
        "drop_row",
        sa.Column("drop_id", sa.String(36), sa.ForeignKey("file_drop.drop_id"), primary_key=True),
        sa.Column("mark", sa.LargeBinary, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
    )
    op.create_table(
        "drop_reject",
        sa.Column("drop_id", sa.String(36), sa.ForeignKey("file_drop.drop_id"), primary_key=True),
        sa.Column("line", sa.BigInteger, primary_key=True),
        sa.Column("field", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
    )
