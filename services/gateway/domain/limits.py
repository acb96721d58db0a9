# SPDX-License-Identifier: Apache-2.0
"""What a definition says about time: limits of the case and of its steps, promised and by law."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from services.gateway.domain.parts import Basis, Part
from services.kit.calendar import Unit

Amount = Annotated[int, Field(ge=0, le=1000)]
TermsName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_.]{0,39}$")]


class CaseClock(StrEnum):
    """The clocks of a case as a whole."""

    ACCEPTANCE = "acceptance"
    """From the submission until it is accepted (Administrative Licensing Law, art. 32)."""
    DECISION = "decision"
    """From the acceptance until only deliveries are left (art. 42, 26)."""
    DELIVERY = "delivery"
    """From the decision until everything is in the applicant's hands (art. 44)."""


class CaseLimit(Part):
    """How long something may take: by law, as promised, or both; a promise is never longer than the law allows.

    What the law says stands in a file of limits (`terms`) or here (`statutory` with its `basis`).
    """

    promise: Amount | None = None
    statutory: Amount | None = None
    unit: Unit = Unit.WORKING_DAYS
    terms: TermsName | None = None
    basis: Basis | None = None
    verified: bool = False
    """Whether somebody has compared `statutory` with the text of `basis`."""

    @model_validator(mode="after")
    def _fits(self) -> "CaseLimit":
        if self.promise is None and self.statutory is None and self.terms is None:
            raise ValueError("a limit has a promise, a statutory number or terms")
        if self.terms is not None and (self.statutory is not None or self.unit is not Unit.WORKING_DAYS):
            raise ValueError("terms bring their own number and unit")
        if (self.statutory is not None) != (self.basis is not None):
            raise ValueError("a statutory number and its basis belong together")
        if self.promise is not None and self.statutory is not None and self.promise > self.statutory:
            raise ValueError("the promise is longer than the law allows")
        return self
