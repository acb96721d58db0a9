# SPDX-License-Identifier: Apache-2.0
"""Whether anything was lost, or done twice, in the cases of one round."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import select

from services.gateway.domain.case import fold
from services.gateway.domain.history import CaseEnded, CaseGivenUp, Event, Outcome, StepAnswered, StepStarted
from services.gateway.events import to_wire
from services.gateway.store import SqlGatewayStore
from tests.kills.town import ENDS, UNDOS
from tests.support.probe import Probe, resources


async def findings(database: str, folder: Path, stores: Mapping[str, Probe], wishes: Sequence[str]) -> list[str]:
    """Everything that does not hold; read by a process that has seen none of it."""
    found: list[str] = []
    async with SqlGatewayStore.open(resources(database, folder / "gateway"), encode=to_wire) as store:
        cases = store.metadata.tables["case_file"]
        async with store.reading() as connection:
            rows = (await connection.execute(select(cases.c.case_id, cases.c.matter, cases.c.status))).all()
            for each in (store, *stores.values()):
                parked = each.tables.parked
                async with each.reading() as reading:
                    found += [
                        f"{each.service} parked a message: {row.reason}"
                        for row in await reading.execute(select(parked))
                    ]
        if Counter(row.matter for row in rows) != Counter(wish.split()[0] for wish in wishes):
            found.append(f"{len(wishes)} wishes became {len(rows)} cases.")
        acknowledged = (folder / "acknowledged").read_text(encoding="utf-8").split()
        known = {row.case_id for row in rows}
        found += [f"Case {one} was acknowledged and is gone." for one in acknowledged[2::3] if one not in known]
        for row in rows:
            history = [event for _, event in await store.events_after(row.case_id, 0)]
            file = await store.case_file(row.case_id)
            if file is None or file.state != fold(history) or file.state.version != len(history):
                found.append(f"Case {row.case_id} is not the fold of its history.")
            if row.status != ENDS[row.matter]:
                found.append(f"Case {row.case_id} of {row.matter} is {row.status}.")
            found += _doubled(row.case_id, row.matter, history)
    done = Counter([effect for each in stores.values() for effect in await each.effects()])
    found += [
        f"{key} was done {count} times in attempt {attempt}." for (key, attempt), count in done.items() if count > 1
    ]
    return found


def _doubled(case_id: str, matter: str, history: Sequence[Event]) -> list[str]:
    started = Counter((one.step_id, one.attempt) for one in history if isinstance(one, StepStarted))
    answered = Counter((one.step_id, one.attempt) for one in history if isinstance(one, StepAnswered))
    done = Counter(one.step_id for one in history if isinstance(one, StepAnswered) and one.outcome is Outcome.DONE)
    found = [f"{step} of {case_id} was asked {n} times in attempt {at}." for (step, at), n in started.items() if n > 1]
    found += [f"{step} of {case_id} was answered {n} times." for (step, _), n in answered.items() if n > 1]
    found += [f"{step} of {case_id} was done {n} times." for step, n in done.items() if n > 1]
    ends = [one for one in history if isinstance(one, CaseEnded)]
    if len(ends) != 1 or history[-1] is not ends[0]:
        found.append(f"Case {case_id} ended {len(ends)} times.")
    given_up = sum(isinstance(one, CaseGivenUp) for one in history)
    undone = [step for step in done if step.endswith(".undo")]
    if undone != UNDOS[matter] or given_up != bool(UNDOS[matter]):
        found.append(f"Case {case_id} of {matter} undid {undone}.")
    return found
