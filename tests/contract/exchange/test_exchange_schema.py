# SPDX-License-Identifier: Apache-2.0
"""The tables that the code speaks of are the tables that the migrations make."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from services.exchange.store import metadata
from services.kit.store import migrate
from services.kit.store.engine import connected, open_engines


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


async def test_migrations_make_what_the_code_expects(database: str) -> None:
    await migrate.upgrade(database, "exchange")
    engines = open_engines(database, application="test")
    try:
        async with connected(engines.reading) as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engines.close()
