# SPDX-License-Identifier: Apache-2.0
"""How each matter is tried: `scripts/<matter>.yaml` has a case for every way that it can end, with the person who files it.

A case without `told` runs on the whole system as it stands. `told` replaces what the owner of a step answers: such a case runs
over the rules alone (tests, simulation), for what a healthy city never answers.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.cast import cast
from services.kit.yaml import load_yaml

FOLDER = Path(__file__).with_name("scripts")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(_Part):
    """What a step's owner answers."""

    outcome: Literal["done", "refused", "unavailable"] = "done"
    reason: str = ""
    output: dict[str, str | float | bool] = {}


class ScriptCase(_Part):
    """One case, from the form to its end."""

    name: str
    persona: str
    answers: dict[str, str] = {}
    without: tuple[str, ...] = ()
    ends: Literal["completed", "refused", "parked"] = "completed"
    reason: str = ""
    """Of a refusal, or of the parked step."""
    not_done: tuple[str, ...] = ()
    """Steps that were skipped or failed although the case was completed, beside those of `without`."""
    told: dict[str, Told] = {}


class Script(_Part):
    """All cases of one matter; the first is the one that goes through."""

    matter: str
    cases: tuple[ScriptCase, ...] = Field(min_length=1)


@cache
def scripts() -> dict[str, Script]:
    """Every script, by matter, with the people of the cast in their places."""
    found = (_read(path) for path in sorted(FOLDER.glob("*.yaml")))
    return {script.matter: script for script in found}


def samples(persona: str) -> dict[str, dict[str, str]]:
    """Answers that a person can try, by matter: of the first case that they file."""
    made: dict[str, dict[str, str]] = {}
    for script in scripts().values():
        for case in script.cases:
            if case.persona == persona and not case.told:
                made.setdefault(script.matter, case.answers)
    return made


def _read(path: Path) -> Script:
    return Script.model_validate(load_yaml(cast().told(path.read_text(encoding="utf-8"))))
