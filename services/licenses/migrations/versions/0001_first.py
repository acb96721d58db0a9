# SPDX-License-Identifier: Apache-2.0
"""The first schema: versions, readers, notes and requests, beside the kit's tables."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import BigId, UtcDateTime, schema

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    schema.create(op)
    _create_licenses()
    _create_files()


def _create_licenses() -> None:
    op.create_table(
        "license",
        sa.Column("license_id", sa.String(36), primary_key=True),
        sa.Column("type_code", sa.String(21), nullable=False),
        sa.Column("issuer", sa.String(18), nullable=False),
        sa.Column("serial", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("holder_id", sa.String(36), nullable=False),
        sa.Column("reader_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("issue_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=True),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("step_id", sa.String(100), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("words", sa.LargeBinary, nullable=False),
        sa.Column("attributes_sealed", sa.LargeBinary, nullable=False),
        sa.Column("credential_sealed", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("type_code", "issuer", "serial", "version", name="license_by_identifier"),
    )
    op.create_index("license_by_step", "license", ["case_id", "step_id"])
    op.create_table(
        "license_reader",
        sa.Column("subject_id", sa.String(36), primary_key=True),
        sa.Column("license_id", sa.String(36), primary_key=True),
        sa.Column("issue_time", UtcDateTime, nullable=False),
    )
    op.create_index("license_reader_newest", "license_reader", ["subject_id", "issue_time", "license_id"])


def _create_files() -> None:
    op.create_table(
        "license_note",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("license_id", sa.String(36), nullable=False),
        sa.Column("change", sa.String(12), nullable=False),
        sa.Column("change_time", UtcDateTime, nullable=False),
        sa.Column("caller", sa.String(100), nullable=False),
        sa.Column("grounds_sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("license_note_by_license", "license_note", ["license_id", "id"])
    op.create_table(
        "license_request",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("license_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("receipt_index", sa.BigInteger, nullable=False),
        sa.Column("receipt_hash", sa.LargeBinary, nullable=False),
    )
