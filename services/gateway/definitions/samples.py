# SPDX-License-Identifier: Apache-2.0
"""Made-up values of every declared kind: expressions are tried over them before a case does it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.gateway.definitions.known import Known
from services.gateway.domain.definition import FetchStep, FieldType, FormField, Step, StepKind, TaskStep, WaitStep
from services.gateway.domain.expressions import Expression, Scalar
from services.gateway.domain.plan import Plan, outputs_of
from services.gateway.domain.steps import CAME

Path = tuple[str, ...]

SAMPLES: Mapping[str, Scalar] = {
    "text": "样本 sample",
    "date": "2026-01-31",
    "citizen_number": "990100189001011235",
    "account": "6222000000000000",
    "serial": "A1",
    "sex": "female",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "number": 1,
    "boolean": True,
}
"""A text fits no other kind, so that what wants another kind is found out."""

_OF_KIND = {
    StepKind.VERIFY: {"result": "match", "subject_id": SAMPLES["uuid"]},
    StepKind.LICENSE: {"license_id": SAMPLES["uuid"], "identifier": "1.2.156.3005.2", "version": "1"},
    StepKind.PAY: {"payment_id": SAMPLES["uuid"], "paid_fen": SAMPLES["number"]},
    StepKind.SIGN: {"signer_id": SAMPLES["uuid"], "sign_date": SAMPLES["date"]},
    StepKind.SUB_CASE: {"case_id": SAMPLES["uuid"], "receipt": "1"},
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One value that expressions may read."""

    values: tuple[Scalar, ...]
    """What it may be, the usual first."""
    may_be_empty: bool = False
    """A case can run without it."""
    promised: bool = True
    """It is there whenever its step is done; a register may know nothing all the same."""


class Samples:
    """The values of one plan."""

    def __init__(self, plan: Plan, known: Known) -> None:
        self._plan = plan
        self._slots: dict[Path, Slot] = {
            ("applicant", "id"): Slot((SAMPLES["uuid"],)),
            ("case", "id"): Slot((SAMPLES["uuid"],)),
            ("case", "receipt"): Slot(("1",)),
            ("case", "matter"): Slot((plan.matter.code,)),
            ("case", "submitted_date"): Slot((SAMPLES["date"],)),
        }
        for one in plan.matter.form:
            self._slots["answers", one.name] = _of_field(one)
        for compiled in plan.steps.values():
            self._slots["steps", compiled.step.id, "state"] = Slot(("done",))
            for name, slot in _of_step(compiled.step, known):
                self._slots["steps", compiled.step.id, "output", name] = slot

    def usual(self) -> dict[str, Any]:
        """Everything is there."""
        return self._names({})

    def variants(self, expression: Expression) -> Iterator[dict[str, Any]]:
        """Everything is there: the usual, then each choice of what the expression reads."""
        yield self.usual()
        for path in self._read(expression):
            for value in self._slots[path].values[1:]:
                yield self._names({path: value})

    def sparse(self, step_id: str, *expressions: Expression) -> Iterator[tuple[Path, dict[str, Any]]]:
        """One of the values read by these is empty, each in its turn: as it can be when this step begins."""
        for path in dict.fromkeys(path for one in expressions for path in self._read(one)):
            slot = self.slot(step_id, path)
            if slot.may_be_empty or not slot.promised:
                yield path, self._names({path: ""})

    def slot(self, step_id: str, path: Path) -> Slot:
        """The value as it is when a step begins: outputs of steps that need not be done by then may be empty."""
        slot = self._slots[path]
        if path[0] == "steps" and path[1] not in self._surely_done(step_id):
            return replace(slot, may_be_empty=True)
        return slot

    def _read(self, expression: Expression) -> list[Path]:
        read: list[Path] = [("answers", name) for name in sorted(expression.answers)]
        read += [("steps", step_id, "output", name) for step_id, name in sorted(expression.steps) if name]
        return [path for path in read if path in self._slots]

    def _surely_done(self, step_id: str) -> set[str]:
        found: set[str] = set()
        open_ids = [step_id]
        while open_ids:
            step = self._plan.step(open_ids.pop())
            for other in step.needs if step else ():
                if other not in found:
                    found.add(other)
                    open_ids.append(other)
        return found

    def _names(self, changed: Mapping[Path, Scalar]) -> dict[str, Any]:
        names: dict[str, Any] = {"answers": {}, "applicant": {}, "case": {}, "steps": {}}
        for step_id in self._plan.steps:
            names["steps"][step_id] = {"output": {}}
        for path, slot in self._slots.items():
            place = names
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = changed.get(path, slot.values[0])
        return names


def _of_field(field: FormField) -> Slot:
    values: tuple[Scalar, ...] = (SAMPLES.get(field.type.value, SAMPLES["text"]),)
    if field.type is FieldType.ENUM:
        values = tuple(choice.value for choice in field.choices)
    return Slot(values, may_be_empty=not field.required)


def _of_step(step: Step, known: Known) -> Iterator[tuple[str, Slot]]:
    if isinstance(step, TaskStep):
        for name, declared in step.output.items():
            yield name, Slot((SAMPLES[declared.rstrip("?")],), may_be_empty=declared.endswith("?"))
    elif isinstance(step, WaitStep):
        by_itself = step.duration is not None or step.until is not None
        yield CAME, Slot(("signal", "time") if step.signal and by_itself else ("signal" if step.signal else "time",))
        for name, declared in step.output.items():
            yield name, Slot((SAMPLES[declared.rstrip("?")],), may_be_empty=by_itself or declared.endswith("?"))
    elif isinstance(step, FetchStep):
        kinds = known.resources.get(step.resource, {})
        for name in step.fields:
            yield name, Slot((SAMPLES.get(kinds.get(name, "text"), SAMPLES["text"]),), promised=False)
    else:
        fixed = _OF_KIND.get(step.kind, {})
        for name in sorted(outputs_of(step)):
            yield name, Slot((fixed.get(name, SAMPLES["text"]),))
