# SPDX-License-Identifier: Apache-2.0
"""Consent of a resident to one recipient, for one purpose, to named fields (PIPL, art. 13 to 16 and 23), and its withdrawal."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.kit.errors import NotFound, Refusal, RequestInvalid, Violation

TERM_MAX = timedelta(days=366 * 5)
BASIS = "PIPL art. 13(1)(1), 14, 23"


class ConsentNotFound(NotFound):
    """There is no such consent of the resident's."""


class ConsentWithdrawn(Refusal):
    """The consent was withdrawn before."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a resident lets one agency have. It holds from `give_time` until `expire_time` or its withdrawal."""

    consent_id: str
    subject_id: str
    grantee: str
    resource: str
    purpose: str
    fields: tuple[str, ...]
    give_time: datetime
    expire_time: datetime
    withdraw_time: datetime | None = None

    def covers(self, fields: Iterable[str], *, now: datetime) -> bool:
        """Tell whether it holds now for all of these fields or questions."""
        return self.withdraw_time is None and now < self.expire_time and set(self.fields).issuperset(fields)


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """A consent was given or withdrawn. The subject is an id."""

    consent_id: str
    subject_id: str
    grantee: str
    resource: str
    withdrawn: bool


def give(draft: Consent, known: Collection[str]) -> tuple[Consent, ConsentChanged]:
    """Give a consent to fields (or questions) that there are, for a bounded time. Raises RequestInvalid."""
    checks = {
        "fields": (
            bool(draft.fields) and len(set(draft.fields)) == len(draft.fields) and set(draft.fields) <= set(known),
            "Fields of the resource, or questions of the agency's grant, each once.",
        ),
        "expire_time": (
            draft.give_time < draft.expire_time <= draft.give_time + TERM_MAX,
            "A moment to come, within five years.",
        ),
    }
    faults = [Violation(name, words) for name, (holds, words) in checks.items() if not holds]
    if faults:
        raise RequestInvalid("The consent can't be given as asked.", violations=faults)
    return draft, _changed(draft)


def withdraw(before: Consent, *, now: datetime) -> tuple[Consent, ConsentChanged]:
    """Withdraw it: what was done stays lawful, nothing more is (art. 15)."""
    if before.withdraw_time is not None:
        raise ConsentWithdrawn("The consent was withdrawn before.")
    after = replace(before, withdraw_time=now)
    return after, _changed(after)


def _changed(consent: Consent) -> ConsentChanged:
    return ConsentChanged(
        consent.consent_id,
        consent.subject_id,
        consent.grantee,
        consent.resource,
        withdrawn=consent.withdraw_time is not None,
    )
