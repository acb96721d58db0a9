# SPDX-License-Identifier: Apache-2.0
"""What a deadline is: how long, counted how, what is told before, what follows after."""

import math
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.kit.calendar.published import Jurisdiction
from services.kit.text import Text


class Unit(StrEnum):
    """What is counted."""

    WORKING_DAYS = "working_days"
    NATURAL_DAYS = "natural_days"
    HOURS = "hours"


class _Terms(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Terms):
    """A length of time.

    Days are counted from the day after the start and are over at midnight in China;
    0 days are over with the first day that counts, that of the start if it does.
    """

    amount: Annotated[int, Field(ge=0, le=1000)]
    unit: Unit = Unit.WORKING_DAYS
    rolls: bool = False
    """Natural days only: where the last one is no working day, the next working day is the last (Civil Code, art. 203)."""

    @model_validator(mode="after")
    def _natural(self) -> Self:
        if self.rolls and self.unit is not Unit.NATURAL_DAYS:
            raise ValueError("only natural days can roll to a working day")
        return self


class Warn(_Terms):
    """When to warn: once a share of the limit is used, or when so many of its units are left."""

    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    left: Annotated[int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.share is None) == (self.left is None):
            raise ValueError("a warning has a share or what is left")
        return self

    def used(self, total: int) -> int:
        """Give how many of `total` units are used when it warns; never before the start."""
        if self.left is not None:
            return max(0, total - self.left)
        return math.ceil(total * (self.share or 0))


class Terms(_Terms):
    """Everything about a deadline that doesn't change while it runs; kept with it, so that a new policy changes no clock that runs."""

    limit: Limit
    jurisdiction: Jurisdiction = ""
    """Whose calendar counts."""
    basis: Text | None = None
    """The rule that sets the limit."""
    verified: bool = True
    """False where nobody has compared the number with the text of the rule."""
    warn: Annotated[tuple[Warn, ...], Field(max_length=5)] = ()
    extension: Limit | None = None
    """The most that one extension adds, in the unit of the limit."""
    extensions_max: Annotated[int, Field(ge=0, le=10)] = 0
    escalate: Annotated[tuple[Limit, ...], Field(max_length=5)] = ()
    """How long after the due date whom it concerns is told again, each counted from the due date."""
    deemed: Text | None = None
    """What counts as having happened, from the start on, where nothing happened in time; it ends the deadline."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.extension is not None) != (self.extensions_max > 0):
            raise ValueError("an extension and how many of them belong together")
        if self.extension is not None and self.extension.unit is not self.limit.unit:
            raise ValueError("an extension counts what the limit counts")
        if self.deemed is not None and self.escalate:
            raise ValueError("what is deemed done is not escalated")
        return self
