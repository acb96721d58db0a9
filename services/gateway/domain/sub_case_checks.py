# SPDX-License-Identifier: Apache-2.0
"""Sub-cases against the matters that they open."""

from collections.abc import Mapping

from services.gateway.domain.compiling import unknown_names
from services.gateway.domain.definition import SubCaseStep
from services.gateway.domain.plan import Plan
from services.gateway.domain.problems import Problem, ProblemCode


def sub_case_problems(plan: Plan, offered: Mapping[str, Plan]) -> list[Problem]:
    """Sub-cases of matters that are not offered, of the matter itself, or that are asked for what they have not."""
    problems: list[Problem] = []
    for compiled in plan.steps.values():
        step = compiled.step
        if not isinstance(step, SubCaseStep):
            continue
        where = f"steps.{step.id}"
        other = offered.get(step.matter)
        if other is None:
            problems.append(Problem(ProblemCode.MATTER_UNKNOWN, where, f"There is no matter {step.matter}."))
            continue
        if plan.matter.code in _parts_of(other, offered):
            problems.append(Problem(ProblemCode.MATTER_CYCLE, where, "The matter would be a part of itself."))
        fields = {one.name for one in other.matter.form}
        problems += [
            Problem(ProblemCode.FIELD_UNKNOWN, f"{where}.answers.{name}", f"{step.matter} has no field {name}.")
            for name in step.answers
            if name not in fields
        ]
        every = frozenset(other.steps)
        for name, made in compiled.output.items():
            problems += unknown_names(other.matter, made, f"{where}.output.{name}", every)
    return problems


def _parts_of(plan: Plan, offered: Mapping[str, Plan]) -> set[str]:
    """The matter and every matter whose cases it may open, however deep."""
    found: set[str] = set()
    open_plans = [plan]
    while open_plans:
        matter = open_plans.pop().matter
        if matter.code in found:
            continue
        found.add(matter.code)
        parts = [step.matter for step in matter.steps if isinstance(step, SubCaseStep)]
        open_plans += [offered[code] for code in parts if code in offered]
    return found
