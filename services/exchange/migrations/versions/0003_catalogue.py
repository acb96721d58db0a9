# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: versions, notices, search and demands of the catalogue."""

import sqlalchemy as sa
from alembic import op

from services.kit.store import Json, UtcDateTime

revision = "0003_catalogue"
down_revision = "0002_ledger"


def upgrade() -> None:
    """What resources were stored before is taken over as it is; `index_version` 0 has their words written at start."""
    _grow_resource()
    _create_versions()
    _create_search()
    _create_changes()
    _create_demands()


def _grow_resource() -> None:
    op.add_column("resource", sa.Column("metadata", Json, nullable=False, server_default="{}"))
    op.add_column("resource", sa.Column("retired", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("resource", sa.Column("changed_by", sa.String(120), nullable=False, server_default=""))
    op.add_column("resource", sa.Column("change_id", sa.String(36), nullable=False, server_default=""))
    op.add_column("resource", sa.Column("index_version", sa.SmallInteger, nullable=False, server_default="0"))
    op.create_index("resource_by_index_version", "resource", ["index_version"])


def _create_versions() -> None:
    op.create_table(
        "resource_version",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name_zh", sa.String(200), nullable=False),
        sa.Column("name_en", sa.String(200), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("sharing_class", sa.String(20), nullable=False),
        sa.Column("sharing_reason", sa.String(500), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("adapter", sa.String(20), nullable=False),
        sa.Column("timeout_ms", sa.Integer, nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("retired", sa.Boolean, nullable=False),
        sa.Column("changed_by", sa.String(120), nullable=False),
        sa.Column("change_id", sa.String(36), nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime, nullable=False),
    )
    op.create_table(
        "quality_measure",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("measure_date", sa.Date, primary_key=True),
        sa.Column("completeness", sa.Float, nullable=False),
        sa.Column("timeliness", sa.Float, nullable=False),
        sa.Column("accuracy", sa.Float, nullable=False),
        sa.Column("sample", sa.BigInteger, nullable=False),
        sa.Column("measured_by", sa.String(120), nullable=False),
    )


def _create_search() -> None:
    op.create_table(
        "resource_term",
        sa.Column("term", sa.String(120), primary_key=True),
        sa.Column("place", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("code", sa.String(64), primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_changes() -> None:
    op.create_table(
        "resource_change",
        sa.Column("change_id", sa.String(36), primary_key=True),
        sa.Column("open_code", sa.String(64), nullable=True, unique=True),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("base_revision", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("proposer", sa.String(120), nullable=False),
        sa.Column("submit_time", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("review_note", sa.String(500), nullable=False),
        sa.Column("urgent_basis", sa.String(500), nullable=False),
        sa.Column("effect_time", UtcDateTime, nullable=True),
    )
    op.create_index("resource_change_by_time", "resource_change", ["submit_time", "change_id"])
    op.create_index("resource_change_by_provider", "resource_change", ["provider", "submit_time", "change_id"])
    op.create_index("resource_change_by_state", "resource_change", ["state", "submit_time", "change_id"])
    op.create_table(
        "change_notice",
        sa.Column("agency", sa.String(18), primary_key=True),
        sa.Column("change_id", sa.String(36), primary_key=True),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("to_revision", sa.BigInteger, nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("verify_fields", Json, nullable=False),
        sa.Column("questions", Json, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("urgent_basis", sa.String(500), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("effect_time", UtcDateTime, nullable=False),
        sa.Column("acknowledge_time", UtcDateTime, nullable=True),
    )
    op.create_index("change_notice_by_time", "change_notice", ["agency", "create_time", "change_id"])
    op.create_index("change_notice_by_change", "change_notice", ["change_id"])


def _create_demands() -> None:
    op.create_table(
        "demand",
        sa.Column("demand_id", sa.String(36), primary_key=True),
        sa.Column("requester", sa.String(18), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("needs", sa.String(2000), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("scene", sa.String(500), nullable=False),
        sa.Column("basis", sa.String(200), nullable=False),
        sa.Column("file_time", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("provider", sa.String(18), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
    )
    op.create_index("demand_by_time", "demand", ["file_time", "demand_id"])
    op.create_index("demand_by_requester", "demand", ["requester", "file_time", "demand_id"])
    op.create_index("demand_by_provider", "demand", ["provider", "file_time", "demand_id"])
    op.create_index("demand_by_state", "demand", ["state", "file_time", "demand_id"])
