# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL, one server for the whole test session; every test gets a database of its own."""

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from services.cli.postgres import Postgres, PostgresMissing
from tests.support.missing import missing
from tests.support.scratch import scratch


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = scratch("tongban-pg-")
    try:
        server = Postgres.start(folder / "data")
    except PostgresMissing as absent:
        shutil.rmtree(folder, ignore_errors=True)
        missing(str(absent))
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def fresh_database(server: Postgres) -> AsyncIterator[str]:
    """The URL of an empty database; dropped at the end, whoever is still connected."""
    name = f"t_{uuid.uuid4().hex}"
    url = await server.create_database(name)
    try:
        yield url
    finally:
        await server.drop_database(name)
