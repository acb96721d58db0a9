# SPDX-License-Identifier: Apache-2.0
"""The kit's tables and the probe's own."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import schema
from services.kit.store.types import BigId

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    schema.create(op)
    schema.add_deadlines(op)
    schema.grow_ledger(op)
    op.create_table(
        "effect",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
    )
