# SPDX-License-Identifier: Apache-2.0
"""One brokered comparison with every control on, as `exchange_query` measures a query; the caller is a department with its own certificate."""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.brokered import Side, alternate, echoing, loading, once, plan, result, verify
from bench.processes import cores
from bench.result import Result
from bench.world import world


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder)))
            call = verify(place)
            answer = await once(place, call)
            if not answer.matched:
                raise RuntimeError("The comparison did not match.")
            bare = await stack.enter_async_context(echoing(call, answer))
            loader = await stack.enter_async_context(loading(plan(place, call), core=cores()[-1]))
            base, whole = await alternate(bare, Side(loader, (place.exchange,)))
    return result("exchange_verify", whole, base, "bare grpc.aio echo of the same answer, same core")
