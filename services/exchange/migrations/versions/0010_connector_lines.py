# SPDX-License-Identifier: Apache-2.0
"""Which process holds lines of which connectors, so that the others find it."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime

revision = "0010_connector_lines"
down_revision = "0009_batches_by_agency"


def upgrade() -> None:
    """Add the table of lines."""
    op.create_table(
        "connector_line",
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("provider", sa.String(18), primary_key=True),
        sa.Column("address", sa.String(300), primary_key=True),
        sa.Column("seen_time", UtcDateTime, nullable=False),
    )
    op.create_index("connector_line_by_address", "connector_line", ["address"])
    op.create_index("connector_line_by_time", "connector_line", ["seen_time"])
