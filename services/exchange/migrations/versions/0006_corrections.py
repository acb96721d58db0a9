# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: deadlines of every area, corrections and their receivers."""

from alembic import op

from services.kit.store import schema

revision = "0006_corrections"
down_revision = "0005_calls"


def upgrade() -> None:
    """Deadlines first: applications and demands keep theirs in the same table."""
    schema.add_deadlines(op)
