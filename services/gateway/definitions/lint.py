# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with a definition, found before it is offered to anybody."""

from services.gateway.definitions.known import Known
from services.gateway.definitions.mappings import mapping_problems
from services.gateway.definitions.once_only import once_only_problems
from services.gateway.definitions.wording import wording_problems
from services.gateway.domain.definition import Matter
from services.gateway.domain.limit_checks import limit_problems
from services.gateway.domain.plan import compile_plan
from services.gateway.domain.problems import DefinitionInvalid, Problem, ProblemCode
from services.gateway.workflows import roles_of


def lint(matter: Matter, known: Known) -> tuple[Problem, ...]:
    """Every problem, each with code, place, words and remedy.

    A structure that does not hold (deadlock, unreachable step, unknown name) is told alone: what follows rests on it.
    """
    try:
        plan = compile_plan(matter)
    except DefinitionInvalid as invalid:
        return invalid.problems
    unknown = [
        Problem(ProblemCode.AGENCY_UNKNOWN, where, f"No agency here has the role {role}.")
        for where, role in roles_of(matter)
        if role not in known.roles
    ]
    return (
        *unknown,
        *limit_problems(known.clocks, matter),
        *mapping_problems(plan, known),
        *once_only_problems(plan, known),
        *wording_problems(matter),
    )
