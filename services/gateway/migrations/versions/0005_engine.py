# SPDX-License-Identifier: Apache-2.0
"""Long histories have a snapshot of what they come to, so that nobody reads them from the beginning."""

import sqlalchemy as sa
from alembic import op

revision = "0005_engine"
down_revision = "0004_ledger"


def upgrade() -> None:
    """Create the table; a case without a row is read from its first event, as before."""
    op.create_table(
        "case_snapshot",
        sa.Column("case_id", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("shape", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
