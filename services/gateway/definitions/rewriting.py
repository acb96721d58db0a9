# SPDX-License-Identifier: Apache-2.0
"""Expressions of a definition with other names in them; texts within quotes stay as they are."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_READ = re.compile(r"\b(answers|steps)\s*\.\s*([a-z][a-z0-9_]*)")
_EXPRESSIONS = frozenset({"when", "until", "amount", "signer"})
_MAPPINGS = frozenset({"input", "answers", "shown"})


def renamed(source: str, answers: Mapping[str, str], steps: Mapping[str, str]) -> str:
    """The same expression where `answers` tells each field's new expression and `steps` each step's new id."""

    def name(match: re.Match[str]) -> str:
        if match[1] == "answers":
            return answers.get(match[2], f"answers.{match[2]}")
        return f"steps.{steps.get(match[2], match[2])}"

    parts, last = [], 0
    for quoted in _QUOTED.finditer(source):
        parts += [_READ.sub(name, source[last : quoted.start()]), quoted[0]]
        last = quoted.end()
    return "".join([*parts, _READ.sub(name, source[last:])])


def rewritten(step: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """A step's values with every expression over its own case renamed; a sub-case's outputs are over another one."""
    made = dict(step)
    for key in _EXPRESSIONS & made.keys():
        made[key] = rename(made[key])
    for key in _MAPPINGS & made.keys():
        made[key] = _mapping(made[key], rename)
    if "rules" in made:
        made["rules"] = [{**rule, "test": rename(rule["test"])} for rule in made["rules"]]
    if made.get("undo") and "input" in made["undo"]:
        made["undo"] = {**made["undo"], "input": _mapping(made["undo"]["input"], rename)}
    return made


def _mapping(mapping: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    return {
        name: rename(value) if isinstance(value, str) else _mapping(value, rename) for name, value in mapping.items()
    }
