# SPDX-License-Identifier: Apache-2.0
"""The case engine on a database of its own: cases of five steps, each answered by its owner, in a closed loop.

Everything that makes a case durable is on: draft, submission, five answers (seven commits), sealed events, guard rows of deliveries, facts in the outbox.
A line on standard input is a round's seconds; each is answered with one JSON line.
"""

import asyncio
import sys
import time
from pathlib import Path

import uvloop

from bench.processes import say
from services.gateway.domain.history import Outcome
from services.gateway.events import to_wire
from services.gateway.service.commands import CreateCase, SubmitCase
from services.gateway.service.steps import ToldAnswer
from services.gateway.store import SqlGatewayStore
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.clock import utc_now
from services.kit.ids import new_id
from tests.support.gateway_matters import plan_of, step, workflows_of
from tests.support.gateway_world import World
from tests.support.probe import resources

STEPS = 5


async def main(database: str, folder: Path, at_once: int) -> None:
    """Answer rounds."""
    steps = [step(f"s{n}", "verify", needs=[f"s{n - 1}"] if n else []) for n in range(STEPS)]
    plan = plan_of(*steps, several_drafts=True)
    async with SqlGatewayStore.open(resources(database, folder), encode=to_wire) as store:
        world = World(store, workflows_of(plan), utc_now)
        say(ready=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            began = time.perf_counter()
            done = await asyncio.gather(*(_looped(world, began + float(line)) for _ in range(at_once)))
            took = [each for one in done for each in one]
            say(cases=len(took), seconds=time.perf_counter() - began, latencies_ms=[round(each, 3) for each in took])


async def _looped(world: World, until: float) -> list[float]:
    took = []
    while (began := time.perf_counter()) < until:
        await _case(world)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def _case(world: World) -> None:
    """One case from its draft to its end."""
    with acting_as(Caller(CallerKind.CITIZEN, new_id(), token="t")):  # noqa: S106 - nobody is asked
        case = await world.service.create_case(CreateCase("sample", idempotency_key=new_id()))
        await world.service.submit_case(SubmitCase(case.id, idempotency_key=new_id()))
    for number in range(STEPS):
        told = ToldAnswer("identity", case.id, f"s{number}", 1, Outcome.DONE, output={"result": "match"})
        await world.steps.answered(told, delivery_id=new_id())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
