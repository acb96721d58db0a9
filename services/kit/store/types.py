# SPDX-License-Identifier: Apache-2.0
"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

# SQLite counts up only in columns declared INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")
# Parsed on the way out of either database.
Json = JSON().with_variant(JSONB(), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always with UTC in Python; SQLite keeps it as sortable text, PostgreSQL as timestamptz."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: refuses a moment without a zone, which would mean another hour on another machine."""
        if value is None:
            return None
        moment = in_utc(value)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database, with UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else value.replace(tzinfo=UTC)


def in_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a moment without a zone is refused."""
    if moment.tzinfo is None:
        raise ValueError("A moment without a zone can't be stored.")
    return moment.astimezone(UTC)
