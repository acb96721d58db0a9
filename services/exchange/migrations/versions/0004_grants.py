# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: applications and what grants execute."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

revision = "0004_grants"
down_revision = "0003_catalogue"


def upgrade() -> None:
    """Grants that were given before are plain, and answer no application."""
    op.add_column("sharing_grant", sa.Column("terms", Json, nullable=False, server_default="{}"))
    op.add_column("sharing_grant", sa.Column("application_id", sa.String(36), nullable=False, server_default=""))
    op.create_table(
        "application",
        sa.Column("application_id", sa.String(36), primary_key=True),
        sa.Column("resource", sa.String(64), sa.ForeignKey("resource.code"), nullable=False),
        sa.Column("requester", sa.String(18), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("accept_time", UtcDateTime, nullable=True),
        sa.Column("decide_time", UtcDateTime, nullable=True),
    )
    op.create_index("application_by_requester", "application", ["requester", "create_time", "application_id"])
    op.create_index("application_by_provider", "application", ["provider", "create_time", "application_id"])
    op.create_index("application_by_time", "application", ["create_time", "application_id"])
    op.create_index("application_by_acceptance", "application", ["accept_time"])
