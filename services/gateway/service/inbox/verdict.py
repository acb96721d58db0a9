# SPDX-License-Identifier: Apache-2.0
"""How a clerk answers a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from services.gateway.domain.advance import Answer
from services.gateway.domain.desk import Desk
from services.gateway.domain.history import Outcome
from services.gateway.domain.refusals import ReasonUnknown
from services.gateway.service.ports import TaskRow, TaskState
from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a clerk answers a task: done with an output, or refused in words that the resident reads."""

    output: Mapping[str, Any] | None = field(default=None, repr=False)
    """None for a refusal."""
    reason: str = ""
    message: Text | None = None

    @property
    def how(self) -> TaskState:
        """How the task ends."""
        return TaskState.REFUSED if self.output is None else TaskState.DONE

    def answer_to(self, task: TaskRow) -> Answer:
        """The same as the case takes it."""
        if self.output is None:
            return Answer(task.step_id, task.attempt, Outcome.REFUSED, self.reason, message=self.message)
        return Answer(task.step_id, task.attempt, Outcome.DONE, output=dict(self.output))

    def worded(self, desk: Desk | None) -> "Verdict":
        """With the words that the matter has for the reason, where there are no own ones. Raises ReasonUnknown."""
        if self.output is not None or self.message is not None:
            return self
        for ground in desk.refusals if desk else ():
            if ground.reason == self.reason:
                return replace(self, message=ground.message)
        raise ReasonUnknown("The matter lists no such reason.", remedy="Choose one of `refusals`, or give own words.")

    def body(self) -> dict[str, Any]:
        """As plain JSON."""
        words = {"zh": self.message.zh, "en": self.message.en} if self.message else None
        return {"output": None if self.output is None else dict(self.output), "reason": self.reason, "message": words}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read it back."""
        return cls(body["output"], body["reason"], Text(**body["message"]) if body["message"] else None)
