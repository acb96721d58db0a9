# SPDX-License-Identifier: Apache-2.0
"""Nobody is asked for what a department holds (Order 809, art. 19), nor for what nothing needs (PIPL, art. 6).

Materials are looked at like questions: what they prove is what they ask for.

Meanings are compared, not names: a field says what its answer `means` (`applicant.birth_date`), and the catalogue says it
of its fields. What neither says can't be found, so a field that says nothing is a problem of its own.
"""

from collections.abc import Iterator, Mapping

from services.gateway.definitions.known import Known
from services.gateway.domain.definition import FormField, TaskStep
from services.gateway.domain.expressions import Expression
from services.gateway.domain.plan import CompiledStep, Plan
from services.gateway.domain.problems import Problem, ProblemCode


def once_only_problems(plan: Plan, known: Known) -> Iterator[Problem]:
    """Fields that need not be asked."""
    held = dict(known.held())
    for step in plan.matter.steps:
        if isinstance(step, TaskStep):
            for name, meaning in step.means.items():
                held[meaning] = (*held.get(meaning, ()), f"step {step.id} {name}")
    read = frozenset(_conditions(plan)) | frozenset(
        name for compiled in (*plan.steps.values(), *plan.undos.values()) for name in _answers_of(compiled)
    )
    for one in plan.matter.form:
        where = f"form.{one.name}"
        if one.name not in read and one.asked_because is None:
            yield Problem(ProblemCode.FIELD_UNUSED, where, "It is asked, and no step reads it.")
        if _asked_anew(one):
            if one.means is None:
                yield Problem(ProblemCode.MEANING_MISSING, where, "It does not say what the answer means.")
            elif places := held.get(one.means):
                holders = f"It asks for {one.means}, which is held: {'; '.join(places)}."
                yield Problem(ProblemCode.ONCE_ONLY, where, holders)

    yield from _materials(plan, held)


def _materials(plan: Plan, held: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    """Files that prove only what is held, with nothing that stands for them."""
    for one in plan.matter.materials:
        where = f"materials.{one.id}"
        if one.license_type or one.fact or one.asked_because is not None:
            continue
        if not one.proves:
            yield Problem(ProblemCode.MEANING_MISSING, where, "It does not say what it proves.")
        elif all(meaning in held for meaning in one.proves):
            places = "; ".join(dict.fromkeys(place for meaning in one.proves for place in held[meaning]))
            yield Problem(ProblemCode.ONCE_ONLY, where, f"All that it proves is held: {places}.")


def _conditions(plan: Plan) -> Iterator[str]:
    for compiled in plan.materials.values():
        if compiled.when is not None:
            yield from compiled.when.answers


def _asked_anew(one: FormField) -> bool:
    return one.prefill is None and one.asked_because is None


def _answers_of(compiled: CompiledStep) -> Iterator[str]:
    if compiled.when is not None:
        yield from compiled.when.answers
    for _, test in compiled.rules:
        yield from test.answers
    for mapped in compiled.input.values():
        for one in (mapped,) if isinstance(mapped, Expression) else mapped.values():
            yield from one.answers
