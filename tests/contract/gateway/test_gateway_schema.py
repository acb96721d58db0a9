# SPDX-License-Identifier: Apache-2.0
"""The migrated schema is the one that the code writes to, and yesterday's events can still be read."""

import json
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect

from services.gateway.domain.history import (
    CaseEnded,
    CaseOpened,
    CaseOutcome,
    Outcome,
    Prefilled,
    PrefillState,
    StepAnswered,
    from_body,
)
from services.gateway.domain.text import Text
from services.gateway.events import to_wire
from services.gateway.store import SqlGatewayStore
from services.gateway.store.tables import metadata
from tests.support.probe import resources

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

OPENED = (
    '{"receipt": "r", "matter": "birth", "definition": "d", "applicant_id": "a", "answers": {"child_name": "x"},'
    ' "without": ["s"], "prefilled": [{"name": "f", "state": "filled", "value": "v", "source": "identity",'
    ' "provider": "", "basis": "b", "reason": ""}]}'
)
ANSWERED = '{"attempt": 2, "outcome": "refused", "reason": "NO", "message": {"zh": "不", "en": "No"}}'
ENDED = '{"outcome": "refused", "reason": "NO"}'


async def test_migrations_make_what_the_code_expects(tmp_path: Path) -> None:
    def columns(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {table: {str(one["name"]) for one in found.get_columns(table)} for table in found.get_table_names()}

    def indexes(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {table: {str(one["name"]) for one in found.get_indexes(table)} for table in metadata.tables}

    given = resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path)
    async with SqlGatewayStore.open(given, encode=to_wire) as store, store.reading() as connection:
        tables = await connection.run_sync(columns)
        marked = await connection.run_sync(indexes)
    for name, table in metadata.tables.items():
        assert tables[name] == {column.name for column in table.columns}
        assert {str(index.name) for index in table.indexes} <= marked[name]


def test_events_of_the_first_release_can_still_be_read() -> None:
    opened = from_body("CaseOpened", AT, "", json.loads(OPENED))
    assert opened == CaseOpened(
        AT,
        "r",
        "birth",
        "d",
        "a",
        {"child_name": "x"},
        ("s",),
        (Prefilled("f", PrefillState.FILLED, "v", "identity", "", "b"),),
    )
    answered = from_body("StepAnswered", AT, "s", json.loads(ANSWERED))
    assert answered == StepAnswered(AT, "s", 2, Outcome.REFUSED, "NO", message=Text("不", "No"))
    assert from_body("CaseEnded", AT, "s", json.loads(ENDED)) == CaseEnded(AT, CaseOutcome.REFUSED, "s", "NO")
