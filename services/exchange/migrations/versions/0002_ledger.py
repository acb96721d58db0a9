# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: keys of persons, witnesses, archives and hidden entries of the ledger."""

from alembic import op

from services.kit.store import schema

revision = "0002_ledger"
down_revision = "0001_first"


def upgrade() -> None:
    """Create the tables."""
    schema.grow_ledger(op)
