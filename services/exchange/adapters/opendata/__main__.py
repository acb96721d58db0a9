# SPDX-License-Identifier: Apache-2.0
"""Makes one release: a job on standard input, files in a folder, what became of it on standard output.

Nothing about a record is ever said: a driver's own words may hold values, so that only its class is told.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from services.exchange.adapters.opendata.encode import write_all
from services.exchange.adapters.opendata.source import records_of
from services.exchange.domain.opendata.anonymity import deidentify
from services.exchange.domain.opendata.dataset import PERSON, About
from services.exchange.domain.opendata.written import dataset_of, source_of
from services.kit.errors import Refusal

_MEMORY_BYTES = 4 << 30


def _made(job: dict[str, Any]) -> dict[str, Any]:
    dataset = dataset_of(job["dataset"], source_of(job["source"]))
    drop = Path(job["drop"]) if job["drop"] else None
    names = [each.name for each in dataset.columns]
    if dataset.about is About.PERSONS:
        names.append(PERSON)
    made = deidentify(dataset, asyncio.run(records_of(dataset.source, names, drop)))
    write_all(made.table, Path(job["folder"]))
    return {
        "rows": len(made.table.rows),
        "k": made.k,
        "diversity": made.diversity,
        "suppressed": made.suppressed,
        "steps": {name: step.plain() for name, step in made.steps.items()},
    }


def main() -> None:
    """Do the job."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    job = json.load(sys.stdin)
    try:
        said: dict[str, Any] = {"made": _made(job)}
    except Refusal as refusal:
        said = {
            "refused": {
                "reason": refusal.reason,
                "message": refusal.message,
                "remedy": refusal.remedy,
                "metadata": dict(refusal.metadata),
            }
        }
    except Exception as error:  # noqa: BLE001 - whatever broke: the source could not be read
        said = {"broke": type(error).__name__}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
