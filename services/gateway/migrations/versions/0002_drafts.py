# SPDX-License-Identifier: Apache-2.0
"""Drafts are counted, and have a day on which they go."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from services.kit.clock import utc_now
from services.kit.store import UtcDateTime

revision = "0002_drafts"
down_revision = "0001_first"

_KEPT = timedelta(days=30)  # Drafts that are there already: from today, as nobody was told before.


def upgrade() -> None:
    """Create the count, and take up the drafts that are there."""
    count = op.create_table(
        "draft_count",
        sa.Column("applicant_id", sa.String(36), primary_key=True),
        sa.Column("drafts", sa.Integer, nullable=False),
    )
    case = sa.table("case_file", sa.column("case_id"), sa.column("applicant_id"), sa.column("status"))
    draft = case.c.status == "draft"
    counted = sa.select(case.c.applicant_id, sa.func.count()).where(draft).group_by(case.c.applicant_id)
    op.execute(sa.insert(count).from_select(["applicant_id", "drafts"], counted))
    names = ["case_id", "step_id", "kind", "attempt", "due"]
    due = sa.literal(utc_now() + _KEPT, UtcDateTime)
    timed = sa.select(case.c.case_id, sa.literal(""), sa.literal("draft"), sa.literal(0), due).where(draft)
    op.execute(sa.insert(sa.table("timer", *(sa.column(name) for name in names))).from_select(names, timed))
