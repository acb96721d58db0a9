# SPDX-License-Identifier: Apache-2.0
"""What changes between two versions of a definition, value by value, and for whom."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.domain.definition import Matter

RESIDENT = "resident"
OPERATOR = "operator"
_SHOWN = 120
_KEYS = ("id", "name", "value")


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is another now. An empty side means that there is none."""

    where: str
    whom: str
    """`resident`, `operator`, or the role of an agency."""
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.where} [{self.whom}]: {_short(self.after)}"
        if not self.after:
            return f"- {self.where} [{self.whom}]: {_short(self.before)}"
        return f"~ {self.where} [{self.whom}]: {_short(self.before)} -> {_short(self.after)}"


def changes(before: Matter, after: Matter) -> tuple[Change, ...]:
    """Every difference, in the order of the new version, then what is gone."""
    old, new = (_leaves(each) for each in (before, after))
    agencies = {**_agencies(before), **_agencies(after)}
    return tuple(
        Change(where, _whom(where, agencies), old.get(where, ""), new.get(where, ""))
        for where in dict.fromkeys((*new, *old))
        if old.get(where) != new.get(where)
    )


def _agencies(matter: Matter) -> dict[str, str]:
    return {step.id: getattr(step, "agency", None) or OPERATOR for step in matter.steps}


def _whom(where: str, agencies: Mapping[str, str]) -> str:
    """Who has to do with it: whoever does the step; the resident for form, words and rules."""
    parts = where.split(".")
    if parts[0] == "steps" and len(parts) > 1:
        told = {"message", "rules", "optional", "title"} & set(parts[2:3])
        return RESIDENT if told else agencies.get(parts[1], OPERATOR)
    return RESIDENT if parts[0] in {"form", "title", "summary", "notes"} else OPERATOR


def _leaves(matter: Matter) -> dict[str, str]:
    return dict(_walk("", matter.model_dump(mode="json", exclude_defaults=True)))


def _walk(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """Paths to plain values; members of lists by their name, so that order alone is no change."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _walk(f"{where}.{key}" if where else key, one)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for index, one in enumerate(value):
            name = next((str(one[key]) for key in _KEYS if key in one), str(index))
            yield from _walk(f"{where}.{name}", one)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield where, text


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
