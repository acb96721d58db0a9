# SPDX-License-Identifier: Apache-2.0
"""The life of a case: what is asked before, between and after its steps."""

from typing import Annotated

from pydantic import Field, StringConstraints

from services.gateway.domain.eligibility import Eligible
from services.gateway.rest.shapes.base import Asked, Shape, Words
from services.gateway.rest.shapes.case import Answers

_NO_CONTROLS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Why = Annotated[str, StringConstraints(max_length=500, pattern=_NO_CONTROLS)]


class Precheck(Asked):
    """What the resident says before filling in anything."""

    answers: Answers = Field(default={})


class EligibilityRule(Shape):
    """One condition, and whether it holds."""

    title: Words = Field(description="The condition in words.")
    outcome: Eligible
    reason: str = Field(description="Machine reason of a no; empty otherwise.", examples=["TOO_YOUNG"])
    message: Words | None = Field(description="Why not; null unless it is a no.")
    basis: str = Field(description="Legal basis.")
    missing: list[str] = Field(description="Questions without whose answer nobody can tell.")


class Eligibility(Shape):
    """What the rules say. The departments decide."""

    outcome: Eligible = Field(description="`no` where one rule says no; else `unknown` where one is open; else `yes`.")
    rules: list[EligibilityRule]


class Corrections(Asked):
    """Everything that was asked to be corrected."""

    answers: Answers = Field(description="By the field's name: each of `to_correct`, and nothing else.")


class Withdrawal(Asked):
    """The applicant takes the case back."""

    why: Why = Field(default="", description="In the applicant's words; need not be given.")
