# SPDX-License-Identifier: Apache-2.0
"""Clocks of cases, for lists and figures."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime

revision = "0006_clocks"
down_revision = "0005_engine"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "clock",
        sa.Column("case_id", sa.String(36), primary_key=True),
        sa.Column("clock", sa.String(80), primary_key=True),
        sa.Column("step_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("started", UtcDateTime, nullable=False),
        sa.Column("ended", UtcDateTime),
        sa.Column("promised", UtcDateTime),
        sa.Column("due", UtcDateTime),
        sa.Column("calendar", sa.String(20), nullable=False),
        sa.Column("calendar_version", sa.Integer, nullable=False),
    )
    still_open = sa.text("ended IS NULL")
    op.create_index(
        "clock_by_calendar",
        "clock",
        ["calendar", "calendar_version"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
