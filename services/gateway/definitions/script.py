# SPDX-License-Identifier: Apache-2.0
"""What happens in a simulation: answers of the resident and of departments, how long they take, and what fails."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from services.gateway.domain.definition import STEPS_MAX, Name, Part, Wait
from services.gateway.domain.history import Outcome
from services.kit.errors import StartupError
from services.kit.yaml import YAMLError, load_yaml

FAILURES_MAX = 50
Failure = Annotated[str, StringConstraints(pattern=r"^(UNAVAILABLE|REFUSED(:[A-Z][A-Z0-9_]{1,63})?)$")]
_STEP = r"^[a-z][a-z0-9_]{0,63}(\.undo)?$"
"""A step, or what undoes it."""
_FAIL = re.compile(
    r"([a-z][a-z0-9_]{0,63}(?:\.undo)?):(UNAVAILABLE|REFUSED(?::[A-Z][A-Z0-9_]{1,63})?)(?: ?x([1-9][0-9]?))?"
)


class ScriptInvalid(StartupError):  # noqa: N818 - it states what is so
    """A script is not as it must be."""


class ScriptedStep(Part):
    """One step: it fails as often as there are failures, then it is done."""

    output: dict[Name, str | int | float | bool] = Field(default_factory=dict)
    """What comes back; declared outputs that are not named are made up."""
    takes: Wait | None = None
    """How long each attempt takes (ISO 8601)."""
    fails: tuple[Failure, ...] = Field(default=(), max_length=FAILURES_MAX)

    def outcome(self, attempt: int) -> tuple[Outcome, str]:
        """How an attempt (from 1) ends, and its reason."""
        if attempt > len(self.fails):
            return Outcome.DONE, ""
        kind, _, reason = self.fails[attempt - 1].partition(":")
        return (Outcome.REFUSED, reason or "REFUSED") if kind == "REFUSED" else (Outcome.UNAVAILABLE, kind)


class Script(Part):
    """One run."""

    submitted: datetime = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    answers: dict[Name, str] = Field(default_factory=dict)
    """Of the form; fields that are not named are made up."""
    without: tuple[Name, ...] = ()
    """Optional steps that the resident does without."""
    steps: dict[Annotated[str, StringConstraints(pattern=_STEP)], ScriptedStep] = Field(
        default_factory=dict, max_length=STEPS_MAX
    )

    def step(self, step_id: str) -> ScriptedStep:
        """What is said of a step."""
        return self.steps.get(step_id, ScriptedStep())

    def failing(self, failures: Iterable[str]) -> "Script":
        """The same with failures in front: `step:UNAVAILABLE`, `step:UNAVAILABLE x2`, `step:REFUSED:REASON`.

        Raises:
            ScriptInvalid: one is not of this form.
        """
        steps = dict(self.steps)
        for text in failures:
            match = _FAIL.fullmatch(text.strip())
            if match is None:
                raise ScriptInvalid(f"{text!r} is no failure; write step:UNAVAILABLE x2 or step:REFUSED:REASON.")
            step = steps.get(match[1], ScriptedStep())
            steps[match[1]] = step.model_copy(update={"fails": (match[2],) * int(match[3] or 1) + step.fails})
        return self.model_copy(update={"steps": steps})


def read_script(text: str) -> Script:
    """Read a script. Raises ScriptInvalid."""
    try:
        script = Script.model_validate(load_yaml(text) or {})
    except YAMLError as error:
        raise ScriptInvalid("The script is no YAML.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ScriptInvalid(f"{'.'.join(map(str, first['loc'])) or 'script'}: {first['msg']}") from None
    if script.submitted.tzinfo is None:
        raise ScriptInvalid("submitted: needs an offset from UTC, e.g. 2026-11-23T09:00:00+08:00.")
    return script


AT_ONCE = timedelta(seconds=2)
A_MORNING = timedelta(hours=4)
