# SPDX-License-Identifier: Apache-2.0
"""Types of conditions and mappings, found by trying them: over every choice, and with each value missing that may be.

A trial proves what it meets and no more: an expression that fails only for certain values of a text is not found.
"""

from collections.abc import Callable, Iterator, Mapping

from services.gateway.definitions.known import Attribute, Known
from services.gateway.definitions.samples import Samples
from services.gateway.domain import kinds
from services.gateway.domain.definition import (
    ExchangePrefill,
    FetchStep,
    FieldType,
    LicenseStep,
    PayStep,
    SignStep,
    Step,
    VerifyStep,
    WaitStep,
)
from services.gateway.domain.expressions import Expression, ExpressionFailed, Scalar
from services.gateway.domain.plan import CompiledStep, Plan
from services.gateway.domain.problems import Problem, ProblemCode

_VERIFY = {
    "subject_id": "uuid",
    "number": "text",
    "number_kind": "text",
    "name": "text",
    "birth_date": "date",
    "phone": "text",
}
"""What identity compares, see its `step_claims`."""
_SUBJECTS = {"subject_id": "uuid", "number": "text", "uscc": "text"}
"""How exchange is told whom a question is about; exactly one."""
_LICENSE = {"holder_id": "uuid", "serial": "serial", "reader_id": "uuid"}
_ENDED = {"holder_id": "uuid", "successor_id": "uuid"}


def mapping_problems(plan: Plan, known: Known) -> Iterator[Problem]:
    """Everything about the values that pass between form, steps and their owners."""
    yield from _prefills(plan, known)
    samples = Samples(plan, known)
    for compiled in plan.steps.values():
        yield from _conditions(compiled, samples)
        yield from _failing(compiled, samples)
        match compiled.step:
            case VerifyStep():
                yield from _inputs(compiled, compiled.input, _VERIFY, samples)
            case FetchStep():
                yield from _fetch(compiled, compiled.step, known, samples)
            case LicenseStep():
                yield from _license(compiled, compiled.step, known, samples)
            case PayStep():
                yield from _inputs(compiled, compiled.input, {"amount_fen": "number"}, samples)
            case SignStep():
                signer = {name: one for name, one in compiled.input.items() if name == "signer"}
                yield from _inputs(compiled, signer, {"signer": "uuid"}, samples)
            case _:
                pass
        yield from _unbounded(compiled.step)


def _prefills(plan: Plan, known: Known) -> Iterator[Problem]:
    for one in plan.matter.form:
        if isinstance(one.prefill, ExchangePrefill):
            where = f"form.{one.name}.prefill"
            kind = known.resources.get(one.prefill.resource, {}).get(one.prefill.field)
            if kind is None:
                unknown = f"The catalogue has no field {one.prefill.field} of {one.prefill.resource}."
                yield Problem(ProblemCode.RESOURCE_UNKNOWN, where, unknown)
            elif (kind == "date") != (one.type is FieldType.DATE):
                yield Problem(ProblemCode.TYPE_MISMATCH, where, f"The source gives {kind}, the field takes {one.type}.")


def _unbounded(step: Step) -> Iterator[Problem]:
    """Whoever waits for a person or a signal has a clock: else a case could wait in silence for ever."""
    match step:
        case (
            WaitStep(duration=None, until=None, time_limit=None) | SignStep(time_limit=None) | PayStep(time_limit=None)
        ):
            yield Problem(ProblemCode.WAIT_UNBOUNDED, f"steps.{step.id}", "It may wait for ever.")
        case _:
            pass


def _conditions(compiled: CompiledStep, samples: Samples) -> Iterator[Problem]:
    """Conditions give true or false."""
    for place, condition in _truths(compiled):
        for names in samples.variants(condition):
            found = _tried(condition, names)
            if found is not None and not isinstance(found, bool):
                yield Problem(ProblemCode.TYPE_MISMATCH, place, "A condition gives true or false.")
                break


def _failing(compiled: CompiledStep, samples: Samples) -> Iterator[Problem]:
    """Expressions that can't be evaluated would park the case."""
    for place, expression in (*_truths(compiled), *_mapped(compiled)):
        if any(_tried(expression, names) is None for names in samples.variants(expression)):
            failing = "It can't be evaluated although every value is there."
            yield Problem(ProblemCode.TYPE_MISMATCH, place, failing)
            continue
        guard = compiled.when if compiled.when is not expression else None
        for path, names in samples.sparse(compiled.step.id, expression):
            if (guard is None or _tried(guard, names) is True) and _tried(expression, names) is None:
                empty = f"It can't be evaluated where {'.'.join(path)} is empty."
                yield Problem(ProblemCode.EXPRESSION_MAY_FAIL, place, empty)


def _fetch(compiled: CompiledStep, step: FetchStep, known: Known, samples: Samples) -> Iterator[Problem]:
    where = f"steps.{step.id}"
    fields = known.resources.get(step.resource)
    if fields is None:
        yield Problem(ProblemCode.RESOURCE_UNKNOWN, where, f"The catalogue has no resource {step.resource}.")
    else:
        for name in step.fields:
            if name not in fields:
                yield Problem(ProblemCode.RESOURCE_UNKNOWN, where, f"{step.resource} has no field {name}.")
    yield from _inputs(compiled, compiled.input, _SUBJECTS, samples)
    if len(compiled.input) != 1:
        one_of = f"A question is about exactly one of {', '.join(_SUBJECTS)}."
        yield Problem(ProblemCode.INPUT_MISSING, f"{where}.input", one_of)


def _license(compiled: CompiledStep, step: LicenseStep, known: Known, samples: Samples) -> Iterator[Problem]:
    where = f"steps.{step.id}"
    own = {name: one for name, one in compiled.input.items() if name != "attributes"}
    yield from _inputs(compiled, own, _ENDED if step.ends else _LICENSE, samples)
    if "holder_id" not in own:
        yield Problem(ProblemCode.INPUT_MISSING, f"{where}.input", "A license has a holder_id.")
    attributes = known.licenses.get(step.license_type)
    if attributes is None:
        yield Problem(ProblemCode.LICENSE_TYPE_UNKNOWN, where, f"There is no license type {step.license_type}.")
        return
    given = compiled.input.get("attributes", {})
    assert isinstance(given, Mapping)  # The plan refuses anything else.
    wanted = {name: one.kind for name, one in attributes.items()}
    yield from _inputs(compiled, given, wanted, samples, "input.attributes")
    if not step.ends:
        yield from _required(compiled, attributes, given, samples)


def _required(
    compiled: CompiledStep, attributes: Mapping[str, Attribute], given: Mapping[str, Expression], samples: Samples
) -> Iterator[Problem]:
    where = f"steps.{compiled.step.id}.input.attributes"
    for name in (name for name, one in attributes.items() if one.required):
        if name not in given:
            yield Problem(ProblemCode.INPUT_MISSING, where, f"The license type needs {name}.")
            continue
        for path, names in samples.sparse(compiled.step.id, given[name]):
            guarded = compiled.when is not None and _tried(compiled.when, names) is not True
            promised = not samples.slot(compiled.step.id, path).may_be_empty
            if not guarded and not promised and _tried(given[name], names) == "":
                empty = f"The license type needs it, and {'.'.join(path)} may be empty."
                yield Problem(ProblemCode.INPUT_MAY_BE_EMPTY, f"{where}.{name}", empty)


def _inputs(
    compiled: CompiledStep,
    given: Mapping[str, "Expression | Mapping[str, Expression]"],
    wanted: Mapping[str, str],
    samples: Samples,
    place: str = "input",
) -> Iterator[Problem]:
    """Names that the owner knows, and values of the kinds that it wants."""
    for name, expression in given.items():
        where = f"steps.{compiled.step.id}.{place}.{name}"
        if name not in wanted:
            yield Problem(ProblemCode.INPUT_UNKNOWN, where, f"The owner of the step knows no {name}.")
        elif not isinstance(expression, Expression):
            yield Problem(ProblemCode.TYPE_MISMATCH, where, f"Wanted is one value, {wanted[name]}.")
        elif any(not _fits(wanted[name], _tried(expression, names)) for names in samples.variants(expression)):
            yield Problem(ProblemCode.TYPE_MISMATCH, where, f"Wanted is {wanted[name]}.")


_FAULTS: Mapping[str, Callable[[str], str]] = {
    "date": kinds.fault_of_date,
    "serial": kinds.fault_of_serial,
    "uuid": kinds.fault_of_uuid,
    "sex": lambda value: "" if value in {"male", "female"} else "Must be male or female.",
    "text": lambda _: "",
}


def _fits(kind: str, value: Scalar | None) -> bool:
    """Whether a value is of a kind; one that could not be found out is told elsewhere."""
    if value is None:
        return True
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return kind in _FAULTS and isinstance(value, str) and _FAULTS[kind](value) == ""


def _tried(expression: Expression, names: Mapping[str, object]) -> Scalar | None:
    try:
        return expression.value(names)
    except ExpressionFailed:
        return None


def _truths(compiled: CompiledStep) -> Iterator[tuple[str, Expression]]:
    where = f"steps.{compiled.step.id}"
    if compiled.when is not None:
        yield f"{where}.when", compiled.when
    for index, (_, test) in enumerate(compiled.rules):
        yield f"{where}.rules.{index}.test", test


def _mapped(compiled: CompiledStep) -> Iterator[tuple[str, Expression]]:
    for name, one in compiled.input.items():
        where = f"steps.{compiled.step.id}.input.{name}"
        if isinstance(one, Expression):
            yield where, one
        else:
            yield from ((f"{where}.{inner}", each) for inner, each in one.items())
