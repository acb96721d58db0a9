# SPDX-License-Identifier: Apache-2.0
"""A matter made ready to run: expressions compiled and references checked before any case meets them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.gateway.domain.definition import DecideStep, LicenseStep, Matter, OwnedStep, Rule, Step
from services.gateway.domain.expressions import Expression, ExpressionMalformed
from services.gateway.domain.problems import DefinitionInvalid, Problem, ProblemCode
from services.gateway.domain.structure import ancestors, structure_problems


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step with its expressions."""

    step: Step
    when: Expression | None = None
    input: Mapping[str, "Expression | Mapping[str, Expression]"] = field(default_factory=dict)
    rules: tuple[tuple[Rule, Expression], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A matter ready to run; `digest` is what cases are pinned to."""

    matter: Matter
    digest: str
    steps: Mapping[str, CompiledStep]
    """In the order of the definition."""

    def step(self, step_id: str) -> Step | None:
        """The step, or None where there is none of this id."""
        compiled = self.steps.get(step_id)
        return compiled.step if compiled else None


def compile_plan(matter: Matter) -> Plan:
    """Make a matter ready.

    Raises:
        DefinitionInvalid: with every problem found, each with its code and place.
    """
    problems = list(structure_problems(matter))
    steps = {step.id: _compile(matter, step, problems) for step in matter.steps}
    if not problems:
        problems += [
            Problem(ProblemCode.STEP_UNREACHABLE, f"steps.{step.id}", "Its condition is never true.")
            for step in matter.steps
            if _never(steps[step.id])
        ]
    if problems:
        raise DefinitionInvalid(matter.code, problems)
    return Plan(matter, matter.digest, steps)


def _compile(  # noqa: C901 - small parts of one thing
    matter: Matter, step: Step, problems: list[Problem]
) -> CompiledStep:
    before = ancestors(matter, step.id)

    def expression(place: str, source: str) -> Expression | None:
        where = f"steps.{step.id}.{place}"
        try:
            made = Expression(source)
        except ExpressionMalformed as malformed:
            problems.append(Problem(ProblemCode.EXPRESSION_MALFORMED, where, str(malformed)))
            return None
        problems.extend(_unknown_names(matter, made, where, before))
        return made

    def mapping(place: str, sources: Mapping[str, str]) -> dict[str, Expression]:
        made = {name: expression(f"{place}.{name}", source) for name, source in sources.items()}
        return {name: one for name, one in made.items() if one is not None}

    inputs: dict[str, Expression | Mapping[str, Expression]] = {}
    if isinstance(step, OwnedStep):
        for name, source in step.input.items():
            if isinstance(source, str):
                inputs.update(mapping("input", {name: source}))
            else:
                inputs[name] = mapping(f"input.{name}", source)
    if isinstance(step, LicenseStep) and not isinstance(step.input.get("attributes", {}), dict):
        problems.append(Problem(ProblemCode.FIELD_INVALID, f"steps.{step.id}.input.attributes", "Must be a mapping."))
    rules: list[tuple[Rule, Expression]] = []
    if isinstance(step, DecideStep):
        for index, rule in enumerate(step.rules):
            if (test := expression(f"rules.{index}.test", rule.test)) is not None:
                rules.append((rule, test))
    return CompiledStep(step, expression("when", step.when) if step.when else None, inputs, tuple(rules))


def _unknown_names(matter: Matter, made: Expression, where: str, before: frozenset[str]) -> list[Problem]:
    """Names of fields, steps and outputs that there are not, or not yet: a step may read only what it waits for."""
    known_fields = {one.name for one in matter.form}
    by_id = {step.id: step for step in matter.steps}
    problems = [
        Problem(ProblemCode.FIELD_UNKNOWN, where, f"The form has no field {name}.")
        for name in sorted(made.answers - known_fields)
    ]
    for step_id, output in sorted(made.steps):
        if step_id not in by_id:
            problems.append(Problem(ProblemCode.STEP_UNKNOWN, where, f"There is no step {step_id}."))
        elif step_id not in before:
            problems.append(Problem(ProblemCode.STEP_NOT_BEFORE, where, f"Step {step_id} need not be done by then."))
        elif output and (declared := outputs_of(by_id[step_id])) is not None and output not in declared:
            problems.append(Problem(ProblemCode.OUTPUT_UNKNOWN, where, f"Step {step_id} gives no {output}."))
    return problems


def outputs_of(step: Step) -> frozenset[str]:
    """Names that a step's output has once it is done."""
    match step.kind.value:
        case "verify":
            return frozenset({"result", "subject_id"})
        case "license":
            return frozenset({"license_id", "identifier", "version"})
        case "fetch":
            return frozenset(getattr(step, "fields", ()))
        case "task":
            return frozenset(getattr(step, "output", {}))
        case _:
            return frozenset()


def _never(step: CompiledStep) -> bool:
    return step.when is not None and step.when.constant and step.when.value({}) is False
