# SPDX-License-Identifier: Apache-2.0
"""Organizations that were struck off."""

import sqlalchemy as sa
from alembic import op

from services.kit.store.types import UtcDateTime

revision = "0003_deregistered"
down_revision = "0002_ledger"


def upgrade() -> None:
    """Add when."""
    op.add_column("organization", sa.Column("deregister_time", UtcDateTime, nullable=True))
