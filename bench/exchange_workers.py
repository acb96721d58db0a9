# SPDX-License-Identifier: Apache-2.0
"""Two exchange processes behind one port, with loader, database and broker on the same cores: what one small machine carries."""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.brokered import Side, alternate, echoing, loading, once, plan, query, result
from bench.result import Result
from bench.world import world

CHANNELS = 16
"""Connections spread over the processes by the kernel; with few, one process may get them all."""


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder), pinned=False))
            second = await stack.enter_async_context(place.another(core=None))
            call = query(place)
            bare = await stack.enter_async_context(echoing(call, await once(place, call)))
            loader = await stack.enter_async_context(loading(plan(place, call, channels=CHANNELS), core=None))
            base, whole = await alternate(bare, Side(loader, (place.exchange, second)))
    return result("exchange_workers", whole, base, "one bare grpc.aio echo on one core, loader on the other", workers=2)
