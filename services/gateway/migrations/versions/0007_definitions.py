# SPDX-License-Identifier: Apache-2.0
"""Versions of matters that operators propose and confirm, and the way to the open cases of a matter."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime

revision = "0007_definitions"
down_revision = "0006_clocks"


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "activation",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("matter", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.String(100), nullable=False),
        sa.Column("proposed", UtcDateTime, nullable=False),
        sa.Column("confirmed_by", sa.String(100), nullable=False),
        sa.Column("confirmed", UtcDateTime),
    )
    op.create_index("activation_by_matter", "activation", ["matter", "proposed", "digest"])
    going_on = sa.text("ended IS NULL")
    op.create_index(
        "case_file_going_on",
        "case_file",
        ["matter", "created", "case_id"],
        sqlite_where=going_on,
        postgresql_where=going_on,
    )
