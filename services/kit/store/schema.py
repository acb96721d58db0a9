# SPDX-License-Identifier: Apache-2.0
"""The kit's tables for migrations, as they were when each revision was written: never changed, only added to.

A service's first migration says `from services.kit.store import schema` and calls `schema.create(op)`; a later one calls what was added since.
"""

from typing import Any

import sqlalchemy as sa

from services.kit.store.types import BigId, Json, UtcDateTime


def create(op: Any) -> None:
    """Revision 1 of the kit's tables: outbox, guard, parked messages, ledger. `op` is Alembic's."""
    _create_events(op)
    _create_ledger(op)


def _create_events(op: Any) -> None:
    op.create_table(
        "outbox",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("type", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("occur_time", UtcDateTime, nullable=False),
        sa.Column("traceparent", sa.String(60), nullable=False),
        sa.Column("correlation", sa.String(200), nullable=False),
        sa.Column("causation", sa.String(200), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "seen",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("seen_time", UtcDateTime, nullable=False),
    )
    op.create_index("seen_by_time", "seen", ["seen_time"])
    op.create_table(
        "parked",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(200), nullable=False, unique=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("type", sa.String(200), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("reason", sa.String(100), nullable=False),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.Column("blocking", sa.Boolean, nullable=False),
        sa.Column("replay", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("park_time", UtcDateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("parked_by_place", "parked", ["topic", "partition", "key", "id"])
    op.create_index(
        "parked_to_replay", "parked", ["replay"], sqlite_where=sa.text("replay"), postgresql_where=sa.text("replay")
    )


def _create_ledger(op: Any) -> None:
    op.create_table(
        "ledger_leaf",
        sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
    )
    op.create_index("ledger_leaf_by_subject", "ledger_leaf", ["subject", "index"])
    op.create_index("ledger_leaf_by_case", "ledger_leaf", ["case_id", "index"])
    op.create_table(
        "ledger_node",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    frontier = op.create_table(
        "ledger_frontier",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("peaks", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(frontier, [{"id": 1, "size": 0, "peaks": b""}])
    op.create_table(
        "ledger_head",
        sa.Column("tree_size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("root_hash", sa.LargeBinary, nullable=False),
        sa.Column("sign_time", UtcDateTime, nullable=False),
        sa.Column("jws", sa.Text, nullable=False),
    )


def add_deadlines(op: Any) -> None:
    """The table of `services.kit.calendar`, for a service that keeps deadlines."""
    rings = sa.text("next_time IS NOT NULL")
    op.create_table(
        "deadline",
        sa.Column("kind", sa.String(40), primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due", UtcDateTime, nullable=True),
        sa.Column("next_time", UtcDateTime, nullable=True),
        sa.Column("calendar", sa.String(20), nullable=False),
        sa.Column("calendar_version", sa.Integer, nullable=False),
        sa.Column("terms", Json, nullable=False),
        sa.Column("events", Json, nullable=False),
    )
    op.create_index("deadline_by_next", "deadline", ["next_time"], sqlite_where=rings, postgresql_where=rings)
    op.create_index(
        "deadline_by_calendar", "deadline", ["calendar", "calendar_version"], sqlite_where=rings, postgresql_where=rings
    )


def grow_ledger(op: Any) -> None:
    """Revision 2: keys of persons, cosignatures, evidence, orders, what searches go by, archive segments."""
    _create_persons(op)
    _create_witnessed(op)
    op.create_table(
        "ledger_block",
        sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_time", sa.String(27), nullable=False),
        sa.Column("last_time", sa.String(27), nullable=False),
        sa.Column("marks", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_segment",
        sa.Column("from_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("to_index", sa.BigInteger, nullable=False),
        sa.Column("root_hash", sa.LargeBinary, nullable=False),
        sa.Column("archive_time", UtcDateTime, nullable=False),
    )


def _create_persons(op: Any) -> None:
    op.create_table(
        "ledger_key",
        sa.Column("prefix", sa.String(16), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_order",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("order_id", sa.String(36), nullable=False, unique=True),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("agency", sa.String(18), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("ground", sa.String(500), nullable=False),
        sa.Column("end_time", UtcDateTime, nullable=False),
        sa.Column("end_told", sa.Boolean, nullable=False),
        sa.Column("ordered_by", sa.String(200), nullable=False),
        sa.Column("order_time", UtcDateTime, nullable=False),
        sa.Column("countersigned_by", sa.String(200), nullable=False),
        sa.Column("countersign_time", UtcDateTime, nullable=True),
        sa.Column("lift_time", UtcDateTime, nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ledger_order_by_subject", "ledger_order", ["subject"])


def _create_witnessed(op: Any) -> None:
    op.create_table(
        "ledger_cosignature",
        sa.Column("tree_size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("witness", sa.String(200), primary_key=True),
        sa.Column("jws", sa.Text, nullable=False),
    )
    op.create_table(
        "ledger_fork",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("evidence_id", sa.String(64), nullable=False, unique=True),
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("witness", sa.String(200), nullable=False),
        sa.Column("jws", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
