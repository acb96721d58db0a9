# SPDX-License-Identifier: Apache-2.0
"""What is counted of a case that has ended: nothing that leads back to it.

Durations are counted in classes that grow by a tenth, so that medians of any number of days, matters and departments
are found from sums, and are off by a twentieth at most.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from services.gateway.domain.case import CaseState
from services.gateway.domain.clock import Clock
from services.gateway.domain.definition import OwnedStep
from services.gateway.domain.history import PrefillState
from services.gateway.domain.materials import figures, needs
from services.gateway.domain.plan import Plan
from services.gateway.domain.record import StepState
from services.gateway.domain.values import china_date
from services.kit.errors import Refusal

GROWTH = 1.1
SHOWN_MIN = 5
"""Fewer cases than this show their number alone: a time or a share of one of them would be that person's."""
CASES, LATE, FIELDS, FILLED, VISITS = "cases", "late", "fields", "filled", "visits"
STEPS = "steps"
MATERIALS, SPARED = "materials", "materials_spared"
_CLASS = "seconds:"
_WORKED = frozenset({StepState.DONE, StepState.FAILED})


class StatisticsSpanTooLong(Refusal):
    """Statistics are of a year at most."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A sum that grows. `role` is empty for the matter as a whole."""

    day: str
    matter: str
    role: str
    name: str


def figures_of(plan: Plan, state: CaseState) -> Mapping[Figure, int]:
    """What a case that has ended adds to the sums; in the order in which rows are to be locked."""
    assert state.ended is not None
    day = china_date(state.ended)
    made: Counter[Figure] = Counter()

    def add(name: str, value: int = 1, role: str = "") -> None:
        made[Figure(day, state.matter, role, name)] += value

    add(CASES)
    add(f"outcome:{state.outcome.value if state.outcome else ''}")
    add(LATE, int(any(_late(each) for each in state.clocks.values())))
    if state.submitted is not None:
        add(_class_of(state.submitted, state.ended))
    add(FIELDS, len(plan.matter.form))
    filled = [name for name, one in state.prefilled.items() if one.state is PrefillState.FILLED]
    add(FILLED, sum(not state.answers.get(name) for name in filled))
    for name, value in figures(needs(plan, state)).items():
        add(name, value)
    roles = set()
    for step_id, record in state.steps.items():
        step = plan.step(step_id)
        if not isinstance(step, OwnedStep) or record.state not in _WORKED or not record.started or not record.ended:
            continue
        role = record.role or step.agency
        roles.add(role)
        add(STEPS, role=role)
        add(_class_of(record.started, record.ended), role=role)
        late = any(clock.step_id == step_id and _late(clock) for clock in state.clocks.values())
        add(LATE, int(late), role=role)
    add(VISITS, len(roles))
    return dict(sorted(((key, value) for key, value in made.items() if value), key=lambda one: _order(one[0])))


def _late(clock: Clock) -> bool:
    return any(each.standing.expired_due is not None for each in clock.deadlines.values())


def _order(figure: Figure) -> tuple[str, ...]:
    return (figure.day, figure.matter, figure.role, figure.name)


def _class_of(begin: datetime, end: datetime) -> str:
    seconds = max(1.0, (end - begin).total_seconds())
    return f"{_CLASS}{math.floor(math.log(seconds, GROWTH)):04d}"


def quantile(sums: Mapping[str, int], share: float) -> float | None:
    """Seconds that this share of durations stays below; None where there are none."""
    classes = sorted((int(name.removeprefix(_CLASS)), count) for name, count in sums.items() if name.startswith(_CLASS))
    left = share * sum(count for _, count in classes)
    for number, count in classes:
        left -= count
        if left <= 0:
            return float(round(GROWTH ** (number + 0.5), 1))
    return None


def must_be_a_year_at_most(first: date, last: date) -> None:
    """Raises StatisticsSpanTooLong."""
    if not 0 <= (last - first).days <= 366:  # noqa: PLR2004 - a leap year
        raise StatisticsSpanTooLong("Statistics are of 1 to 366 days.", remedy="Ask for a shorter time.")


def summed(rows: Iterable[tuple[str, str, str, int]]) -> Mapping[tuple[str, str], Mapping[str, int]]:
    """Sums by matter and role."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for matter, role, name, value in rows:
        found.setdefault((matter, role), {})[name] = value
    return found
