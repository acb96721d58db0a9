# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: the opening list, its releases and their bytes."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

revision = "0008_open_data"
down_revision = "0007_providers"


def upgrade() -> None:
    """Create the tables of open data."""
    op.create_table(
        "open_dataset",
        sa.Column("dataset", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), sa.ForeignKey("resource.code"), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("definition", Json, nullable=False),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    _create_releases()
    op.create_table(
        "open_file",
        sa.Column("dataset", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("format", sa.String(10), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_index("open_file_by_digest", "open_file", ["sha256"])
    op.create_table(
        "open_piece",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def _create_releases() -> None:
    op.create_table(
        "open_release",
        sa.Column("dataset", sa.String(64), sa.ForeignKey("open_dataset.dataset"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("request_id", sa.String(36), nullable=False),
        sa.Column("license", sa.String(20), nullable=False),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("publish_time", UtcDateTime, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("k", sa.BigInteger, nullable=False),
        sa.Column("diversity", sa.Integer, nullable=False),
        sa.Column("suppressed", sa.BigInteger, nullable=False),
        sa.Column("rules", Json, nullable=False),
        sa.Column("files", Json, nullable=False),
        sa.Column("leaf_index", sa.BigInteger, nullable=False),
        sa.Column("leaf_hash", sa.String(64), nullable=False),
        sa.Column("withdraw_time", UtcDateTime, nullable=True),
        sa.Column("withdraw_reason", sa.Text, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )
    op.create_index("open_release_by_request", "open_release", ["request_id"], unique=True)
    op.create_index("open_release_by_update", "open_release", ["update_time"])
