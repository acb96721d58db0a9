# SPDX-License-Identifier: Apache-2.0
"""The loader of lives at the public door: what it times from when, and what it counts as what."""

import asyncio
import time
from pathlib import Path
from typing import Any, cast

from bench.lives import Told, counted, cpu_of_a_life, of_calls, rates
from bench.people import Clocked, Door, Failed, Refused, closed, paced
from bench.seven_step_case import MATTERS
from sandbox.agencies import PATH as AGENCIES
from services.gateway.domain.definition import OwnedStep, TaskStep
from services.gateway.workflows import load_workflows

NOBODY = cast(Door, None)


async def test_in_an_open_loop_a_life_that_waits_for_its_turn_is_timed_from_when_it_was_due() -> None:
    one_at_a_time = asyncio.Semaphore(1)

    async def slow(_: Door, clocked: Clocked) -> None:
        async with one_at_a_time:
            await asyncio.sleep(0.05)
        clocked.done("call")

    began = time.perf_counter()
    told = await paced(slow, NOBODY, [(100, 0.1)])
    assert time.perf_counter() - began >= 0.5  # ten lives of 50 ms, one after the other
    assert told.begun == len(told.lives) == 10
    assert max(told.calls["call"]) >= 400  # the last was due after 90 ms, and began after 450


async def test_a_closed_loop_has_no_more_lives_under_way_than_it_was_told() -> None:
    open_now, most = 0, 0

    async def life(_: Door, clocked: Clocked) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        clocked.done("call")

    told = await closed(life, NOBODY, 3, 0.02)
    assert most == 3
    assert told.begun == len(told.lives) > 3


async def test_who_is_told_to_come_later_is_counted_apart_from_who_is_failed() -> None:
    answers = iter([Refused(), Failed("500 INTERNAL"), None])

    async def life(_: Door, clocked: Clocked) -> None:
        if error := next(answers):
            raise error
        clocked.done("call")

    told = await paced(life, NOBODY, [(100, 0.03)])
    assert (told.begun, told.refused, told.failed, len(told.lives)) == (3, 1, {"500 INTERNAL": 1}, 1)


def test_figures_are_of_all_rounds_together() -> None:
    def told(lives: list[float], seconds: float, cpu: float) -> Told:
        round_: dict[str, Any] = {"lives": lives, "calls": {"create": lives}, "seconds": seconds}
        round_ |= {"begun": len(lives) + 1, "refused": 1, "failed": {}}
        return Told(round_, {"gateway": cpu, "loader": 1.0})

    rounds = [told([10.0, 20.0], 1, 0.3), told([30.0, 40.0], 2, 0.1)]
    assert rates(rounds) == {"median": 1.5, "spread": 0.667}
    assert cpu_of_a_life(rounds) == {"gateway": 100.0, "loader": 500.0, "whole": 100.0}
    assert of_calls(rounds)["create"] == {"p50_ms": 30.0, "p95_ms": 40.0, "p99_ms": 40.0}
    assert counted(rounds[0]) == {"begun": 3, "served": 2, "told_to_come_later": 1, "failed": {}}


def test_the_case_of_seven_steps_has_seven_of_three_departments() -> None:
    (plan,) = load_workflows(Path(MATTERS), AGENCIES).offered
    assert len(plan.matter.steps) == 7
    assert {step.agency for step in plan.matter.steps if isinstance(step, TaskStep)} == {
        "market_regulation",
        "public_security",
        "tax",
    }
    assert {step.kind for step in plan.matter.steps if isinstance(step, OwnedStep)} == {"verify", "task", "license"}
