# SPDX-License-Identifier: Apache-2.0
"""How long things take, whether dates are kept, and what residents were not asked for; for everybody."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from services.gateway.domain.plan import Plan
from services.gateway.domain.statistics import (
    CASES,
    FIELDS,
    FILLED,
    LATE,
    MATERIALS,
    SHOWN_MIN,
    SPARED,
    STEPS,
    VISITS,
    Figure,
    figures_of,
    must_be_a_year_at_most,
    quantile,
    summed,
)
from services.gateway.service.ports import CaseFile
from services.gateway.workflows import Workflows
from services.kit.text import Text


class StatisticTransaction(Protocol):
    """What a transaction adds."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Whether this delivery has not had its effect yet."""

    async def add_figures(self, figures: Mapping[Figure, int]) -> None:
        """Add to the sums."""


class StatisticStore(Protocol):
    """What is kept."""

    def transaction(self) -> AbstractAsyncContextManager[StatisticTransaction]:
        """All or nothing."""

    async def case_file(self, case_id: str) -> CaseFile | None:
        """The committed state of a case."""

    async def definition_of(self, digest: str) -> str:
        """The stored canonical definition."""

    async def figures(self, first: str, last: str, matter: str) -> Sequence[tuple[str, str, str, int]]:
        """Matter, role, name and sum."""


@dataclass(frozen=True, slots=True)
class Share:
    """Times and dates of so many; None where there are too few to say without saying whose."""

    number: int
    median_seconds: float | None
    p90_seconds: float | None
    on_time: float | None
    """Share that no limit ran out for, 0 to 1."""


@dataclass(frozen=True, slots=True)
class DepartmentFigures:
    """One department's steps in a matter."""

    role: str
    uscc: str
    name: Text
    steps: Share


@dataclass(frozen=True, slots=True)
class MatterFigures:
    """One matter's cases that have ended."""

    matter: str
    title: Text
    cases: Share
    outcomes: Mapping[str, int]
    fields: int
    """Asked by the forms of these cases, all together."""
    filled: int
    """Of those, filled by departments and left so."""
    not_asked: float | None
    """The share of the two, 0 to 1."""
    materials: int
    """Needed by these cases, all together."""
    materials_spared: int
    """Of those, what nobody handed in: a license or a department's fact stood for it."""
    visits_saved: int
    """Departments that did their part without being visited, added up over the cases."""
    departments: tuple[DepartmentFigures, ...]


class StatisticDesk:
    """Counts each case once when it has ended; answers anybody."""

    def __init__(self, store: StatisticStore, workflows: Workflows) -> None:
        self._store = store
        self._workflows = workflows

    async def count(self, case_id: str) -> None:
        """Add a case that has ended to the sums, once."""
        file = await self._store.case_file(case_id)
        if file is None or file.state.ended is None:
            return
        figures = figures_of(await self._plan(file.state.definition), file.state)
        async with self._store.transaction() as tx:
            if await tx.first_sight(f"statistic:{case_id}"):
                await tx.add_figures(figures)

    async def between(self, first: date, last: date, matter: str = "") -> tuple[MatterFigures, ...]:
        """Figures of cases that ended from `first` to `last` (China), by matter. StatisticsSpanTooLong, MATTER_NOT_FOUND."""
        must_be_a_year_at_most(first, last)
        if matter:
            self._workflows.current(matter)
        sums = summed(await self._store.figures(first.isoformat(), last.isoformat(), matter))
        return tuple(self._matter(code, sums) for code in sorted({code for code, _ in sums}))

    def _matter(self, code: str, sums: Mapping[tuple[str, str], Mapping[str, int]]) -> MatterFigures:
        own = sums.get((code, ""), {})
        offered = {plan.matter.code: plan.matter.title for plan in self._workflows.offered}
        fields, filled = own.get(FIELDS, 0), own.get(FILLED, 0)
        prefix = "outcome:"
        return MatterFigures(
            matter=code,
            title=offered.get(code, Text(code, code)),
            cases=_share(own, CASES),
            outcomes={name.removeprefix(prefix): value for name, value in own.items() if name.startswith(prefix)},
            fields=fields,
            filled=filled,
            not_asked=round(filled / fields, 3) if fields and own.get(CASES, 0) >= SHOWN_MIN else None,
            materials=own.get(MATERIALS, 0),
            materials_spared=own.get(SPARED, 0),
            visits_saved=own.get(VISITS, 0),
            departments=tuple(
                self._department(role, sums[code, role]) for of, role in sorted(sums) if of == code and role
            ),
        )

    def _department(self, role: str, sums: Mapping[str, int]) -> DepartmentFigures:
        agency = self._workflows.agency(role)
        return DepartmentFigures(role, agency.uscc, agency.name, _share(sums, STEPS))

    async def _plan(self, digest: str) -> Plan:
        known = self._workflows.known(digest)
        return known or self._workflows.learn(await self._store.definition_of(digest))


def _share(sums: Mapping[str, int], of: str) -> Share:
    number = sums.get(of, 0)
    if number < SHOWN_MIN:
        return Share(number, None, None, None)
    return Share(number, quantile(sums, 0.5), quantile(sums, 0.9), round(1 - sums.get(LATE, 0) / number, 3))
