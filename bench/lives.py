# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of lives at the public door share: rounds, their figures, processor time by process."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.processes import Worker
from bench.result import percentile, spread
from bench.town import Town

ROUND_SECONDS_MAX = 600.0


@dataclass(frozen=True)
class Told:
    """One round, as the loader told it, and the processor time of each process meanwhile, in seconds."""

    round: Mapping[str, Any]
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Lives a second that went through."""
        return len(self.round["lives"]) / float(self.round["seconds"])


async def round_of(place: Town, loader: Worker, **asked: Any) -> Told:
    """One round. Raises RuntimeError where a life failed in a closed loop: such figures would mean nothing."""
    before = {**place.cpu_seconds(), "loader": loader.cpu_seconds()}
    told = await loader.ask(json.dumps(asked), ROUND_SECONDS_MAX)
    after = {**place.cpu_seconds(), "loader": loader.cpu_seconds()}
    if "curve" not in asked and (told["failed"] or told["refused"]):
        raise RuntimeError(f"Lives failed: {told['failed']}; {told['refused']} were asked to come later.")
    return Told(told, {name: after[name] - before.get(name, 0.0) for name in after})


def rates(rounds: Sequence[Told]) -> dict[str, float]:
    """Median and spread of the rounds' rates."""
    each = [one.rate for one in rounds]
    return {"median": round(statistics.median(each), 2), "spread": round(spread(each), 3)}


def cpu_of_a_life(rounds: Sequence[Told]) -> dict[str, float]:
    """Milliseconds of processor time for one life, by process; `whole` for all of them but the loader."""
    lives = sum(len(one.round["lives"]) for one in rounds) or 1
    names = sorted({name for one in rounds for name in one.cpu})
    used = {name: round(1000 * sum(one.cpu.get(name, 0.0) for one in rounds) / lives, 2) for name in names}
    return {**used, "whole": round(sum(value for name, value in used.items() if name != "loader"), 2)}


def latencies(values: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    return {name: round(percentile(values, share), 1) for name, share in shares.items()}


def of_calls(rounds: Sequence[Told]) -> dict[str, dict[str, float]]:
    """Latencies of each call over all rounds."""
    names = dict.fromkeys(name for one in rounds for name in one.round["calls"])
    return {name: latencies([value for one in rounds for value in one.round["calls"].get(name, [])]) for name in names}


def counted(told: Told) -> dict[str, Any]:
    """How many began, went through, were asked to come later (429), and failed, with reasons."""
    round_ = told.round
    return {
        "begun": round_["begun"],
        "served": len(round_["lives"]),
        "told_to_come_later": round_["refused"],
        "failed": round_["failed"],
    }
