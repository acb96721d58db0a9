# SPDX-License-Identifier: Apache-2.0
"""The tables of identity. Columns of LargeBinary hold sealed bytes, except `number_index`, which is a blind index."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)
from sqlalchemy import text as sql

from services.kit.store import Json, UtcDateTime, kit_tables

METADATA = MetaData()
kit_tables(METADATA)

PERSON = Table(
    "person",
    METADATA,
    Column("subject_id", String(36), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("region", String(6), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("phone", LargeBinary, nullable=False),
    Column("address", LargeBinary, nullable=False),
    Column("birth_date", LargeBinary, nullable=False),
)
"""One row a person."""

PERSON_NUMBER = Table(
    "person_number",
    METADATA,
    Column("kind", String(20), nullable=False),
    Column("number_index", LargeBinary, nullable=False),
    # Deferred: the number is claimed before its person's row is written.
    Column(
        "subject_id",
        String(36),
        ForeignKey("person.subject_id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("number", LargeBinary, nullable=False),
    Column("since_time", UtcDateTime, nullable=False),
    Column("until_time", UtcDateTime, nullable=True),
    PrimaryKeyConstraint("kind", "number_index"),
    Index(
        "person_number_present",
        "subject_id",
        unique=True,
        sqlite_where=sql("until_time IS NULL"),
        postgresql_where=sql("until_time IS NULL"),
    ),
    Index("person_number_by_subject", "subject_id"),
)
"""Numbers that a person has or had: the police can correct a number, and the old one still finds the person."""

ORGANIZATION = Table(
    "organization",
    METADATA,
    Column("subject_id", String(36), primary_key=True),
    Column("uscc", String(18), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("deregister_time", UtcDateTime, nullable=True),
)
"""One row an organization; code and name are public facts."""

AGENCY = Table(
    "agency",
    METADATA,
    Column("uscc", String(18), primary_key=True),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("rights", Json, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
)
"""One row an agency."""

PERSONA = Table(
    "persona",
    METADATA,
    Column("key", String(100), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("subject_id", String(36), nullable=False),
    Column("agency", String(18), nullable=False),
    Column("rights", Json, nullable=False),
    Column("title_zh", String(200), nullable=False),
    Column("title_en", String(200), nullable=False),
    Column("samples", LargeBinary, nullable=False),
)
"""One row a sandbox account; empty outside the sandbox."""

REQUEST = Table(
    "request",
    METADATA,
    Column("caller", String(200), nullable=False),
    Column("operation", String(100), nullable=False),
    Column("request_id", String(36), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("subject_ids", Json, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("caller", "operation", "request_id"),
    Index("request_by_time", "create_time"),
)
"""First answers to requests that may come again."""
