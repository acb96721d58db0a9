# SPDX-License-Identifier: Apache-2.0
"""Joins single-department matters into one (一件事): what means the same is asked once, and what one gives is asked by none.

The order follows from who gives what to whom. That the whole can't come to a deadlock is proven as for any definition:
what is joined is compiled, and a circle of items that wait for each other is a STEP_CYCLE.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from services.gateway.definitions.known import IDENTITY
from services.gateway.definitions.rewriting import renamed, rewritten
from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.critical_path import Activity, CriticalPath, critical_path
from services.gateway.domain.definition import FormField, IdentityPrefill, Matter, Step, TaskStep
from services.gateway.domain.expected_end import promised_days_by
from services.gateway.domain.plan import Plan, compile_plan
from services.gateway.domain.structure import may_be_skipped
from services.kit.errors import StartupError


class BundleInvalid(StartupError):  # noqa: N818 - it states what is so
    """Matters can't be joined."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A question that nobody asks any more, and which step gives the answer."""

    item: str
    field: str
    given_by: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """The joined matter, and what was won."""

    matter: Matter
    asked_apart: int
    """Questions that the matters ask by themselves; what is prefilled is none."""
    dropped: tuple[Dropped, ...]
    path: CriticalPath
    """In working days, by the steps' promises."""

    @property
    def asked(self) -> int:
        """Questions that are left."""
        return sum(one.prefill is None for one in self.matter.form)


def bundle(head: Mapping[str, Any], items: Sequence[Matter], rules: ClockRules) -> Bundle:
    """Join them. `head` is the matter without form, materials and steps.

    Raises:
        BundleInvalid: one meaning has two types, or the joined matter is no matter.
        DefinitionInvalid: the joined structure does not hold, e.g. two items wait for each other.
    """
    codes = [item.code for item in items]
    if len(items) < 2 or len(set(codes)) < len(codes):  # noqa: PLR2004 - one alone is no bundle
        raise BundleInvalid("A bundle has two matters or more, each once.")
    joined = _Joined(items)
    try:
        matter = Matter.model_validate(
            {**head, "form": joined.form(), "steps": joined.steps(), "materials": joined.materials()}
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BundleInvalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    plan = compile_plan(matter)
    apart = sum(one.prefill is None for item in items for one in item.form)
    return Bundle(matter, apart, tuple(joined.dropped), path_of(plan, rules))


def path_of(plan: Plan, rules: ClockRules) -> CriticalPath:
    """The longest way through a matter in working days, by what its steps promise."""
    return critical_path(
        Activity(step.id, promised_days_by(rules, step), (*step.needs, *step.after)) for step in plan.matter.steps
    )


class _Joined:
    def __init__(self, items: Sequence[Matter]) -> None:
        self._items = items
        self.dropped: list[Dropped] = []
        self._fields: dict[str, FormField] = {}
        """What is asked once: key of its meaning to the field under its new name."""
        self._answers: dict[str, dict[str, str]] = {}
        """Item to field to the expression that stands for it."""
        self._needs: dict[tuple[str, str], str] = {}
        """(item, field) to the step that gives its value."""
        given = dict(self._outputs())
        for item in items:
            self._answers[item.code] = {one.name: self._place(item, one, given) for one in item.form}

    def form(self) -> list[dict[str, Any]]:
        """Every question that is left."""
        return [one.model_dump(mode="json", exclude_defaults=True) for one in self._fields.values()]

    def steps(self) -> list[dict[str, Any]]:
        """Every item's steps under new ids, those first that others wait for only by their `needs`."""
        made = []
        for item in self._items:
            ids = {step.id: f"{item.code}_{step.id}" for step in item.steps}
            for step in item.steps:
                values = step.model_dump(mode="json", exclude_defaults=True)
                values = rewritten(values, lambda source, item=item, ids=ids: self._renamed(source, item, ids))  # type: ignore[misc] # mypy can't infer defaults
                read = {name for name in self._answers[item.code] if self._reads(step, name)}
                more = [self._needs[item.code, name] for name in sorted(read) if (item.code, name) in self._needs]
                needs = dict.fromkeys([*(ids[one] for one in step.needs), *more])
                values |= {"id": ids[step.id], "needs": list(needs), "after": [ids[one] for one in step.after]}
                made.append(values)
        return made

    def materials(self) -> list[dict[str, Any]]:
        """Every item's materials under new ids, and for its own steps."""
        made = []
        for item in self._items:
            ids = {step.id: f"{item.code}_{step.id}" for step in item.steps}
            for one in item.materials:
                values = one.model_dump(mode="json", exclude_defaults=True)
                values |= {"id": f"{item.code}_{one.id}", "seen_by": [ids[name] for name in one.seen_by]}
                if one.fact is not None:
                    values["fact"] = ids[one.fact]
                if one.when is not None:
                    values["when"] = self._renamed(one.when, item, ids)
                made.append(values)
        return made

    def _renamed(self, source: str, item: Matter, ids: Mapping[str, str]) -> str:
        return renamed(source, self._answers[item.code], ids)

    def _reads(self, step: Step, name: str) -> bool:
        """Whether any expression of a step reads a field: it would be another one if the field were called otherwise."""
        values = step.model_dump(mode="json", exclude_defaults=True)
        return rewritten(values, lambda source: renamed(source, {name: "other"}, {})) != values

    def _outputs(self) -> Iterator[tuple[str, tuple[str, str, str]]]:
        """What steps surely give: meaning to (item, new id of the step, output)."""
        for item in self._items:
            for step in item.steps:
                if isinstance(step, TaskStep) and not may_be_skipped(step):
                    for name, meaning in step.means.items():
                        if not step.output[name].endswith("?"):
                            yield meaning, (item.code, f"{item.code}_{step.id}", name)

    def _place(self, item: Matter, one: FormField, given: Mapping[str, tuple[str, str, str]]) -> str:
        """The expression that stands for a field from now on."""
        giver = given.get(one.means or "")
        if one.prefill is None and giver is not None and giver[0] != item.code:
            self.dropped.append(Dropped(item.code, one.name, giver[1]))
            self._needs[item.code, one.name] = giver[1]
            return f"steps.{giver[1]}.output.{giver[2]}"
        key = _meaning(one) or f"{item.code} {one.name}"
        there = self._fields.get(key)
        if there is None:
            taken = {each.name for each in self._fields.values()}
            named = one.name if one.name not in taken else f"{item.code}_{one.name}"
            self._fields[key] = one.model_copy(update={"name": named})
        elif there.type is not one.type or there.choices != one.choices:
            raise BundleInvalid(f"{item.code}.{one.name} and {there.name} mean {key}, and are of different types.")
        else:
            self._fields[key] = _merged(there, one)
        return f"answers.{self._fields[key].name}"


def _merged(there: FormField, one: FormField) -> FormField:
    """Asked once, by the stricter rule; a source that one of them knows fills it for both."""
    length = there.length.model_copy(
        update={"min": max(there.length.min, one.length.min), "max": min(there.length.max, one.length.max)}
    )
    prefill = there.prefill or one.prefill
    return there.model_copy(
        update={
            "required": there.required or one.required,
            "sensitive": there.sensitive or one.sensitive,
            "read_only": prefill is not None and there.read_only and one.read_only,
            "prefill": prefill,
            "length": length,
        }
    )


def _meaning(one: FormField) -> str:
    """What the answer is, by its own word or by its source."""
    if one.means is not None:
        return one.means
    if isinstance(one.prefill, IdentityPrefill):
        return IDENTITY[one.prefill.field]
    return f"{one.prefill.resource} {one.prefill.field}" if one.prefill is not None else ""
