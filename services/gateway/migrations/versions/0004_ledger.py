# SPDX-License-Identifier: Apache-2.0
"""The ledger grows: keys of persons, witnesses, archives, hidden entries."""

from alembic import op

from services.kit.store import schema

revision = "0004_ledger"
down_revision = "0003_standing"


def upgrade() -> None:
    """Create the tables."""
    schema.grow_ledger(op)
