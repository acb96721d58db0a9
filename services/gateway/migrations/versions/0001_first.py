# SPDX-License-Identifier: Apache-2.0
"""The first schema: definitions, cases with their history, tasks, timers, notices and keys, beside the kit's tables."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import UtcDateTime, schema

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    schema.create(op)
    _create_cases()
    _create_tasks()
    _create_timers()
    _create_keys()


def _create_cases() -> None:
    op.create_table(
        "definition",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("first_used", UtcDateTime, nullable=False),
    )
    op.create_table(
        "case_file",
        sa.Column("case_id", sa.String(36), primary_key=True),
        sa.Column("receipt", sa.String(50), nullable=False, unique=True),
        sa.Column("matter", sa.String(64), nullable=False),
        sa.Column("definition", sa.String(64), nullable=False),
        sa.Column("applicant_id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("traceparent", sa.String(60), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("submitted", UtcDateTime),
        sa.Column("ended", UtcDateTime),
    )
    op.create_index("case_file_by_applicant", "case_file", ["applicant_id", "created", "case_id"])
    op.create_index("case_file_by_status", "case_file", ["status", "created"])
    op.create_table(
        "case_event",
        sa.Column("case_id", sa.String(36), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("step_id", sa.String(64), nullable=False),
        sa.Column("occur_time", UtcDateTime, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def _create_tasks() -> None:
    op.create_table(
        "task",
        sa.Column("task_id", sa.String(36), primary_key=True),
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("step_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("operation", sa.String(64), nullable=False),
        sa.Column("matter", sa.String(64), nullable=False),
        sa.Column("title_zh", sa.Text, nullable=False),
        sa.Column("title_en", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("lease_token", sa.String(36), nullable=False),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("request_id", sa.String(36), nullable=False),
        sa.Column("answer_digest", sa.String(64), nullable=False),
        sa.Column("traceparent", sa.String(60), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("input", sa.LargeBinary, nullable=False),
    )
    op.create_index("task_to_take", "task", ["agency", "state", "created"])
    op.create_index("task_by_holder", "task", ["holder", "state"])
    op.create_index("task_by_step", "task", ["case_id", "step_id"])


def _create_timers() -> None:
    op.create_table(
        "timer",
        sa.Column("case_id", sa.String(36), primary_key=True),
        sa.Column("step_id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due", UtcDateTime, nullable=False),
    )
    op.create_index("timer_by_due", "timer", ["due"])
    op.create_table(
        "notice",
        sa.Column("case_id", sa.String(36), primary_key=True),
        sa.Column("step_id", sa.String(64), primary_key=True),
        sa.Column("applicant_id", sa.String(36), nullable=False),
        sa.Column("text_zh", sa.Text, nullable=False),
        sa.Column("text_en", sa.Text, nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
    )
    op.create_index("notice_by_applicant", "notice", ["applicant_id", "created"])


def _create_keys() -> None:
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.String(100), primary_key=True),
        sa.Column("key", sa.String(100), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
    )
    op.create_index("idempotency_by_time", "idempotency", ["created"])
    op.create_table(
        "receipt_serial",
        sa.Column("day", sa.String(8), primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )
