# SPDX-License-Identifier: Apache-2.0
"""What a resident has under way, and has submitted today, is found without reading everything they ever had."""

import sqlalchemy as sa
from alembic import op

revision = "0003_standing"
down_revision = "0002_drafts"


def upgrade() -> None:
    """Create the indexes; each holds only the cases that are asked for."""
    _create("case_file_open", ["applicant_id", "matter"], "submitted IS NOT NULL AND ended IS NULL")
    _create("case_file_by_submission", ["applicant_id", "submitted"], "submitted IS NOT NULL")


def _create(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "case_file", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
