# SPDX-License-Identifier: Apache-2.0
import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import IntegrityError, StatementError

from services.cli.postgres import Postgres
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RequestIdReused, Unavailable
from services.kit.store import kit_tables, migrate
from services.kit.store.engine import connected, open_engines
from tests.support.postgres import fresh_database
from tests.support.probe import Probe, fact_of, opened, resources, step
from tests.support.probe.probe import metadata


async def test_a_change_and_its_fact_are_committed_together(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store:
        async with store.transaction() as tx:
            await tx.add("a", 1)
            await tx.record(step("a", 1))
        async with store.reading() as connection:
            rows = (await connection.execute(select(store.tables.outbox))).all()
        assert await store.effects() == [("a", 1)]
        assert [(row.key, row.type) for row in rows] == [("a", "tongban.events.v1.StepAnswered")]


async def test_an_exception_undoes_the_change_and_its_fact(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store:
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as tx:
                await tx.first_sight("r1")
                await tx.add("a", 1)
                await tx.record(step("a", 1))
                raise ZeroDivisionError
        async with store.transaction() as tx:
            assert await tx.first_sight("r1")
        async with store.reading() as connection:
            assert not (await connection.execute(select(store.tables.outbox))).all()
        assert await store.effects() == []


async def test_a_repeated_id_is_seen_once_however_many_ask_at_a_time(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store:

        async def act(number: int) -> None:
            async with store.transaction() as tx:
                if await tx.first_sight("the same request"):
                    await asyncio.sleep(0.01)
                    await tx.add("a", number)

        await asyncio.gather(*(act(number) for number in range(8)))
        assert len(await store.effects()) == 1


async def test_nobody_from_outside_uses_up_the_ids_of_another_or_of_a_delivery(database: str, tmp_path: Path) -> None:
    one, other = Caller(CallerKind.AGENCY, "1299010000000102XJ"), Caller(CallerKind.CITIZEN, "subject-1")
    itself = Caller(CallerKind.SERVICE, "probe")
    async with opened(database, tmp_path / "keys") as store:
        for caller in (one, other, itself):
            with acting_as(caller):
                async with store.transaction() as tx:
                    assert await tx.first_sight("r1")
                async with store.transaction() as tx:
                    assert not await tx.first_sight("r1")
        async with store.transaction() as tx:
            assert not await tx.first_sight("r1"), "what the service itself has seen is seen without a caller too"
            assert await tx.first_time("r2")
        with acting_as(one):
            async with store.transaction() as tx:
                assert not await tx.first_time("r2"), "what happens once happens once, whoever causes it"


async def test_an_id_that_asks_for_something_else_is_refused_and_uses_up_nothing(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store:
        async with store.transaction() as tx:
            assert await tx.first_sight("r1", "confirm", "k1")
        async with store.transaction() as tx:
            assert not await tx.first_sight("r1", "confirm", "k1")
        for _ in range(2):
            with pytest.raises(RequestIdReused):
                async with store.transaction() as tx:
                    await tx.first_sight("r1", "confirm", "k2")


async def test_a_transaction_inside_a_transaction_is_refused_instead_of_waiting_for_itself(
    database: str, tmp_path: Path
) -> None:
    async with opened(database, tmp_path / "keys") as store:
        async with store.transaction():
            with pytest.raises(RuntimeError, match="inside a transaction"):
                async with store.transaction():
                    pass
        async with store.transaction() as tx:
            await tx.add("a", 1)


async def test_what_is_committed_is_read_at_once(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store:
        for number in range(50):
            async with store.transaction() as tx:
                await tx.add("a", number)
            assert len(await store.effects()) == number + 1


async def test_moments_keep_their_instant_and_need_a_zone(database: str, tmp_path: Path) -> None:
    noon = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    async with opened(database, tmp_path / "keys", clock=lambda: noon) as store:
        async with store.transaction() as tx:
            await tx.first_sight("r1")
        async with store.reading() as connection:
            seen = (await connection.execute(select(store.tables.seen.c.seen_time))).scalar_one()
        assert seen == noon
        assert seen.tzinfo is UTC
    async with opened(database, tmp_path / "keys", clock=lambda: datetime(2026, 5, 1)) as store:  # noqa: DTZ001
        with pytest.raises(ValueError, match="without a zone"):
            async with store.transaction() as tx:
                await tx.first_sight("r2")
        late = store.tables.seen.insert().values(id="r3", seen_time=store.clock())
        with pytest.raises(StatementError, match="without a zone"):
            async with store.transaction() as tx:
                await tx.connection.execute(late)


async def test_a_mistake_in_a_statement_is_no_unavailability(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store:
        with pytest.raises(IntegrityError):
            async with store.transaction() as tx:
                await tx.connection.execute(store.tables.seen.insert().values(id="x", seen_time=store.clock()))
                await tx.connection.execute(store.tables.seen.insert().values(id="x", seen_time=store.clock()))


async def test_a_cancelled_transaction_stays_cancelled_and_leaves_the_store_usable(
    database: str, tmp_path: Path
) -> None:
    async with opened(database, tmp_path / "keys") as store:

        async def act(number: int) -> None:
            async with store.transaction() as tx:
                for _ in range(1000):
                    await tx.add("a", number)

        for number in range(10):
            task = asyncio.create_task(act(number))
            await asyncio.sleep(0.002 * number)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with store.transaction() as tx:
            await tx.add("b", 1)
        assert ("b", 1) in await store.effects()
        assert len(await store.effects()) % 1000 == 1


async def test_the_migrated_schema_is_what_the_tables_say(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys") as store, connected(store.engines.writing) as connection:
        found = await connection.run_sync(
            lambda sync: {
                name: (
                    {column["name"]: column["nullable"] for column in inspect(sync).get_columns(name)},
                    {index["name"] for index in inspect(sync).get_indexes(name) if not index.get("unique")},
                    set(inspect(sync).get_pk_constraint(name)["constrained_columns"]),
                )
                for name in metadata.tables
            }
        )
        wanted = {
            table.name: (
                {column.name: column.nullable for column in table.columns},
                {index.name for index in table.indexes},
                {column.name for column in table.primary_key},
            )
            for table in metadata.tables.values()
        }
        assert found == wanted
        assert set(kit_tables(metadata).__dict__) <= set(found)


async def test_two_processes_that_start_at_once_migrate_once(database: str, tmp_path: Path) -> None:
    folder = Probe.migrations
    await asyncio.gather(*(migrate.upgrade(database, "probe", folder) for _ in range(4)))
    async with opened(database, tmp_path / "keys") as store:
        assert await store.effects() == []


async def test_a_database_of_a_newer_release_stops_the_start(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path / "keys"):
        pass
    engines = open_engines(database, application="test")
    async with connected(engines.writing) as connection, connection.begin():
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099_future'")
    await engines.close()
    with pytest.raises(migrate.SchemaTooNew, match="0099_future"):
        async with opened(database, tmp_path / "keys"):
            pass


async def test_a_file_that_is_no_database_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "probe.sqlite"
    path.write_bytes(b"this is no database, and was never one" * 100)
    with pytest.raises(migrate.DatabaseBroken, match="can't be used"):
        async with opened(f"sqlite:///{path}", tmp_path / "keys"):
            pass
    assert path.read_bytes().startswith(b"this is no database")


async def test_a_locked_sqlite_file_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/probe.sqlite"
    async with opened(url, tmp_path / "keys") as store, opened(url, tmp_path / "keys") as other:
        async with other.transaction() as tx:
            await tx.add("other", 1)
            with pytest.raises(Unavailable):
                async with store.transaction() as mine:
                    await mine.add("mine", 1)
        async with store.transaction() as mine:
            await mine.add("mine", 2)
        assert await store.effects() == [("other", 1), ("mine", 2)]


async def test_the_database_goes_away_and_comes_back(postgres: Postgres, tmp_path: Path) -> None:
    async with fresh_database(postgres) as url, opened(url, tmp_path / "keys") as store:
        async with store.transaction() as tx:
            await tx.add("a", 1)
        postgres.stop()
        try:
            for _ in range(3):
                with pytest.raises(Unavailable):
                    async with store.transaction() as tx:
                        await tx.add("a", 2)
                with pytest.raises(Unavailable):
                    await store.effects()
                with pytest.raises(Unavailable):
                    await store.ready()
        finally:
            Postgres.start(postgres.folder)
        async with store.transaction() as tx:
            await tx.add("a", 3)
        assert await store.effects() == [("a", 1), ("a", 3)]


async def test_a_connection_cut_in_the_middle_of_a_transaction_is_unavailable(
    postgres: Postgres, tmp_path: Path
) -> None:
    async with fresh_database(postgres) as url, opened(url, tmp_path / "keys") as store:
        with pytest.raises(Unavailable):
            async with store.transaction() as tx:
                await tx.add("a", 1)
                async with opened(url, tmp_path / "keys") as other, other.reading() as connection:
                    await connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND state = 'idle in transaction'"
                    )
                await tx.add("a", 2)
        assert await store.effects() == []


async def test_a_store_does_not_open_while_the_database_is_away(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        async with Probe.open(
            resources(f"postgresql://postgres@/x?host={tmp_path}", tmp_path / "keys"), encode=fact_of
        ):
            pass
