# SPDX-License-Identifier: Apache-2.0
"""The words in which a question travels through the exchange: who is asked about, what, why."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from services.exchange.domain.answer import Scalar
from services.kit.errors import RequestInvalid, Violation

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]{0,99}")
_NUMBER = re.compile(r"[0-9]{17}[0-9X]")
_USCC = re.compile(r"([0-9A-HJ-NP-RT-UW-Y]{18})?")


class SubjectKind(StrEnum):
    """How the asker names the subject."""

    SUBJECT_ID = "subject_id"
    NUMBER = "number"
    USCC = "uscc"


@dataclass(frozen=True, slots=True)
class Subject:
    """A person by subject id or number, or an organization by code."""

    kind: SubjectKind
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a person's number under the name of an organization's code: its leaf would miss the person."""
        if self.kind is SubjectKind.USCC and (not _USCC.fullmatch(self.value) or tells_a_person(self.value)):
            raise RequestInvalid(
                "That is no unified social credit code.",
                violations=[Violation("subject.uscc", "18 characters of GB 32100; a person is asked about by number.")],
            )


@dataclass(frozen=True, slots=True)
class Query:
    """Ask one resource about one subject. `fields` empty: all that are granted.

    `on_behalf_of`: USCC of the agency under whose grant a resident or a case asks; empty where an
    agency asks for itself.
    """

    resource: str
    subject: Subject
    fields: tuple[str, ...]
    purpose: str
    case_id: str = ""
    on_behalf_of: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """Compare values with a resource."""

    resource: str
    subject: Subject
    values: dict[str, str] = field(repr=False)
    purpose: str
    case_id: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask questions of a grant by name about one subject."""

    resource: str
    subject: Subject
    questions: tuple[str, ...]
    purpose: str
    case_id: str = ""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a provider gets to know: whom it is asked about, which fields, and how long the asker waits.

    `subject_key` is the number of the person or the code of the organization: it never goes into a log or a span.
    """

    resource: str
    subject_key: str = field(repr=False)
    fields: tuple[str, ...]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer of a step, kept sealed until the gateway has collected it. `grant_id`: empty in those from before it was kept."""

    answer_id: str
    case_id: str
    subject_id: str
    agency: str
    resource: str
    purpose: str
    basis: str
    values: dict[str, Scalar] = field(repr=False)
    grant_id: str = ""


def tells_a_person(code: str) -> bool:
    """Whether a code reads as an identity number: a day of the calendar in its middle and the check of GB 11643."""
    if not _NUMBER.fullmatch(code):
        return False
    try:
        date.fromisoformat(f"{code[6:10]}-{code[10:12]}-{code[12:14]}")
    except ValueError:
        return False
    remainder = 0
    for character in code:
        remainder = (remainder * 2 + (10 if character == "X" else int(character))) % 11
    return remainder == 1


def check_words(*, resource: str, purpose: str, fields: Iterable[str], on_behalf_of: str = "") -> None:
    """Refuse texts that are no codes: a refused asker's words go into the ledger, and must not say much there."""
    faults = [
        Violation(name, "A code of letters, digits and _ . / : -")
        for name, value in (("resource", resource), ("purpose", purpose))
        if not _CODE.fullmatch(value)
    ]
    if not all(_CODE.fullmatch(name) for name in fields):
        faults.append(Violation("fields", "Names of fields."))
    if not _USCC.fullmatch(on_behalf_of):
        faults.append(Violation("on_behalf_of", "A unified social credit code."))
    if faults:
        raise RequestInvalid("The question can't be asked as given.", violations=faults)


class StepOutcome(StrEnum):
    """How a step ended here."""

    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class StepAnswered:
    """A FETCH step has been answered: ids and states only."""

    case_id: str
    step_id: str
    attempt: int
    outcome: StepOutcome
    reason: str = ""
    output: dict[str, str] = field(default_factory=dict)
    answer_id: str = ""
