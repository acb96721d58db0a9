# SPDX-License-Identifier: Apache-2.0
"""Items a second of batches in parts of 100, against single queries of the same department, on the same core, in alternation.

Every control is on in both: certificates, rights, grant, mask, a leaf in PostgreSQL for each subject. Batches also seal what is not held yet, and both sides
digest. Server on one core; the receiver, database, broker and identity on the other.
"""

import asyncio
import os
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from bench.batches import allow, receive, receiving
from bench.brokered import ROUND_SECONDS, ROUNDS, WARM_SECONDS, Round, Side, loading, plan, query, result, round_of
from bench.processes import cores
from bench.result import Result
from bench.world import World, world
from services.kit.certificates.spiffe import SpiffeId
from services.kit.rpc.peer import Peer

STREAMS = 4
ROWS = 2_000
"""Of one batch; streams open one after another until the round is over."""


async def run() -> Result:
    """Measures and gives the figures."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(Path(folder)))
            await allow(place)
            call = replace(query(place), caller=SpiffeId("agency", place.hospital), metadata={})
            call.request.ClearField("on_behalf_of")
            loader = await stack.enter_async_context(loading(plan(place, call), core=cores()[-1]))
            peer = await stack.enter_async_context(receiving(place, place.exchange_address))
            single = Side(loader, (place.exchange,))
            every = cores()
            os.sched_setaffinity(0, {every[-1]})
            base: list[Round] = []
            whole: list[Round] = []
            await loader.ask(str(WARM_SECONDS))
            await _batches(peer, place, WARM_SECONDS)
            for _ in range(ROUNDS):
                base.append(await round_of(single))
                whole.append(await _batches(peer, place, ROUND_SECONDS))
            os.sched_setaffinity(0, every)
    baseline = "single queries by the same department, same core"
    return result("exchange_batch", whole, base, baseline, unit="items/s", streams=STREAMS)


async def _batches(peer: Peer, place: World, seconds: float) -> Round:
    """Batches until the time is over; latencies are those of a batch for each hundred of its rows."""
    began, used = time.perf_counter(), place.exchange.cpu_seconds()
    took: list[float] = []

    async def stream() -> None:
        while (begun := time.perf_counter()) < began + seconds:
            await receive(peer, place, ROWS)
            took.append((time.perf_counter() - begun) * 1000 / (ROWS / 100))

    await asyncio.gather(*(stream() for _ in range(STREAMS)))
    items = len(took) * ROWS
    elapsed = time.perf_counter() - began
    return Round(items / elapsed, (place.exchange.cpu_seconds() - used) / items, took)
