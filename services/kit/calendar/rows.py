# SPDX-License-Identifier: Apache-2.0
"""The table of a service's deadlines, one row each; `next_time` is when the next bell rings."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Index, Integer, MetaData, String, Table
from sqlalchemy import text as sql

from services.kit.calendar.deadline import EVENTS, Deadline
from services.kit.calendar.reckoning import Reckoning
from services.kit.calendar.terms import Terms
from services.kit.store.types import Json, UtcDateTime

_RINGS = sql("next_time IS NOT NULL")


def deadline_table(metadata: MetaData) -> Table:
    """Declare the table in a service's metadata (once; a second call returns the same). Its migration is `schema.add_deadlines`."""
    known: Table | None = metadata.tables.get("deadline")
    if known is not None:
        return known
    return Table(
        "deadline",
        metadata,
        Column("kind", String(40), primary_key=True),
        Column("owner", String(100), primary_key=True),
        Column("state", String(10), nullable=False),
        Column("due", UtcDateTime),
        Column("next_time", UtcDateTime),
        Column("calendar", String(20), nullable=False),
        Column("calendar_version", Integer, nullable=False),
        Column("terms", Json, nullable=False),
        Column("events", Json, nullable=False),
        Index("deadline_by_next", "next_time", sqlite_where=_RINGS, postgresql_where=_RINGS),
        Index("deadline_by_calendar", "calendar", "calendar_version", sqlite_where=_RINGS, postgresql_where=_RINGS),
    )


def deadline_row(deadline: Deadline, reckoned: Reckoning) -> dict[str, Any]:
    """Write everything but kind and owner."""
    return {
        "state": deadline.state.value,
        "due": reckoned.due,
        "next_time": reckoned.next.at if reckoned.next is not None else None,
        "calendar": reckoned.calendar,
        "calendar_version": reckoned.version,
        "terms": deadline.terms.model_dump(mode="json", exclude_defaults=True),
        "events": EVENTS.dump_python(deadline.events, mode="json"),
    }


def deadline_from(row: Mapping[str, Any]) -> Deadline:
    """Read it back."""
    return Deadline(Terms.model_validate(row["terms"]), EVENTS.validate_python(row["events"]))
