# SPDX-License-Identifier: Apache-2.0
"""The first tables of identity."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import schema
from services.kit.store.types import Json, UtcDateTime

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    """Create them."""
    schema.create(op)
    op.create_table(
        "person",
        sa.Column("subject_id", sa.String(36), primary_key=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("phone", sa.LargeBinary, nullable=False),
        sa.Column("address", sa.LargeBinary, nullable=False),
        sa.Column("birth_date", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "person_number",
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("number_index", sa.LargeBinary, nullable=False),
        sa.Column(
            "subject_id",
            sa.String(36),
            sa.ForeignKey("person.subject_id", deferrable=True, initially="DEFERRED"),
            nullable=False,
        ),
        sa.Column("number", sa.LargeBinary, nullable=False),
        sa.Column("since_time", UtcDateTime, nullable=False),
        sa.Column("until_time", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("kind", "number_index"),
    )
    op.create_index(
        "person_number_present",
        "person_number",
        ["subject_id"],
        unique=True,
        sqlite_where=sa.text("until_time IS NULL"),
        postgresql_where=sa.text("until_time IS NULL"),
    )
    op.create_index("person_number_by_subject", "person_number", ["subject_id"])
    op.create_table(
        "organization",
        sa.Column("subject_id", sa.String(36), primary_key=True),
        sa.Column("uscc", sa.String(18), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
    )
    op.create_table(
        "agency",
        sa.Column("uscc", sa.String(18), primary_key=True),
        sa.Column("name_zh", sa.String(200), nullable=False),
        sa.Column("name_en", sa.String(200), nullable=False),
        sa.Column("rights", Json, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "persona",
        sa.Column("key", sa.String(100), primary_key=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("rights", Json, nullable=False),
        sa.Column("title_zh", sa.String(200), nullable=False),
        sa.Column("title_en", sa.String(200), nullable=False),
        sa.Column("samples", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "request",
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("operation", sa.String(100), nullable=False),
        sa.Column("request_id", sa.String(36), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("subject_ids", Json, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("caller", "operation", "request_id"),
    )
    op.create_index("request_by_time", "request", ["create_time"])
