# SPDX-License-Identifier: Apache-2.0
"""Writes a city as JSON lines, one file per kind, for those who want to load it somewhere else."""

import dataclasses
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from sandbox.city.generator import City


def export(city: City, folder: Path) -> dict[str, int]:
    """Writes `<kind>.jsonl` files into the folder; gives the number of rows by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Iterable[object]] = {
        "residents": city.residents,
        "households": (family.household for family in city.families),
        "marriages": (family.marriage for family in city.families if family.marriage),
        "enrollments": (enrollment for family in city.families for enrollment in family.enrollments),
        "firms": city.firms,
        "flaws": city.flaws,
    }
    return {kind: _write(folder / f"{kind}.jsonl", rows) for kind, rows in kinds.items()}


def _write(path: Path, rows: Iterable[object]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            assert dataclasses.is_dataclass(row)
            assert not isinstance(row, type)
            file.write(json.dumps(dataclasses.asdict(row), ensure_ascii=False, default=_plain) + "\n")
            count += 1
    return count


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
