# SPDX-License-Identifier: Apache-2.0
"""The gateway's tables. What people answered stands only in sealed columns."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

from services.kit.store import Json, UtcDateTime, kit_tables

_GOING_ON = text("ended IS NULL")
_SUBMITTED = text("submitted IS NOT NULL")
_DRAFT = text("submitted IS NULL")
_OPEN = text("submitted IS NOT NULL AND ended IS NULL")
_QUEUED = text("queue <> ''")

metadata = MetaData()
kit_tables(metadata)

definitions = Table(
    "definition",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("code", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("first_used", UtcDateTime, nullable=False),
)

cases = Table(
    "case_file",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("receipt", String(50), nullable=False, unique=True),
    Column("matter", String(64), nullable=False),
    Column("definition", String(64), nullable=False),
    Column("applicant_id", String(36), nullable=False),
    Column("status", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("traceparent", String(60), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("submitted", UtcDateTime),
    Column("ended", UtcDateTime),
    Index("case_file_by_applicant", "applicant_id", "created", "case_id"),
    Index("case_file_by_status", "status", "submitted", "case_id"),
    Index("case_file_going_on", "matter", "created", "case_id", sqlite_where=_GOING_ON, postgresql_where=_GOING_ON),
    Index("case_file_open", "applicant_id", "matter", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("case_file_draft", "applicant_id", "matter", sqlite_where=_DRAFT, postgresql_where=_DRAFT),
    Index("case_file_by_submission", "applicant_id", "submitted", sqlite_where=_SUBMITTED, postgresql_where=_SUBMITTED),
    Index("case_file_submitted", "submitted", "case_id", sqlite_where=_SUBMITTED, postgresql_where=_SUBMITTED),
)

events = Table(
    "case_event",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(40), nullable=False),
    Column("step_id", String(64), nullable=False),
    Column("occur_time", UtcDateTime, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

snapshots = Table(
    "case_snapshot",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("shape", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
)

tasks = Table(
    "task",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("case_id", String(36), nullable=False),
    Column("step_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("agency", String(18), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("matter", String(64), nullable=False),
    Column("title_zh", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("holder", String(36), nullable=False),
    Column("lease_token", String(36), nullable=False),
    Column("lease_until", UtcDateTime),
    Column("request_id", String(36), nullable=False),
    Column("answer_digest", String(64), nullable=False),
    Column("traceparent", String(60), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("input", LargeBinary, nullable=False),
    Column("queue", String(64), nullable=False, server_default=""),
    Column("region", String(12), nullable=False, server_default=""),
    Column("clerk", String(100), nullable=False, server_default=""),
    Column("since", UtcDateTime),
    Column("proposer", String(100), nullable=False, server_default=""),
    Column("proposal", LargeBinary),  # sealed
    Column("expert", String(100), nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("due", UtcDateTime),  # of a task in a queue always there, so that pages can go by it
    Column("finished", UtcDateTime),
    Index("task_to_take", "agency", "state", "created"),
    Index("task_in_queue", "agency", "state", "due", "task_id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index(
        "task_of_clerk", "agency", "clerk", "state", "due", "task_id", sqlite_where=_QUEUED, postgresql_where=_QUEUED
    ),
    Index("task_finished", "agency", "queue", "finished", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index("task_by_holder", "holder", "state"),
    Index("task_by_step", "case_id", "step_id"),
    Index("task_of_agency", "agency", "created", "task_id"),
)

task_logs = Table(
    "task_log",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("clerk_id", String(100), nullable=False),
    Column("other", String(100), nullable=False),
    Column("occur_time", UtcDateTime, nullable=False),
    Column("words", LargeBinary, nullable=False),  # sealed
)

clerks = Table(
    "clerk",
    metadata,
    Column("agency", String(18), primary_key=True),
    Column("clerk_id", String(100), primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("region", String(12), nullable=False),
    Column("skills", Json, nullable=False),
    Column("active", Boolean, nullable=False),
)

absences = Table(
    "absence",
    metadata,
    Column("agency", String(18), primary_key=True),
    Column("clerk_id", String(100), primary_key=True),
    Column("first_day", String(10), nullable=False),
    Column("last_day", String(10), nullable=False),
    Column("substitute", String(100), nullable=False),
)

timers = Table(
    "timer",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("step_id", String(64), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("due", UtcDateTime, nullable=False),
    Index("timer_by_due", "due"),
)

notices = Table(
    "notice",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("step_id", String(64), primary_key=True),
    Column("applicant_id", String(36), nullable=False),
    Column("text_zh", Text, nullable=False),
    Column("text_en", Text, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("notice_id", String(36), nullable=False, server_default=""),
    Column("read", UtcDateTime),
    Index("notice_by_id", "notice_id", unique=True),
    Index("notice_by_applicant", "applicant_id", "created", "notice_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", String(100), primary_key=True),
    Column("key", String(100), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("case_id", String(36), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Index("idempotency_by_time", "created"),
)

draft_counts = Table(
    "draft_count",
    metadata,
    Column("applicant_id", String(36), primary_key=True),
    Column("drafts", Integer, nullable=False),
)

serials = Table(
    "receipt_serial",
    metadata,
    Column("day", String(8), primary_key=True),
    Column("last", Integer, nullable=False),
)
