# SPDX-License-Identifier: Apache-2.0
"""The life of a license: pure functions that return the new state and the fact, or refuse in words."""

import calendar
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum

from services.kit.errors import Code, Refusal
from services.licenses.domain.identifier import LicenseIdentifier

CHINA = timezone(timedelta(hours=8))
"""Dates on a license are those of China Standard Time; there is no summer time."""

_MONTHS_A_YEAR = 12


class LicenseState(StrEnum):
    """Where a license stands."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class LicenseNotFound(Refusal):
    """There is no such license, or the caller may not know of it: the answer is the same."""

    code = Code.NOT_FOUND


class LicenseNotActive(Refusal):
    """Only a license in force can be suspended."""


class LicenseNotSuspended(Refusal):
    """Only a suspended license can be restored."""


class LicenseEnded(Refusal):
    """It is revoked or superseded, for good."""


class PredecessorSuspended(Refusal):
    """The version before is suspended; a new one would lift the suspension by stealth."""


class PredecessorRevoked(Refusal):
    """The license of this serial was ended for good."""


class SerialTaken(Refusal):
    """The issuer has given this serial to another holder."""

    code = Code.ALREADY_EXISTS


@dataclass(frozen=True, slots=True)
class License:
    """One version of a license, without its attributes.

    Attributes:
        license_id: Random id of this version.
        identifier: Its identifier by GB/T 36904.
        holder_id: Subject id of the holder.
        state: As last set; read `state_at`, which knows the date.
        issue_time: When it was signed, whole seconds.
        expire_time: Its last valid second; None for long-term.
        reader_id: Subject id of a second reader, the guardian who applied; empty where there is none.
        case_id: The case that led to it; empty outside a case.
        step_id: The step of the case; empty outside a case.
    """

    license_id: str
    identifier: LicenseIdentifier
    holder_id: str
    state: LicenseState
    issue_time: datetime
    expire_time: datetime | None = None
    reader_id: str = ""
    case_id: str = ""
    step_id: str = ""

    def state_at(self, now: datetime) -> LicenseState:
        """Where it stands now: past its last second it is expired, unless it was ended before."""
        running = self.state in {LicenseState.ACTIVE, LicenseState.SUSPENDED}
        if running and self.expire_time is not None and now >= self.expire_time + timedelta(seconds=1):
            return LicenseState.EXPIRED
        return self.state

    @property
    def readers(self) -> frozenset[str]:
        """Subject ids of the residents who may read it."""
        return frozenset(one for one in (self.holder_id, self.reader_id) if one)


@dataclass(frozen=True, slots=True)
class LicenseIssued:
    """A version was signed."""

    license: License


@dataclass(frozen=True, slots=True)
class LicenseSuspended:
    """A license was suspended."""

    license_id: str


@dataclass(frozen=True, slots=True)
class LicenseRestored:
    """A license was restored."""

    license_id: str


@dataclass(frozen=True, slots=True)
class LicenseRevoked:
    """A license was revoked."""

    license_id: str


@dataclass(frozen=True, slots=True)
class LicenseSuperseded:
    """A newer version took its place."""

    license_id: str
    successor_id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What an issuer asks for; it becomes a license by `issue`.

    `serial` is the issuer's own. `case_id`, `step_id` and `reader_id` are empty outside a case.
    """

    type_code: str
    issuer: str
    serial: str
    holder_id: str
    reader_id: str = ""
    case_id: str = ""
    step_id: str = ""


def issue(
    draft: Draft, predecessor: License | None, *, license_id: str, validity_months: int, now: datetime
) -> tuple[License, LicenseIssued]:
    """Make version 1, or the version after `predecessor`, the newest of the same type, issuer and serial.

    Raises:
        SerialTaken: The predecessor belongs to somebody else.
        PredecessorSuspended: The predecessor is suspended.
        PredecessorRevoked: The predecessor is revoked.
        VersionsExhausted: There were 999 versions.
        IdentifierMalformed: Type, issuer or serial can't stand in an identifier.
    """
    identifier = LicenseIdentifier(draft.type_code, draft.issuer, draft.serial, 1)
    if predecessor is not None:
        _may_follow(draft, predecessor)
        identifier = predecessor.identifier.next_version()
    issue_time = now.astimezone(UTC).replace(microsecond=0)
    license = License(
        license_id=license_id,
        identifier=identifier,
        holder_id=draft.holder_id,
        state=LicenseState.ACTIVE,
        issue_time=issue_time,
        expire_time=last_second(issue_time, validity_months),
        reader_id="" if draft.reader_id == draft.holder_id else draft.reader_id,
        case_id=draft.case_id,
        step_id=draft.step_id,
    )
    return license, LicenseIssued(license)


def _may_follow(draft: Draft, predecessor: License) -> None:
    if predecessor.holder_id != draft.holder_id:
        raise SerialTaken("The serial belongs to a license of another holder.", remedy="Choose another serial.")
    if predecessor.state is LicenseState.SUSPENDED:
        raise PredecessorSuspended("The license is suspended.", remedy="Restore it before it is issued anew.")
    if predecessor.state is LicenseState.REVOKED:
        raise PredecessorRevoked("The license was revoked for good.", remedy="Issue under a new serial.")


def supersede(before: License, successor: License) -> tuple[License, LicenseSuperseded]:
    """End a version because the next one took its place.

    Raises:
        LicenseEnded: It had ended already.
    """
    _must_run(before)
    after = replace(before, state=LicenseState.SUPERSEDED)
    return after, LicenseSuperseded(before.license_id, successor.license_id)


def suspend(before: License, *, now: datetime) -> tuple[License, LicenseSuspended]:
    """Take a license out of force until it is restored.

    Raises:
        LicenseNotActive: It is not in force.
    """
    state = before.state_at(now)
    if state is not LicenseState.ACTIVE:
        raise LicenseNotActive(f"The license is {state.value}.")
    return replace(before, state=LicenseState.SUSPENDED), LicenseSuspended(before.license_id)


def restore(before: License, *, now: datetime) -> tuple[License, LicenseRestored]:
    """Put a suspended license back in force.

    Raises:
        LicenseNotSuspended: It is not suspended, or has expired meanwhile.
    """
    state = before.state_at(now)
    if state is not LicenseState.SUSPENDED:
        raise LicenseNotSuspended(f"The license is {state.value}.")
    return replace(before, state=LicenseState.ACTIVE), LicenseRestored(before.license_id)


def revoke(before: License) -> tuple[License, LicenseRevoked]:
    """End a license for good. One that has expired can still be revoked: it may have been wrong from the start.

    Raises:
        LicenseEnded: It had ended already.
    """
    _must_run(before)
    return replace(before, state=LicenseState.REVOKED), LicenseRevoked(before.license_id)


def _must_run(before: License) -> None:
    if before.state in {LicenseState.REVOKED, LicenseState.SUPERSEDED}:
        raise LicenseEnded(f"The license is {before.state.value}.")


def last_second(issue_time: datetime, validity_months: int) -> datetime | None:
    """Return the last valid second, 23:59:59 China time of the day before the period ends; None for long-term.

    A license of 120 months issued on 2026-03-15 is valid through 2036-03-14. A month that is too short ends
    the period on its last day.
    """
    if validity_months == 0:
        return None
    first = issue_time.astimezone(CHINA).date()
    years, month = divmod(first.month - 1 + validity_months, _MONTHS_A_YEAR)
    year = first.year + years
    day = min(first.day, calendar.monthrange(year, month + 1)[1])
    last = date(year, month + 1, day) - timedelta(days=1)
    return datetime.combine(last, time(23, 59, 59), CHINA).astimezone(UTC)
