# SPDX-License-Identifier: Apache-2.0
"""What the durable leaf costs a call: the same query by the same process with its ledger, and by another whose ledger forgets."""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.brokered import Side, alternate, loading, plan, query, result
from bench.processes import cores
from bench.result import Result
from bench.world import free_port, world


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder)))
            port = free_port()
            without = await stack.enter_async_context(place.another(core=cores()[0], port=port, BENCH_LEDGER="none"))
            call = query(place)
            loaders = [
                await stack.enter_async_context(loading(plan(place, call, target=target), core=cores()[-1]))
                for target in (f"127.0.0.1:{port}", place.exchange_address)
            ]
            base, whole = await alternate(Side(loaders[0], (without,)), Side(loaders[1], (place.exchange,)))
    return result("ledger_append", whole, base, "the same query whose leaf is made and thrown away, same core")
