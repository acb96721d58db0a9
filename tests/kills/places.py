# SPDX-License-Identifier: Apache-2.0
"""Where a round of kills keeps its rows and events, on either profile."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.cli.postgres import Postgres
from tests.kills.town import OWNERS
from tests.support.kafka import Broker, wipe
from tests.support.postgres import fresh_database
from tests.support.scratch import scratch


@dataclass
class Places:
    """Where one round keeps its rows and events."""

    gateway: str
    owners: dict[str, str]
    events: str
    folder: Path


@asynccontextmanager
async def _embedded() -> AsyncIterator[Places]:
    folder = scratch("tongban-kills-")
    try:
        files = {name: f"sqlite:///{folder}/{name}.sqlite" for name in OWNERS}
        yield Places(f"sqlite:///{folder}/gateway.sqlite", files, f"sqlite:///{folder}/events.sqlite", folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _full(postgres: Postgres, kafka: Broker) -> AsyncIterator[Places]:
    folder = scratch("tongban-kills-")
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        await wipe(kafka.url)
        urls = {name: await stack.enter_async_context(fresh_database(postgres)) for name in ("gateway", *OWNERS)}
        yield Places(urls.pop("gateway"), urls, kafka.url, folder)


class Servers:
    """The servers that a profile needs, for as long as it runs."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._postgres: Postgres | None = None
        self._kafka: Broker | None = None
        self._folder = scratch("tongban-kills-servers-")

    def __enter__(self) -> Self:
        if self._profile == "full":
            self._postgres = Postgres.start(self._folder / "postgres")
            self._kafka = Broker(self._folder / "kafka")
        return self

    def __exit__(self, *_: object) -> None:
        if self._kafka is not None:
            self._kafka.kill()
        if self._postgres is not None:
            self._postgres.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def places(self) -> AsyncIterator[Places]:
        """New ones for each round."""
        if self._postgres is not None and self._kafka is not None:
            async with _full(self._postgres, self._kafka) as places:
                yield places
        else:
            async with _embedded() as places:
                yield places
