# SPDX-License-Identifier: Apache-2.0
"""What a benchmark leaves behind: one JSON file under `var/bench/` and one row of the table."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("TONGBAN_DATA", "var")) / "bench"


@dataclass(frozen=True)
class Result:
    """One benchmark's figures.

    `value` is the median over `repeats` rounds in `unit`; latencies are milliseconds over all rounds; `ratio` is the median of the rounds' own ratios to
    `baseline`, measured in alternation; `spread` is (max - min) / median of `value` over the rounds.
    """

    name: str
    value: float
    unit: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    ratio: float | None
    baseline: str
    repeats: int
    spread: float
    details: dict[str, Any] = field(default_factory=dict)

    def write(self) -> Path:
        """Writes `var/bench/<name>.json`."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{self.name}.json"
        record = asdict(self) | {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        }
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie; 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> float:
    """(max - min) / median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def table(results: Sequence[Result]) -> str:
    """A Markdown table of results."""
    lines = ["| name | value | p50 / p95 / p99 ms | ratio | baseline | rounds, spread |", "|---|---|---|---|---|---|"]
    for result in results:
        ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
        lines.append(
            f"| {result.name} | {result.value:,.1f} {result.unit} | {result.p50_ms:.1f} / {result.p95_ms:.1f} / {result.p99_ms:.1f} "
            f"| {ratio} | {result.baseline} | {result.repeats}, {result.spread:.0%} |"
        )
    return "\n".join(lines)
