# SPDX-License-Identifier: Apache-2.0
"""One brokered query with every control on, against a bare echo of the same answer, in alternation on the same core.

What is measured: mutual TLS, access token (cached), rights, grant, field mask, log line, 1 % sampling, and a leaf in the
ledger, durable in PostgreSQL before the answer.
The baseline answers the same bytes over the same framework, without TLS or any control. Server on one core; loader, database, broker and identity on the other.
"""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.brokered import Side, alternate, echoing, loading, once, plan, query, result
from bench.processes import cores
from bench.result import Result
from bench.world import GRANTED, world


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder)))
            call = query(place)
            answer = await once(place, call)
            if set(answer.values) != set(GRANTED):
                raise RuntimeError(f"The mask did not hold: {sorted(answer.values)}")
            bare = await stack.enter_async_context(echoing(call, answer))
            loader = await stack.enter_async_context(loading(plan(place, call), core=cores()[-1]))
            base, whole = await alternate(bare, Side(loader, (place.exchange,)))
    return result("exchange_query", whole, base, "bare grpc.aio echo of the same answer, same core")
