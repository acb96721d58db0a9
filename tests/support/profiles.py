# SPDX-License-Identifier: Apache-2.0
"""Both profiles through one suite: `async def test_...(profile)` runs on SQLite files, and on Kafka with PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.cli.postgres import Postgres
from tests.support.kafka import Broker, wipe
from tests.support.postgres import fresh_database


@dataclass
class Profile:
    """Where a system under test keeps its rows and sends its events."""

    name: str
    folder: Path
    events: str
    postgres: Postgres | None
    kafka: Broker | None
    _stack: AsyncExitStack
    _databases: dict[str, str] = field(default_factory=dict)

    async def database(self, name: str = "probe") -> str:
        """The URL of a database of this test; the same name, the same database."""
        if name not in self._databases:
            if self.postgres is None:
                self._databases[name] = f"sqlite:///{self.folder / name}.sqlite"
            else:
                self._databases[name] = await self._stack.enter_async_context(fresh_database(self.postgres))
        return self._databases[name]


@pytest.fixture(params=["embedded", "full"])
async def profile(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Profile]:
    if request.param == "embedded":
        async with AsyncExitStack() as stack:
            yield Profile("embedded", tmp_path, f"sqlite:///{tmp_path}/events.sqlite", None, None, stack)
    else:
        async with _full(request.getfixturevalue("postgres"), request.getfixturevalue("kafka"), tmp_path) as opened:
            yield opened


@pytest.fixture
async def full(postgres: Postgres, kafka: Broker, tmp_path: Path) -> AsyncIterator[Profile]:
    """The full profile alone, for what only its parts can suffer."""
    async with _full(postgres, kafka, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def _full(postgres: Postgres, kafka: Broker, folder: Path) -> AsyncIterator[Profile]:
    async with AsyncExitStack() as stack:
        await wipe(kafka.url)
        yield Profile("full", folder, kafka.url, postgres, kafka, stack)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, on either."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/probe.sqlite"
    else:
        async with fresh_database(request.getfixturevalue("postgres")) as url:
            yield url
