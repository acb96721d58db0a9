# SPDX-License-Identifier: Apache-2.0
"""Answers to a matter's form, and what departments give back: each value against its declaration."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.gateway.domain import kinds
from services.gateway.domain.definition import FieldType, FormField, Matter, OutputType, TaskStep, WaitStep
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.refusals import AnswersInvalid, AnswersMissing, TaskOutputInvalid
from services.kit.errors import Violation

OUTPUT_TEXT_MAX = 500
VIOLATIONS_MAX = 100


def check_answers(matter: Matter, answers: Mapping[str, str], without: Iterable[str]) -> None:
    """Refuse answers that the form does not ask for or that break its rules; empty ones only take back.

    Raises:
        AnswersInvalid: with one violation for each field.
    """
    violations = _faults(matter.form, answers)
    optional = {step.id for step in matter.steps if step.optional}
    violations += [
        Violation(f"without.{_shown(name)}", "There is no optional step of this id.")
        for name in without
        if name not in optional
    ]
    if violations:
        raise AnswersInvalid("Some answers do not fit the form.", violations=violations[:VIOLATIONS_MAX])


def check_precheck(matter: Matter, answers: Mapping[str, str]) -> None:
    """The same for the questions of the eligibility check.

    Raises:
        AnswersInvalid: with one violation for each question.
    """
    if violations := _faults(matter.precheck, answers):
        raise AnswersInvalid("Some answers do not fit the questions.", violations=violations[:VIOLATIONS_MAX])


def check_complete(matter: Matter, effective: Mapping[str, str]) -> None:
    """Refuse to submit a form with a required field left empty.

    Raises:
        AnswersMissing: with one violation for each field.
    """
    missing = [one for one in matter.form if one.required and not effective.get(one.name)]
    if missing:
        raise AnswersMissing(
            "The form is not complete.",
            violations=[Violation(f"answers.{one.name}", "An answer is needed.") for one in missing],
        )


def fitting_value(field: FormField, value: str) -> bool:
    """Whether a source's value may stand in the field."""
    return _fault_of(field, value) == ""


def masked(value: str) -> str:
    """First and last character; a single one is hidden wholly, two show the first."""
    if len(value) <= 2:  # noqa: PLR2004 - a name of two characters
        return value[:1] + "*" if len(value) > 1 else "*" * len(value)
    return value[0] + "*" * (len(value) - 2) + value[-1]


def check_output(step: TaskStep | WaitStep, output: Mapping[str, Any]) -> dict[str, Scalar]:
    """What the department gave, as declared; other names are left out: nothing is kept without a use.

    Raises:
        TaskOutputInvalid: names each value that is missing or malformed.
    """
    kept: dict[str, Scalar] = {}
    violations = []
    for name, declared in step.output.items():
        value = output.get(name)
        if value is None or value == "":
            if not declared.endswith("?"):
                violations.append(Violation(f"output.{name}", "Must be given."))
        elif (fault := _fault_of_output(OutputType(declared.rstrip("?")), value)) != "":
            violations.append(Violation(f"output.{name}", fault))
        else:
            kept[name] = value
    if violations:
        names = ", ".join(one.field.removeprefix("output.") for one in violations)
        raise TaskOutputInvalid(f"The output does not fit the step: {names}.", violations=violations)
    return kept


def _faults(fields: Iterable[FormField], answers: Mapping[str, str]) -> list[Violation]:
    known = {one.name: one for one in fields}
    return [
        Violation(f"answers.{_shown(name)}", fault)
        for name, value in answers.items()
        if (fault := _fault_of_answer(known.get(name), value)) != ""
    ]


def _fault_of_answer(field: FormField | None, value: str) -> str:
    if field is None:
        return "The form does not ask for it."
    if field.read_only:
        return "Filled from its source only."
    return _fault_of(field, value) if value else ""


def _fault_of(field: FormField, value: str) -> str:
    match field.type:
        case FieldType.TEXT:
            return kinds.fault_of_text(value, field.length.min, field.length.max)
        case FieldType.DATE:
            return kinds.fault_of_date(value)
        case FieldType.ENUM:
            known = [choice.value for choice in field.choices]
            return "" if value in known else f"Must be one of: {', '.join(known)}."
        case FieldType.CITIZEN_NUMBER:
            return kinds.fault_of_citizen_number(value)
        case FieldType.ACCOUNT:
            return kinds.fault_of_account(value)


def _fault_of_output(kind: OutputType, value: Any) -> str:  # noqa: PLR0911 - one arm for each kind
    if kind is OutputType.NUMBER:
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "Must be a number."
    if kind is OutputType.BOOLEAN:
        return "" if isinstance(value, bool) else "Must be true or false."
    if not isinstance(value, str):
        return "Must be text."
    match kind:
        case OutputType.DATE:
            return kinds.fault_of_date(value)
        case OutputType.CITIZEN_NUMBER:
            return kinds.fault_of_citizen_number(value)
        case OutputType.SERIAL:
            return kinds.fault_of_serial(value)
        case OutputType.UUID:
            return kinds.fault_of_uuid(value)
        case _:
            return kinds.fault_of_text(value, 1, OUTPUT_TEXT_MAX)


def _shown(name: str) -> str:
    """A name from outside, bounded and plain, so that it can stand in an error."""
    return name[:64] if name[:64].isidentifier() and name.isascii() else "?"
