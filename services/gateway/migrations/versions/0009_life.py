# SPDX-License-Identifier: Apache-2.0
"""The life of a case: its drafts by person and matter."""

import sqlalchemy as sa
from alembic import op

revision = "0009_life"
down_revision = "0008_tasks"


def upgrade() -> None:
    """Find a person's draft of a matter without a look at their other cases."""
    draft = sa.text("submitted IS NULL")
    op.create_index(
        "case_file_draft", "case_file", ["applicant_id", "matter"], sqlite_where=draft, postgresql_where=draft
    )
