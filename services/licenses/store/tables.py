# SPDX-License-Identifier: Apache-2.0
"""The tables of licenses. What tells about a person is sealed; ids, states and times are not."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

from services.kit.store import BigId, UtcDateTime

metadata = MetaData()

license_table = Table(
    "license",
    metadata,
    Column("license_id", String(36), primary_key=True),
    Column("type_code", String(21), nullable=False),
    Column("issuer", String(18), nullable=False),
    Column("serial", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("holder_id", String(36), nullable=False),
    Column("reader_id", String(36), nullable=False),
    Column("state", String(12), nullable=False),
    Column("issue_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=True),
    Column("case_id", String(200), nullable=False),
    Column("step_id", String(100), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("words", LargeBinary, nullable=False),
    Column("attributes_sealed", LargeBinary, nullable=False),
    Column("credential_sealed", LargeBinary, nullable=False),
    UniqueConstraint("type_code", "issuer", "serial", "version", name="license_by_identifier"),
    Index("license_by_step", "case_id", "step_id"),
)
"""One row a version."""

reader_table = Table(
    "license_reader",
    metadata,
    Column("subject_id", String(36), primary_key=True),
    Column("license_id", String(36), primary_key=True),
    Column("issue_time", UtcDateTime, nullable=False),
    Index("license_reader_newest", "subject_id", "issue_time", "license_id"),
)
"""Who may read which license: one index finds a resident's page among any number of licenses."""

note_table = Table(
    "license_note",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("license_id", String(36), nullable=False),
    Column("change", String(12), nullable=False),
    Column("change_time", UtcDateTime, nullable=False),
    Column("caller", String(100), nullable=False),
    Column("grounds_sealed", LargeBinary, nullable=False),
    Index("license_note_by_license", "license_id", "id"),
)
"""Who changed a license and why."""

request_table = Table(
    "license_request",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("license_id", String(36), nullable=False),
    Column("state", String(12), nullable=False),
    Column("receipt_index", BigInteger, nullable=False),
    Column("receipt_hash", LargeBinary, nullable=False),
)
"""What each request was answered with."""
