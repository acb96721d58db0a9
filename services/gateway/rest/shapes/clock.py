# SPDX-License-Identifier: Apache-2.0
"""Clocks: until when, and how that was counted."""

from datetime import date

from pydantic import Field

from services.gateway.rest.shapes.base import Moment, Shape, Words


class Days(Shape):
    """A run of days that count or don't, for one reason."""

    first: date
    last: date
    why: str = Field(
        description="`working`, `make_up`, `natural`, `weekend`, `holiday`, `paused`, `excluded` or `rolled`.",
        examples=["holiday"],
    )
    occasion: Words | None = Field(description="The holiday, or the rule by which they don't count.")
    counts: bool
    number_first: int = Field(description="Number of the first day counted in it; 0 where none is.")
    number_last: int
    provisional: bool


class Counted(Shape):
    """One limit of a clock, and how its end was counted."""

    bound: str = Field(description="`promise` or `statutory`.", examples=["statutory"])
    state: str = Field(
        description="`running`, `paused`, `overdue`, `deemed`, `met` or `withdrawn`.", examples=["running"]
    )
    amount: int = Field(description="With the extensions given.", examples=[20])
    unit: str = Field(description="`working_days`, `natural_days` or `hours`.", examples=["working_days"])
    due: Moment | None = Field(description="The first moment that is too late; null while it is paused.")
    due_date: date | None = Field(description="The last day, in China.")
    late: bool = Field(description="It is over, or what it waits for came later than that.")
    basis: Words | None = Field(description="The rule that sets the limit; null for a promise.")
    verified: bool = Field(description="Whether the number was compared with the text of its basis.")
    extensions: int = Field(description="How often it was extended.")
    provisional: bool = Field(description="A year's holidays are not announced yet: the date may move.")
    calendar: str = Field(examples=["cn"])
    calendar_version: int
    days: list[Days] = Field(description="The derivation, from the day after the start.")
    derivation: list[Words] = Field(description="The same in words, line by line.")


class Clock(Shape):
    """A clock of the case as a whole, or of one step."""

    clock: str = Field(
        description="`acceptance`, `decision`, `delivery`, or `step:` and a step's id.", examples=["decision"]
    )
    step_id: str = Field(description="Empty for a clock of the case as a whole.")
    title: Words
    open: bool = Field(description="What it waits for is still awaited.")
    paused: bool
    late: bool = Field(description="Later than promised, or than the law allows.")
    since: Moment = Field(description="Its day, in China, is day 0.")
    limits: list[Counted]


class PathStep(Shape):
    """One step of the longest chain of what is left."""

    step_id: str
    title: Words
    days: int = Field(description="Working days; of a step under way, those that are left.")
    end: date


class ExpectedEnd(Shape):
    """The last day on which everything that is left will be done, if every step keeps its word."""

    day: date | None = Field(description="Null where nobody can say; the derivation says why.", examples=["2026-03-11"])
    begin: date = Field(description="From which day on the rest is counted.")
    path: list[PathStep]
    without_promise: list[str] = Field(description="Steps that promise nothing.")
    late: list[str] = Field(description="Steps that are over every limit of theirs.")
    paused: bool
    provisional: bool
    calendar: str
    calendar_version: int
    derivation: list[Words]
