# SPDX-License-Identifier: Apache-2.0
"""Two processes of the gateway on one database, with one clock."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.gateway.domain.plan import Plan
from services.gateway.events import to_wire
from services.gateway.store import SqlGatewayStore
from tests.support.gateway_matters import workflows_of
from tests.support.gateway_world import MovingClock, World
from tests.support.probe import resources


@dataclass
class Twins:
    """The two, and what they look at."""

    one: World
    two: World
    clock: MovingClock

    @property
    def both(self) -> tuple[World, World]:
        return self.one, self.two


@asynccontextmanager
async def twins_of(database: str, folder: Path, *plans: Plan) -> AsyncIterator[Twins]:
    """Both know the same matters."""
    clock = MovingClock()
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            opened = SqlGatewayStore.open(resources(database, folder, clock=clock), encode=to_wire)
            worlds.append(World(await stack.enter_async_context(opened), workflows_of(*plans), clock))
        yield Twins(worlds[0], worlds[1], clock)
