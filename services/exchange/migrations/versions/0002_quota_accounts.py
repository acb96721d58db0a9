# SPDX-License-Identifier: Apache-2.0
"""Calls are charged to a grant, or to the resident who asks for themselves."""

from alembic import op

revision = "0002_quota_accounts"
down_revision = "0001_first"


def upgrade() -> None:
    """Name the column for both."""
    op.alter_column("quota_count", "grant_id", new_column_name="account")
