# SPDX-License-Identifier: Apache-2.0
"""Cases are found again by submission, and by when a department's tasks came."""

import sqlalchemy as sa
from alembic import op

revision = "0014_search"
down_revision = "0013_materials"


def upgrade() -> None:
    """Index what lists of found cases go by."""
    submitted = sa.text("submitted IS NOT NULL")
    op.create_index(
        "case_file_submitted",
        "case_file",
        ["submitted", "case_id"],
        sqlite_where=submitted,
        postgresql_where=submitted,
    )
    op.drop_index("case_file_by_status", "case_file")
    op.create_index("case_file_by_status", "case_file", ["status", "submitted", "case_id"])
    op.create_index("task_of_agency", "task", ["agency", "created", "task_id"])
