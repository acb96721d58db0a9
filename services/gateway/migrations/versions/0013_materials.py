# SPDX-License-Identifier: Apache-2.0
"""Files that applicants hand in."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime

revision = "0013_materials"
down_revision = "0012_statistics"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "material_content",
        sa.Column("material_id", sa.String(36), primary_key=True),
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("applicant_id", sa.String(36), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
    )
    op.create_index("material_content_by_case", "material_content", ["case_id"])
    op.create_index("material_content_by_applicant", "material_content", ["applicant_id"])
