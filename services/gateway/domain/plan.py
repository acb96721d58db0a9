# SPDX-License-Identifier: Apache-2.0
"""A matter made ready to run: expressions compiled and references checked before any case meets them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.gateway.domain.compiling import CompiledMaterial, CompiledStep, Compiler, outputs_of
from services.gateway.domain.definition import Matter, Step, UndoableStep, WaitStep, undo_id
from services.gateway.domain.eligibility import CompiledRule, compile_rules
from services.gateway.domain.problems import DefinitionInvalid, Problem, ProblemCode
from services.gateway.domain.structure import structure_problems

__all__ = ["CompiledStep", "Plan", "compile_plan", "outputs_of"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A matter ready to run; `digest` is what cases are pinned to."""

    matter: Matter
    digest: str
    steps: Mapping[str, CompiledStep]
    """In the order of the definition."""
    undos: Mapping[str, CompiledStep] = field(default_factory=dict)
    """What undoes steps, by its own id (`<step>.undo`)."""
    signals: Mapping[str, str] = field(default_factory=dict)
    """Name of a signal to the step that waits for it."""
    eligibility: tuple[CompiledRule, ...] = ()
    materials: Mapping[str, CompiledMaterial] = field(default_factory=dict)
    """By id, in the order of the definition."""

    def compiled(self, step_id: str) -> CompiledStep | None:
        """A step, or what undoes one; None where there is none of this id."""
        return self.steps.get(step_id) or self.undos.get(step_id)

    def step(self, step_id: str) -> Step | None:
        """The same without its expressions."""
        compiled = self.compiled(step_id)
        return compiled.step if compiled else None


def compile_plan(matter: Matter) -> Plan:
    """Make a matter ready.

    Raises:
        DefinitionInvalid: with every problem found, each with its code and place.
    """
    problems = list(structure_problems(matter))
    compiler = Compiler(matter, problems)
    steps = {step.id: compiler.step(step) for step in matter.steps}
    undos = {
        undo_id(step.id): compiler.undo(step)
        for step in matter.steps
        if isinstance(step, UndoableStep) and step.undo is not None
    }
    eligibility = compile_rules([one.name for one in matter.precheck], matter.eligibility, problems)
    materials = {one.id: compiler.material(one) for one in matter.materials}
    if not problems:
        problems += [
            Problem(ProblemCode.STEP_UNREACHABLE, f"steps.{step.id}", "Its condition is never true.")
            for step in matter.steps
            if _never(steps[step.id])
        ]
    if problems:
        raise DefinitionInvalid(matter.code, problems)
    signals = {step.signal: step.id for step in matter.steps if isinstance(step, WaitStep) and step.signal}
    return Plan(matter, matter.digest, steps, undos, signals, eligibility, materials)


def _never(step: CompiledStep) -> bool:
    return step.when is not None and step.when.constant and step.when.value({}) is False
