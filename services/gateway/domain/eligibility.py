# SPDX-License-Identifier: Apache-2.0
"""Whether somebody may ask for a matter at all, told before they fill in anything. A word of advice, never a decision."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.gateway.domain.expressions import Expression, ExpressionFailed, ExpressionMalformed
from services.gateway.domain.parts import Basis, Cel, Part, Reason
from services.gateway.domain.problems import Problem, ProblemCode
from services.kit.text import Text

TODAY = "today"
"""Beside `answers`, what rules may read: the day in China, YYYY-MM-DD."""


class EligibilityRule(Part):
    """One condition of a matter, over the answers to its `precheck`."""

    title: Text
    """The condition in words."""
    test: Cel
    reason: Reason
    message: Text
    """Why not, where it does not hold."""
    basis: Basis | None = None
    """Where it is another than the matter's."""


class Eligible(StrEnum):
    """What a rule says."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """Something that it reads was not answered, and no source told it."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its expression."""

    rule: EligibilityRule
    test: Expression


@dataclass(frozen=True, slots=True)
class Assessed:
    """What one rule came to."""

    rule: EligibilityRule
    outcome: Eligible
    missing: tuple[str, ...] = ()
    """Questions without which nobody can tell."""


def compile_rules(
    questions: Sequence[str], rules: Sequence[EligibilityRule], problems: list[Problem]
) -> tuple[CompiledRule, ...]:
    """Rules ready to run; what is wrong gathers in `problems`."""
    problems += [
        Problem(ProblemCode.FIELD_DUPLICATE, f"precheck.{name}", "Two questions have this name.")
        for name, count in Counter(questions).items()
        if count > 1
    ]
    made = []
    for index, rule in enumerate(rules):
        where = f"eligibility.{index}.test"
        try:
            test = Expression(rule.test)
        except ExpressionMalformed as malformed:
            problems.append(Problem(ProblemCode.EXPRESSION_MALFORMED, where, str(malformed)))
            continue
        unknown = sorted(test.answers - set(questions))
        problems += [
            Problem(ProblemCode.FIELD_UNKNOWN, where, f"The precheck does not ask for {one}.") for one in unknown
        ]
        if {"applicant", "case", "steps"} & test.variables:
            problems.append(
                Problem(ProblemCode.FIELD_UNKNOWN, where, "There is no case yet: it reads answers and today.")
            )
        made.append(CompiledRule(rule, test))
    return tuple(made)


def assess(rules: Sequence[CompiledRule], values: Mapping[str, str], today: str) -> tuple[Assessed, ...]:
    """Each rule over what is known; what is empty is not known."""
    known = {name: value for name, value in values.items() if value}
    return tuple(_assessed(compiled, known, today) for compiled in rules)


def overall(assessed: Sequence[Assessed]) -> Eligible:
    """One no is a no; without one, what is unknown leaves it open."""
    outcomes = {one.outcome for one in assessed}
    return next((word for word in (Eligible.NO, Eligible.UNKNOWN) if word in outcomes), Eligible.YES)


def _assessed(compiled: CompiledRule, known: Mapping[str, str], today: str) -> Assessed:
    try:
        holds = compiled.test.holds({"answers": dict(known), TODAY: today})
    except ExpressionFailed:
        return Assessed(compiled.rule, Eligible.UNKNOWN, tuple(sorted(compiled.test.answers - known.keys())))
    return Assessed(compiled.rule, Eligible.YES if holds else Eligible.NO)
