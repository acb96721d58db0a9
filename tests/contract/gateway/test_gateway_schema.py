# SPDX-License-Identifier: Apache-2.0
"""The migrated schema is the one that the code writes to, and yesterday's events can still be read."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, inspect

from services.gateway import migrations
from services.gateway.domain.effects import WHOLE_CASE, TimerKind
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
from services.gateway.events import to_wire
from services.gateway.store import SqlGatewayStore, tables
from services.gateway.store.tables import metadata
from services.kit.clock import utc_now
from services.kit.store import migrate
from services.kit.store.engine import connected, open_engines
from services.kit.text import Text
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
        made = await connection.run_sync(columns)
        marked = await connection.run_sync(indexes)
    for name, table in metadata.tables.items():
        assert made[name] == {column.name for column in table.columns}
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


async def test_drafts_of_the_first_release_are_counted_and_get_their_days(database: str, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(migrations.__path__[0], first, ignore=shutil.ignore_patterns("000[2-9]*", "00[1-9]*"))
    await migrate.upgrade(database, "gateway", first)
    row = {"matter": "birth", "definition": "d", "version": 1, "traceparent": "", "created": AT}
    engines = open_engines(database, application="test")
    async with connected(engines.writing) as connection, connection.begin():
        for number, status in enumerate(["draft", "draft", "submitted"]):
            case = {"case_id": f"c-{number}", "receipt": f"r-{number}", "applicant_id": "a", "status": status}
            await connection.execute(tables.cases.insert().values(**row, **case))
    await engines.close()
    async with SqlGatewayStore.open(resources(database, tmp_path), encode=to_wire) as store:
        assert await store.drafts_of("a") == 2
        async with store.transaction() as tx:
            later = utc_now() + timedelta(days=31)
            taken = [await tx.take_due_timer(later) for _ in range(3)]
    assert {(timer.case_id, timer.step_id, timer.kind) for timer in taken if timer} == {
        ("c-0", WHOLE_CASE, TimerKind.DRAFT),
        ("c-1", WHOLE_CASE, TimerKind.DRAFT),
    }
