# SPDX-License-Identifier: Apache-2.0
"""The ledger grows: keys of persons, witnesses, archives, hidden entries."""

from alembic import op

from services.kit.store import schema

revision = "0002_ledger"
down_revision = "0001_first"


def upgrade() -> None:
    """Create the tables."""
    schema.grow_ledger(op)
