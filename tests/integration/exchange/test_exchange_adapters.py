# SPDX-License-Identifier: Apache-2.0
"""Adapters against real databases and a real HTTP interface, with good manners and bad ones."""

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from services.exchange.adapters.kinds import adapters
from services.exchange.adapters.rest import RestAdapter
from services.exchange.adapters.sql import SqlAdapter
from services.exchange.adapters.watched import watched
from services.exchange.domain.answer import accept
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderUnavailable
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind, read_settings
from services.exchange.service.connectors import ConnectorHub
from services.kit.telemetry import Telemetry
from tests.support.exchange_registers import MISSING, NUMBER, RestRegister, rest_register
from tests.support.exchange_world import HOUSEHOLD, NOW, household
from tests.support.mariadb import mariadb_database
from tests.support.postgres import fresh_database

STATEMENT = "SELECT number AS subject_key, address, born FROM household WHERE number = :subject_key"
MAPPING = {"spouse_name": "record.spouse.names.0.value", "since": "record.since", "copies": "record.copies"}
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) AS address FROM n"
SLOW = {
    "sqlite": f"{ENDLESS} WHERE :subject_key <> ''",
    "postgresql": "SELECT pg_sleep(30)::text AS address WHERE CAST(:subject_key AS text) <> ''",
    "mariadb": "SELECT sleep(30) AS address WHERE :subject_key <> ''",
}
ENDLESS_ROWS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS address FROM n WHERE :subject_key <> ''"


def inquiry(number: str = NUMBER, *, seconds: float = 5) -> Inquiry:
    return Inquiry(HOUSEHOLD, number, ("address",), timeout_seconds=seconds)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
async def register(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a department's database with one household."""
    create = "CREATE TABLE household (number text, address text, born date)"
    insert = f"INSERT INTO household VALUES ('{NUMBER}', '1 Spring Lane', '1990-03-07')"
    if request.param == "sqlite":
        path = tmp_path / "police #1.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(create)
            connection.execute(insert)
        connection.close()
        yield f"sqlite:///{path}"
        return
    if request.param == "mariadb":
        server = request.getfixturevalue("mariadb")
        async with mariadb_database(server) as name:
            await server.run(create, insert, database=name)
            yield server.url(name)
        return
    async with fresh_database(request.getfixturevalue("postgres")) as url:
        database = await asyncpg.connect(url)
        await database.execute(create)
        await database.execute(insert)
        await database.close()
        yield url


@pytest.fixture
async def rest() -> AsyncIterator[RestRegister]:
    async with rest_register() as register:
        yield register


async def sql_ask(url: str, statement: str, question: Inquiry) -> Mapping[str, Any] | None:
    settings = read_settings(AdapterKind.SQL, {"url": url, "statement": statement})
    shared = household(adapter=AdapterKind.SQL, settings=settings)
    return await ask(shared, question)


async def ask(shared: Resource, question: Inquiry) -> Mapping[str, Any] | None:
    """Ask as the service does: watched, with a time limit; the answer as it came."""
    telemetry = Telemetry("exchange")
    kinds = adapters(ConnectorHub(clock=lambda: NOW, in_flight_max=1), cast(Any, None))  # no drops here
    adapter = watched(kinds[shared.adapter], telemetry)(shared)
    try:
        with telemetry.span("test"):
            async with asyncio.timeout(question.timeout_seconds):
                return await adapter.ask(question)
    except TimeoutError:
        raise ProviderUnavailable("No answer in time.") from None
    finally:
        await adapter.close()
        telemetry.close()


async def test_a_database_gives_one_record_in_plain_values(register: str) -> None:
    record = await sql_ask(register, STATEMENT, inquiry())
    assert record == {"subject_key": NUMBER, "address": "1 Spring Lane", "born": "1990-03-07"}
    assert accept(record, fields=("address",), subject_key=NUMBER) == {"address": "1 Spring Lane"}


async def test_a_database_without_a_record_gives_none(register: str) -> None:
    assert await sql_ask(register, STATEMENT, inquiry(MISSING)) is None


async def test_a_key_is_a_value_and_never_part_of_the_statement(register: str) -> None:
    assert await sql_ask(register, STATEMENT, inquiry("' OR '1'='1")) is None


async def test_two_records_are_no_answer(register: str) -> None:
    twice = "SELECT address FROM household WHERE number = :subject_key UNION ALL SELECT 'x'"
    with pytest.raises(ProviderAnswerInvalid):
        await sql_ask(register, twice, inquiry())


async def test_a_statement_that_writes_finds_a_door_that_only_reads(register: str) -> None:
    adapter = SqlAdapter(
        read_settings(AdapterKind.SQL, {"url": register, "statement": STATEMENT})  # type: ignore[arg-type] # of this kind
    )
    async with adapter._engine.connect() as connection:
        with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
            await connection.exec_driver_sql("DELETE FROM household")
    await adapter.close()
    assert await sql_ask(register, STATEMENT, inquiry()) is not None


@pytest.mark.parametrize(
    "statement", ["SELECT nothing FROM household WHERE number = :subject_key", "SELECT :subject_key FROM"]
)
async def test_a_statement_that_does_not_run_is_no_answer(register: str, statement: str) -> None:
    with pytest.raises(ProviderUnavailable) as refused:
        await sql_ask(register, statement, inquiry())
    assert NUMBER not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite:////nowhere/police.sqlite", "postgresql://x@127.0.0.1:1/x", "postgresql://["])
async def test_a_database_that_is_not_there_is_no_answer(url: str) -> None:
    with pytest.raises(ProviderUnavailable):
        await sql_ask(url, STATEMENT, inquiry())


async def test_a_statement_that_does_not_end_is_ended(register: str) -> None:
    statement = SLOW[register.partition(":")[0]]
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        await sql_ask(register, statement, inquiry(seconds=0.3))
    assert time.monotonic() - began < 5


async def test_rows_without_end_are_no_answer_and_fill_no_memory(register: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ProviderAnswerInvalid, ProviderUnavailable)):
        await sql_ask(register, ENDLESS_ROWS, inquiry(seconds=1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


async def test_a_register_of_sqlite_can_not_fill_the_memory_with_one_row(tmp_path: Path) -> None:
    path = tmp_path / "large.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE household (number text, address blob)")
        connection.execute("INSERT INTO household VALUES (?, zeroblob(50000000))", (NUMBER,))
    connection.close()
    with pytest.raises(ProviderUnavailable):
        await sql_ask(f"sqlite:///{path}", "SELECT address FROM household WHERE number = :subject_key", inquiry())


async def test_a_connection_serves_again_after_a_statement_was_ended(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    sqlite3.connect(path).close()
    statement = f"SELECT CASE WHEN :subject_key = 'slow' THEN ({ENDLESS}) ELSE 'quick' END AS address"
    adapter = SqlAdapter(
        read_settings(AdapterKind.SQL, {"url": f"sqlite:///{path}", "statement": statement})  # type: ignore[arg-type]
    )
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await adapter.ask(inquiry("slow", seconds=0.1))
        assert await adapter.ask(inquiry("quick")) == {"address": "quick"}
    await adapter.close()


def rest_resource(url: str, **settings: Any) -> Resource:
    return household(
        adapter=AdapterKind.REST,
        settings=read_settings(AdapterKind.REST, {"url": url, "mapping": MAPPING, **settings}),
    )


async def test_an_interface_is_mapped_to_fields(rest: RestRegister) -> None:
    interface = rest_resource(f"{rest.url}/persons/{{subject_key}}", headers={"authorization": "Bearer k"})
    assert await ask(interface, inquiry()) == {"spouse_name": "Wang Fang", "since": "2015-05-20", "copies": 2}
    (method, number, headers) = rest.asked[0]
    assert (method, number, headers["authorization"]) == ("GET", NUMBER, "Bearer k")
    assert headers["traceparent"].startswith("00-")


async def test_a_post_keeps_the_number_out_of_the_address(rest: RestRegister) -> None:
    interface = rest_resource(f"{rest.url}/find", method="POST", body={"number": "{subject_key}"})
    assert await ask(interface, inquiry()) is not None
    assert rest.asked[0][:2] == ("POST", NUMBER)


async def test_an_interface_without_a_record_gives_none(rest: RestRegister) -> None:
    assert await ask(rest_resource(f"{rest.url}/persons/{{subject_key}}"), inquiry(MISSING)) is None


async def test_a_key_can_not_lead_to_another_path(rest: RestRegister) -> None:
    """Slashes are escaped: the register finds no such person instead of another door."""
    assert await ask(rest_resource(f"{rest.url}/persons/{{subject_key}}"), inquiry("../bad/text/1")) is None
    assert rest.asked == []


@pytest.mark.parametrize("manner", ["large", "text", "deep"])
async def test_what_can_not_be_read_is_refused(rest: RestRegister, manner: str) -> None:
    with pytest.raises(ProviderAnswerInvalid):
        await ask(rest_resource(f"{rest.url}/bad/{manner}/{{subject_key}}"), inquiry())


async def test_a_value_of_another_shape_is_refused_by_the_check(rest: RestRegister) -> None:
    record = await ask(rest_resource(f"{rest.url}/bad/object/{{subject_key}}"), inquiry())
    with pytest.raises(ProviderAnswerInvalid):
        accept(record, fields=("since",), subject_key=NUMBER)


async def test_a_path_that_leads_nowhere_is_no_value(rest: RestRegister) -> None:
    record = await ask(rest_resource(f"{rest.url}/bad/list/{{subject_key}}"), inquiry())
    assert record == {"spouse_name": None, "since": None, "copies": None}


@pytest.mark.parametrize("manner", ["moved", "broken", "hung", "forbidden"])
async def test_anything_but_an_answer_is_no_answer(rest: RestRegister, manner: str) -> None:
    with pytest.raises(ProviderUnavailable):
        await ask(rest_resource(f"{rest.url}/bad/{manner}/{{subject_key}}"), inquiry(seconds=0.5))


async def test_an_interface_that_is_not_there_is_no_answer() -> None:
    with pytest.raises(ProviderUnavailable):
        await ask(rest_resource("http://127.0.0.1:1/{subject_key}"), inquiry())


async def test_connections_are_kept_alive(rest: RestRegister) -> None:
    settings = read_settings(AdapterKind.REST, {"url": f"{rest.url}/persons/{{subject_key}}", "mapping": MAPPING})
    adapter = RestAdapter(settings)  # type: ignore[arg-type] # of this kind
    answers = await asyncio.gather(*(adapter.ask(inquiry()) for _ in range(100)))
    assert len(answers) == 100
    await adapter.close()
