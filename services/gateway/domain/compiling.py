# SPDX-License-Identifier: Apache-2.0
"""Steps with their expressions compiled, and every name in them checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.gateway.domain.definition import (
    DecideStep,
    FetchStep,
    LicenseStep,
    Material,
    Matter,
    OnFailure,
    PayStep,
    Rule,
    SignStep,
    Step,
    SubCaseStep,
    TaskStep,
    UndoableStep,
    UndoTask,
    VerifyStep,
    WaitStep,
    undo_id,
)
from services.gateway.domain.expressions import Expression, ExpressionMalformed
from services.gateway.domain.problems import Problem, ProblemCode
from services.gateway.domain.steps import CAME, StepKind
from services.gateway.domain.structure import ancestors

Inputs = Mapping[str, "Expression | Mapping[str, Expression]"]
Sources = Mapping[str, "str | Mapping[str, str]"]


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step with its expressions."""

    step: Step
    when: Expression | None = None
    input: Inputs = field(default_factory=dict)
    rules: tuple[tuple[Rule, Expression], ...] = ()
    output: Mapping[str, Expression] = field(default_factory=dict)
    """Of a sub-case: over that other case."""
    undoes: str = ""
    """The step that this one undoes; empty for steps of the definition."""


@dataclass(frozen=True, slots=True)
class CompiledMaterial:
    """A material with its condition."""

    material: Material
    when: Expression | None = None


def outputs_of(step: Step) -> frozenset[str]:  # noqa: PLR0911 - one arm for each kind
    """Names that a step's output has once it is done."""
    match step:
        case VerifyStep():
            return frozenset({"result", "subject_id"})
        case LicenseStep(ends=False):
            return frozenset({"license_id", "identifier", "version"})
        case FetchStep():
            return frozenset(step.fields)
        case TaskStep():
            return frozenset(step.output)
        case WaitStep():
            return frozenset({*step.output, CAME})
        case PayStep():
            return frozenset({"payment_id", "paid_fen"})
        case SubCaseStep():
            return frozenset({*step.output, "case_id", "receipt"})
        case SignStep():
            return frozenset({"signer_id", "sign_date"})
        case _:
            return frozenset()


class Compiler:
    """Compiles the steps of one matter; what is wrong gathers in `problems`."""

    def __init__(self, matter: Matter, problems: list[Problem]) -> None:
        self._matter = matter
        self._problems = problems

    def step(self, step: Step) -> CompiledStep:
        """A step of the definition."""
        before = ancestors(self._matter, step.id)
        if isinstance(step, LicenseStep) and not isinstance(step.input.get("attributes", {}), dict):
            place = f"steps.{step.id}.input.attributes"
            self._problems.append(Problem(ProblemCode.FIELD_INVALID, place, "Must be a mapping."))
        when = self._expression(f"steps.{step.id}.when", step.when, before) if step.when else None
        output: dict[str, Expression] = {}
        if isinstance(step, SubCaseStep):
            output = self._mapping(f"steps.{step.id}.output", step.output, None)
        return CompiledStep(step, when, self._inputs(step, before), self._rules(step, before), output)

    def material(self, material: Material) -> CompiledMaterial:
        """What is to be handed in; the steps that it names must be there, and its condition reads answers alone."""
        place = f"materials.{material.id}"
        by_id = {step.id: step for step in self._matter.steps}
        self._problems += [
            Problem(ProblemCode.STEP_UNKNOWN, f"{place}.seen_by", f"There is no task {name}.")
            for name in material.seen_by
            if not isinstance(by_id.get(name), TaskStep)
        ]
        if material.fact is not None and not isinstance(by_id.get(material.fact), FetchStep):
            self._problems.append(Problem(ProblemCode.STEP_UNKNOWN, f"{place}.fact", "No step fetches it."))
        when = self._expression(f"{place}.when", material.when, frozenset()) if material.when else None
        return CompiledMaterial(material, when)

    def undo(self, step: UndoableStep) -> CompiledStep:
        """What undoes a step: asked like a step, but never refusing anything. It may read what the step itself gave."""
        undo = step.undo
        assert undo is not None
        before = ancestors(self._matter, step.id) | {step.id}
        asked = {
            "id": undo_id(step.id),
            "retry": undo.retry,
            "time_limit": undo.time_limit,
            "needs": (),
            "after": (),
            "when": None,
            "optional": False,
            "on_failure": OnFailure.PARK,
            "undo": None,
        }
        place = f"steps.{step.id}.undo.input"
        if not isinstance(undo, UndoTask):
            name = "license_id" if isinstance(step, LicenseStep) else "payment_id"
            given = {name: Expression(f"steps.{step.id}.output.{name}")}
            return CompiledStep(step.model_copy(update=asked), input=given, undoes=step.id)
        agency = undo.agency or str(getattr(step, "agency", ""))
        task = TaskStep(kind=StepKind.TASK, id=step.id, title=step.title, agency=agency, operation=undo.operation)
        inputs = self._mapping(place, undo.input, before)
        return CompiledStep(task.model_copy(update=asked), input=inputs, undoes=step.id)

    def _inputs(self, step: Step, before: frozenset[str]) -> Inputs:
        made: dict[str, Expression | Mapping[str, Expression]] = {}
        for name, place, source in _sources(step):
            where = f"steps.{step.id}.{place}"
            if not isinstance(source, str):
                made[name] = self._mapping(where, source, before)
            elif (one := self._expression(where, source, before)) is not None:
                made[name] = one
        return made

    def _rules(self, step: Step, before: frozenset[str]) -> tuple[tuple[Rule, Expression], ...]:
        if not isinstance(step, DecideStep):
            return ()
        tests = [
            (rule, self._expression(f"steps.{step.id}.rules.{index}.test", rule.test, before))
            for index, rule in enumerate(step.rules)
        ]
        return tuple((rule, test) for rule, test in tests if test is not None)

    def _mapping(self, where: str, sources: Mapping[str, str], before: frozenset[str] | None) -> dict[str, Expression]:
        made = {name: self._expression(f"{where}.{name}", source, before) for name, source in sources.items()}
        return {name: one for name, one in made.items() if one is not None}

    def _expression(self, where: str, source: str, before: frozenset[str] | None) -> Expression | None:
        """Compile one; where it reads another case (`before` is None) its names are checked when that matter is known."""
        try:
            made = Expression(source)
        except ExpressionMalformed as malformed:
            self._problems.append(Problem(ProblemCode.EXPRESSION_MALFORMED, where, str(malformed)))
            return None
        if before is not None:
            self._problems.extend(unknown_names(self._matter, made, where, before))
        return made


def unknown_names(matter: Matter, made: Expression, where: str, before: frozenset[str]) -> list[Problem]:
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
        elif output and output not in outputs_of(by_id[step_id]):
            problems.append(Problem(ProblemCode.OUTPUT_UNKNOWN, where, f"Step {step_id} gives no {output}."))
    return problems


def _sources(step: Step) -> Iterator[tuple[str, str, str | Mapping[str, str]]]:
    """Every mapping of a step: name in its input, place in the definition, expression."""
    match step:
        case VerifyStep() | FetchStep() | LicenseStep() | TaskStep():
            for name, source in step.input.items():
                yield name, f"input.{name}", source
        case PayStep():
            yield "amount_fen", "amount", step.amount
        case SubCaseStep():
            yield "answers", "answers", step.answers
        case SignStep():
            yield "signer", "signer", step.signer
            yield "shown", "shown", step.shown
        case WaitStep(until=str(until)):
            yield "until", "until", until
        case _:
            pass
