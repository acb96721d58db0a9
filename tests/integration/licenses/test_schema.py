# SPDX-License-Identifier: Apache-2.0
"""The migrated schema is the one that the code means, and its lists are read from an index alone."""

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from services.licenses.events import to_wire
from services.licenses.store import SqlLicensesStore
from tests.support.probe import resources


async def test_migrations_lead_to_the_schema_of_the_code(database: str, tmp_path: Path) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, SqlLicensesStore.metadata))

    opened = SqlLicensesStore.open(resources(database, tmp_path), encode=to_wire)
    async with opened as store, store.reading() as connection:
        found = await connection.run_sync(differences)
    assert [one for one in found if "alembic_version" not in str(one)] == []


async def test_a_residents_page_is_read_in_the_order_of_its_index(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/l.sqlite"
    query = text(
        "EXPLAIN QUERY PLAN SELECT license.license_id FROM license "
        "JOIN license_reader ON license_reader.license_id = license.license_id "
        "WHERE license_reader.subject_id = 'x' "
        "AND (license_reader.issue_time, license_reader.license_id) < ('2026', 'y') "
        "ORDER BY license_reader.issue_time DESC, license_reader.license_id DESC LIMIT 51"
    )
    opened = SqlLicensesStore.open(resources(database, tmp_path), encode=to_wire)
    async with opened as store, store.reading() as connection:
        steps = " ".join(row.detail for row in await connection.execute(query))
    assert "license_reader_newest" in steps
    assert "TEMP B-TREE" not in steps
    assert "SCAN" not in steps
