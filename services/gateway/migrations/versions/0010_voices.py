# SPDX-License-Identifier: Apache-2.0
"""Notices that are read and sent, the contacts that they go to, and what a sandbox sends to nobody."""

import sqlalchemy as sa
from alembic import op

from services.kit.ids import derived_id
from services.kit.store import UtcDateTime

revision = "0010_voices"
down_revision = "0009_life"

_NOTICE = sa.table("notice", sa.column("case_id"), sa.column("step_id"), sa.column("notice_id"))


def upgrade() -> None:
    """Give old notices their ids; they were shown to nobody and are sent to nobody."""
    with op.batch_alter_table("notice") as notice:
        notice.add_column(sa.Column("notice_id", sa.String(36), nullable=False, server_default=""))
        notice.add_column(sa.Column("read", UtcDateTime, nullable=True))
    connection = op.get_bind()
    for case_id, step_id in connection.execute(sa.select(_NOTICE.c.case_id, _NOTICE.c.step_id)).all():
        mine = sa.and_(_NOTICE.c.case_id == case_id, _NOTICE.c.step_id == step_id)
        connection.execute(_NOTICE.update().where(mine).values(notice_id=derived_id("notice", case_id, step_id)))
    op.create_index("notice_by_id", "notice", ["notice_id"], unique=True)
    op.drop_index("notice_by_applicant", "notice")
    op.create_index("notice_by_applicant", "notice", ["applicant_id", "created", "notice_id"])
    op.create_table(
        "contact",
        sa.Column("subject_id", sa.String(36), primary_key=True),
        sa.Column("channel", sa.String(10), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("verified", UtcDateTime, nullable=True),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("code_until", UtcDateTime, nullable=True),
        sa.Column("code_tries", sa.Integer, nullable=False),
    )
    op.create_table(
        "contact_code_count",
        sa.Column("whose", sa.String(64), primary_key=True),
        sa.Column("day", sa.String(8), primary_key=True),
        sa.Column("sent", sa.Integer, nullable=False),
    )
    op.create_table(
        "notice_post",
        sa.Column("post_id", sa.String(36), primary_key=True),
        sa.Column("notice_id", sa.String(36), nullable=False),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("due", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("problem", sa.String(64), nullable=False),
        sa.Column("settled", UtcDateTime, nullable=True),
    )
    op.create_index("notice_post_by_due", "notice_post", ["state", "due"])
    op.create_index("notice_post_by_time", "notice_post", ["created", "post_id"])
    op.create_index("notice_post_by_notice", "notice_post", ["notice_id"])
    op.create_table(
        "sandbox_message",
        sa.Column("message_id", sa.String(36), primary_key=True),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
    )
    op.create_index("sandbox_message_by_time", "sandbox_message", ["created", "message_id"])
