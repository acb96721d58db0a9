# SPDX-License-Identifier: Apache-2.0
"""What a matter says of the people who do one of its tasks."""

from pydantic import Field

from services.gateway.domain.parts import Basis, Part, Reason
from services.kit.text import Text


class Ground(Part):
    """One reason from which a clerk chooses; the words are what the resident reads."""

    reason: Reason
    message: Text


class Desk(Part):
    """How people do a task."""

    four_eyes: bool = False
    """An answer counts once a second clerk has approved it."""
    refusals: tuple[Ground, ...] = Field(default=(), max_length=50)
    """Reasons for refusing it. Own words may be used beside them."""
    expert: Basis | None = None
    """Legal basis on which the time of an expert's review does not count (administrative license law, art. 45); none: it counts."""
