# SPDX-License-Identifier: Apache-2.0
"""What the agency of a step and the applicant, the head or an expert had to say to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.kit.text import Text


@dataclass(frozen=True, slots=True)
class CorrectionItem:
    """One thing that the applicant is to correct: a field of the form, and what is wrong with it."""

    name: str
    words: Text


@dataclass(frozen=True, slots=True)
class CorrectionRequested:
    """The agency of a step asks the applicant for corrections, for all of them at once; the step stays open."""

    at: datetime
    step_id: str
    items: tuple[CorrectionItem, ...]
    by: str
    """`agency:<USCC>`, or `clerk:<account>`."""

    @property
    def message(self) -> Text:
        """The same in one sentence for the applicant."""
        zh = "；".join(item.words.zh for item in self.items)[:1000]
        return Text(zh, "; ".join(item.words.en for item in self.items)[:1000])


@dataclass(frozen=True, slots=True)
class CorrectionMade:
    """The applicant has answered everything that was to be corrected; whoever asked goes on with it."""

    at: datetime
    steps: tuple[str, ...]
    """Whose corrections they are."""
    answers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExtensionRequested:
    """The agency of a step asks its head for more time."""

    at: datetime
    step_id: str
    working_days: int
    message: Text
    """Why; the applicant reads it."""
    by: str


@dataclass(frozen=True, slots=True)
class ExtensionDecided:
    """The head has decided on it; another person than who asked."""

    at: datetime
    step_id: str
    granted: bool
    working_days: int
    """As asked for."""
    by: str


@dataclass(frozen=True, slots=True)
class ExpertAsked:
    """An expert is asked for an opinion; where `basis` names the law that says so, the time until the answer does not count."""

    at: datetime
    step_id: str
    opinion_id: str
    expert: str
    by: str
    basis: str = ""


@dataclass(frozen=True, slots=True)
class ExpertAnswered:
    """The expert has answered; the opinion stands beside the task."""

    at: datetime
    step_id: str
    opinion_id: str
    by: str


DealingEvent = (
    CorrectionRequested | CorrectionMade | ExtensionRequested | ExtensionDecided | ExpertAsked | ExpertAnswered
)
