# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: deadlines of every area, corrections and their recalls."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime, schema

revision = "0006_corrections"
down_revision = "0005_calls"


def upgrade() -> None:
    """Deadlines first: applications and demands keep theirs in the same table."""
    schema.add_deadlines(op)
    _create_corrections()
    _create_recalls()


def _create_corrections() -> None:
    op.create_table(
        "correction",
        sa.Column("correction_id", sa.String(36), primary_key=True),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("field", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("claimant", sa.String(80), nullable=False),
        sa.Column("claim", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("extended", sa.Boolean, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("swept", sa.Boolean, nullable=False),
        sa.Column("rejection", sa.String(20), nullable=False),
        sa.Column("explanation", sa.LargeBinary, nullable=False),
        sa.Column("open_time", UtcDateTime, nullable=False),
        sa.Column("answer_time", UtcDateTime, nullable=True),
        sa.Column("close_time", UtcDateTime, nullable=True),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index("correction_by_claimant", "correction", ["claimant", "open_time", "correction_id"])
    op.create_index("correction_by_provider", "correction", ["provider", "open_time", "correction_id"])
    op.create_index("correction_by_provider_state", "correction", ["provider", "state", "open_time", "correction_id"])
    op.create_index("correction_by_state", "correction", ["state", "open_time", "correction_id"])
    op.create_index(
        "correction_late",
        "correction",
        ["open_time", "correction_id"],
        sqlite_where=sa.text("late = 1"),
        postgresql_where=sa.text("late"),
    )
    op.create_index("correction_by_time", "correction", ["open_time", "correction_id"])
    op.create_index("correction_by_update", "correction", ["update_time"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "correction_open",
        "correction",
        ["claimant", "resource", "subject", "field"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _create_recalls() -> None:
    op.create_table(
        "correction_recall",
        sa.Column("correction_id", sa.String(36), primary_key=True),
        sa.Column("agency", sa.String(18), primary_key=True),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("last_use_time", UtcDateTime, nullable=False),
        sa.Column("tell_time", UtcDateTime, nullable=False),
        sa.Column("acknowledge_time", UtcDateTime, nullable=True),
        sa.Column("measure", sa.String(20), nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
    )
    op.create_index("correction_recall_by_agency", "correction_recall", ["agency", "tell_time", "correction_id"])
    to_do = sa.text("acknowledge_time IS NULL")
    op.create_index(
        "correction_recall_to_do",
        "correction_recall",
        ["late", "tell_time", "correction_id", "agency"],
        sqlite_where=to_do,
        postgresql_where=to_do,
    )
