# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: batches, subscriptions, requests and consents."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

revision = "0005_calls"
down_revision = "0004_grants"


def upgrade() -> None:
    """Make the tables of the four areas."""
    _batches()
    _consents()
    _subscriptions()
    _requests()


def _batches() -> None:
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.String(36), primary_key=True),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(100), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("stream_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("answered", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("reported_rows", sa.BigInteger, nullable=True),
        sa.Column("reported_answered", sa.BigInteger, nullable=True),
        sa.Column("reported_digest", sa.LargeBinary, nullable=True),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("move_time", UtcDateTime, nullable=False),
    )
    op.create_index("batch_by_agency", "batch", ["agency", "state", "create_time"])
    op.create_index("batch_by_state", "batch", ["state", "create_time", "batch_id"])
    op.create_index("batch_by_time", "batch", ["create_time", "batch_id"])
    op.create_table(
        "batch_part",
        sa.Column("batch_id", sa.String(36), sa.ForeignKey("batch.batch_id"), primary_key=True),
        sa.Column("end", sa.BigInteger, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("leaf_index", sa.BigInteger, nullable=False),
        sa.Column("leaf_hashes", sa.LargeBinary, nullable=False),
        sa.Column("move_time", UtcDateTime, nullable=False),
    )
    op.create_index("batch_part_by_time", "batch_part", ["move_time"])


def _consents() -> None:
    op.create_table(
        "consent",
        sa.Column("consent_id", sa.String(36), primary_key=True),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("grantee", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(100), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("give_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
        sa.Column("withdraw_time", UtcDateTime, nullable=True),
    )
    op.create_index("consent_by_subject", "consent", ["subject_id", "give_time", "consent_id"])
    op.create_index("consent_by_pair", "consent", ["subject_id", "grantee", "give_time"])
    op.create_table(
        "preview",
        sa.Column("preview_id", sa.String(36), primary_key=True),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(100), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("token", sa.String(36), nullable=False),
        sa.Column("token_time", UtcDateTime, nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
    )
    op.create_index("preview_by_subject", "preview", ["subject_id", "create_time", "preview_id"])
    op.create_index("preview_by_expiry", "preview", ["expire_time"])


def _subscriptions() -> None:
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.String(36), primary_key=True),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(100), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("with_values", sa.Boolean, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("watched", sa.BigInteger, nullable=False),
        sa.Column("stream_id", sa.String(36), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime, nullable=True),
    )
    op.create_index("subscription_by_agency", "subscription", ["agency", "create_time", "subscription_id"])
    op.create_index("subscription_by_time", "subscription", ["create_time", "subscription_id"])
    op.create_table(
        "watched_subject",
        sa.Column("subscription_id", sa.String(36), sa.ForeignKey("subscription.subscription_id"), primary_key=True),
        sa.Column("subject_id", sa.String(80), primary_key=True),
    )
    op.create_table(
        "change_log",
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "record_change",
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("subject_id", sa.String(80), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("publish_time", UtcDateTime, nullable=False),
    )
    op.create_index("record_change_by_time", "record_change", ["publish_time"])


def _requests() -> None:
    op.create_table(
        "data_request",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(100), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("basis", sa.String(200), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("lease_id", sa.String(36), nullable=False),
        sa.Column("lease_time", UtcDateTime, nullable=True),
        sa.Column("due_time", UtcDateTime, nullable=True),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
    )
    op.create_index("data_request_by_agency", "data_request", ["agency", "create_time", "id"])
    op.create_index("data_request_by_provider", "data_request", ["provider", "state", "create_time"])
    op.create_index("data_request_by_expiry", "data_request", ["expire_time"])
