# SPDX-License-Identifier: Apache-2.0
"""The verdict on a license: every check by name, each with the reason why it did not hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.licenses.domain.license import License, LicenseState


class CheckName(StrEnum):
    """What verification looks at, in this order."""

    FORMAT = "format"
    SIGNATURE = "signature"
    CHAIN = "chain"
    TYPE = "type"
    DATES = "dates"
    IDENTIFIER = "identifier"
    RECORD = "record"
    STATE = "state"


NOT_CHECKED = "NOT_CHECKED"
"""Something before it did not hold, so that it could not be looked at."""
RECORD_UNKNOWN = "RECORD_UNKNOWN"
"""No license of ours has this identifier."""
RECORD_DIFFERS = "RECORD_DIFFERS"
"""The license on record was signed with other words: this credential is not the one that was issued."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `reason` is empty where it held."""

    name: CheckName
    reason: str = ""

    @property
    def passed(self) -> bool:
        """True where it held."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a verification. `state` is None where there is no record."""

    checks: tuple[Check, ...]
    state: LicenseState | None = None

    @property
    def valid(self) -> bool:
        """True where every check held."""
        return all(check.passed for check in self.checks)


def unchecked(names: Iterable[CheckName]) -> tuple[Check, ...]:
    """Name checks that could not be made."""
    return tuple(Check(name, NOT_CHECKED) for name in names)


def check_record(license: License | None, *, same_words: bool) -> Check:
    """Look whether the license is on record and is the one that was shown."""
    if license is None:
        return Check(CheckName.RECORD, RECORD_UNKNOWN)
    return Check(CheckName.RECORD, "" if same_words else RECORD_DIFFERS)


def check_state(license: License | None, now: datetime) -> Check:
    """Look whether the license is in force now; the reason is its state, e.g. `LICENSE_SUSPENDED`."""
    if license is None:
        return Check(CheckName.STATE, NOT_CHECKED)
    state = license.state_at(now)
    return Check(CheckName.STATE, "" if state is LicenseState.ACTIVE else f"LICENSE_{state.value.upper()}")
