# SPDX-License-Identifier: Apache-2.0
"""The inbox of clerks: where a task goes and in whose hands it is, what was said beside it, who is on the roster and who is away."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

revision = "0008_tasks"
down_revision = "0007_definitions"


def upgrade() -> None:
    """Create what clerks need; a task of before has no queue."""
    op.add_column("task", sa.Column("queue", sa.String(64), nullable=False, server_default=""))
    op.add_column("task", sa.Column("region", sa.String(12), nullable=False, server_default=""))
    op.add_column("task", sa.Column("clerk", sa.String(100), nullable=False, server_default=""))
    op.add_column("task", sa.Column("since", UtcDateTime))
    op.add_column("task", sa.Column("proposer", sa.String(100), nullable=False, server_default=""))
    op.add_column("task", sa.Column("proposal", sa.LargeBinary))
    op.add_column("task", sa.Column("expert", sa.String(100), nullable=False, server_default=""))
    op.add_column("task", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("task", sa.Column("due", UtcDateTime))
    op.add_column("task", sa.Column("finished", UtcDateTime))
    _index("task_in_queue", ["agency", "state", "due", "task_id"])
    _index("task_of_clerk", ["agency", "clerk", "state", "due", "task_id"])
    _index("task_finished", ["agency", "queue", "finished"])
    op.create_table(
        "task_log",
        sa.Column("task_id", sa.String(36), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("clerk_id", sa.String(100), nullable=False),
        sa.Column("other", sa.String(100), nullable=False),
        sa.Column("occur_time", UtcDateTime, nullable=False),
        sa.Column("words", sa.LargeBinary, nullable=False),
    )
    _create_roster()


def _index(name: str, columns: list[str]) -> None:
    """Of tasks in queues alone: those that an agency's own system takes are found otherwise."""
    queued = sa.text("queue <> ''")
    op.create_index(name, "task", columns, sqlite_where=queued, postgresql_where=queued)


def _create_roster() -> None:
    op.create_table(
        "clerk",
        sa.Column("agency", sa.String(18), primary_key=True),
        sa.Column("clerk_id", sa.String(100), primary_key=True),
        sa.Column("name_zh", sa.Text, nullable=False),
        sa.Column("name_en", sa.Text, nullable=False),
        sa.Column("region", sa.String(12), nullable=False),
        sa.Column("skills", Json, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "absence",
        sa.Column("agency", sa.String(18), primary_key=True),
        sa.Column("clerk_id", sa.String(100), primary_key=True),
        sa.Column("first_day", sa.String(10), nullable=False),
        sa.Column("last_day", sa.String(10), nullable=False),
        sa.Column("substitute", sa.String(100), nullable=False),
    )
