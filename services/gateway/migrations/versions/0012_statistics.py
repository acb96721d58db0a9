# SPDX-License-Identifier: Apache-2.0
"""Sums of what cases that have ended were like."""

import sqlalchemy as sa
from alembic import op

revision = "0012_statistics"
down_revision = "0011_webhooks"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "statistic",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("matter", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_index("statistic_by_matter", "statistic", ["matter", "day"])
