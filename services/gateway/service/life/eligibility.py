# SPDX-License-Identifier: Apache-2.0
"""Tells whether the calling resident may ask for a matter. Nothing is kept; each source that is asked keeps its leaf."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway.domain.eligibility import Assessed, Eligible, assess, overall
from services.gateway.domain.form import check_precheck
from services.gateway.domain.history import PrefillState
from services.gateway.domain.plan import Plan
from services.gateway.domain.values import china_date
from services.gateway.service.drafts import citizen
from services.gateway.service.engine import Engine
from services.gateway.service.prefill import Prefiller
from services.kit.ids import new_id
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class RuleView:
    """One condition, and whether it holds."""

    title: Text
    outcome: Eligible
    reason: str
    """Machine reason of a no; empty otherwise."""
    message: Text | None
    """Why not; None unless it is a no."""
    basis: str
    missing: tuple[str, ...]
    """Questions without whose answer nobody can tell."""


@dataclass(frozen=True, slots=True)
class EligibilityView:
    """What the rules of a matter say; the departments decide."""

    outcome: Eligible
    rules: tuple[RuleView, ...]


class EligibilityDesk:
    """Answers before a form is filled in."""

    def __init__(self, engine: Engine, prefiller: Prefiller) -> None:
        self._engine = engine
        self._prefiller = prefiller

    async def check(self, code: str, answers: Mapping[str, str]) -> EligibilityView:
        """Checks every rule. MATTER_NOT_FOUND, ANSWERS_INVALID. A source that is away leaves its rules unknown."""
        citizen()
        plan = self._engine.workflows.current(code)
        check_precheck(plan.matter, answers)
        values = {**await self._facts(plan, answers), **{name: value for name, value in answers.items() if value}}
        assessed = assess(plan.eligibility, values, china_date(self._engine.clock()))
        return EligibilityView(overall(assessed), tuple(_view(one, plan.matter.basis) for one in assessed))

    async def _facts(self, plan: Plan, answers: Mapping[str, str]) -> dict[str, str]:
        """What sources tell of the applicant, of what rules read and nobody answered."""
        read = frozenset[str]().union(*(rule.test.answers for rule in plan.eligibility))
        wanted = [one for one in plan.matter.precheck if one.prefill and one.name in read and not answers.get(one.name)]
        filled = await self._prefiller.fill(plan.matter, new_id(), wanted) if wanted else ()
        return {one.name: one.value for one in filled if one.state is PrefillState.FILLED}


def _view(assessed: Assessed, basis: str) -> RuleView:
    rule, no = assessed.rule, assessed.outcome is Eligible.NO
    return RuleView(
        title=rule.title,
        outcome=assessed.outcome,
        reason=rule.reason if no else "",
        message=rule.message if no else None,
        basis=rule.basis or basis,
        missing=assessed.missing,
    )
