# SPDX-License-Identifier: Apache-2.0
"""The inbox of clerks: which tasks go to it, who may work on them, and into whose hands they go.

A department without a system has queues; a queue gathers tasks by matter and operation and asks for a skill. A clerk has
skills and a jurisdiction, the prefix of a region code (GB/T 2260). Pure: who acts and what day it is are passed in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from services.gateway.domain.refusals import (
    AbsenceInvalid,
    ApprovalNotAsked,
    ClerkAbsent,
    ClerkNotCompetent,
    FourEyes,
    TaskHeld,
    TaskNotHeld,
    TaskNotOpen,
)
from services.kit.errors import VersionConflict, Violation
from services.kit.text import Text

TO_PROGRAM = ""
"""The queue of tasks that the department's own system takes."""
REGION_OF_CODE = slice(2, 8)
"""Where a unified social credit code (GB 32100) names the region of its registration."""
ABSENCE_DAYS_MAX = 366


@dataclass(frozen=True, slots=True)
class Queue:
    """Tasks of one department that its clerks do; empty conditions take everything."""

    queue_id: str
    title: Text
    skill: str
    operations: frozenset[str] = frozenset()
    matters: frozenset[str] = frozenset()
    region: str = ""
    """Name of the input that holds the region code of the place concerned; the agency's own region where there is none."""

    def takes(self, operation: str, matter: str) -> bool:
        """Whether a task belongs here."""
        return (not self.operations or operation in self.operations) and (not self.matters or matter in self.matters)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new task goes."""

    agency: str
    queue: str = TO_PROGRAM
    region: str = ""


@dataclass(frozen=True, slots=True)
class Clerk:
    """A clerk as the department's roster has them; `clerk_id` is the account."""

    agency: str
    clerk_id: str
    name: Text
    region: str
    """Jurisdiction: the prefix of every region code that the clerk may work on; empty for all."""
    skills: frozenset[str]
    active: bool = True

    def works_on(self, skill: str, region: str) -> bool:
        """Whether a task that needs this skill in this region is within the clerk's competence."""
        return self.active and skill in self.skills and region.startswith(self.region)


@dataclass(frozen=True, slots=True)
class Absence:
    """A clerk is away from the first day to the last one, both included; another one does their work meanwhile."""

    clerk_id: str
    first: date
    last: date
    substitute: str


@dataclass(frozen=True, slots=True)
class Hands:
    """Whom a clerk acts for today: themselves, and everybody whose substitute they are."""

    clerk_id: str
    members: tuple[Clerk, ...]
    supervises: bool = False
    """The whole department's tasks are theirs to see and to distribute."""

    @property
    def ids(self) -> frozenset[str]:
        """Accounts whose tasks count as the clerk's own."""
        return frozenset({self.clerk_id, *(member.clerk_id for member in self.members)})

    def works_on(self, queue: Queue, region: str) -> bool:
        """Whether a task is within the competence of somebody the clerk acts for."""
        return any(member.works_on(queue.skill, region) for member in self.members)

    def regions(self, skill: str) -> frozenset[str]:
        """Jurisdictions in which somebody the clerk acts for has a skill."""
        return frozenset(member.region for member in self.members if skill in member.skills)


@dataclass(frozen=True, slots=True)
class Custody:
    """In whose hands a task is."""

    live: bool
    version: int
    holder: str = ""
    since: datetime | None = None
    closed: str = field(default="open")
    """How it ended, for whoever comes too late."""


def place_of(queues: Sequence[Queue], agency: str, operation: str, matter: str, values: Mapping[str, Any]) -> Place:
    """The first queue that takes it, in the department's order; none: the department's own system."""
    for queue in queues:
        if queue.takes(operation, matter):
            named = values.get(queue.region) if queue.region else None
            region = named if isinstance(named, str) and named.isdecimal() else agency[REGION_OF_CODE]
            return Place(agency, queue.queue_id, region[:12])
    return Place(agency)


def hands_of(
    clerk_id: str, roster: Iterable[Clerk], absences: Sequence[Absence], today: date, *, supervises: bool = False
) -> Hands:
    """Everybody for whom the clerk acts, through substitutes of substitutes as well."""
    ids = away_for(clerk_id, absences, today)
    return Hands(clerk_id, tuple(one for one in roster if one.active and one.clerk_id in ids), supervises)


def away_for(clerk_id: str, absences: Iterable[Absence], today: date) -> frozenset[str]:
    """The clerk, and everybody whose work comes to them today, through substitutes who are away themselves as well."""
    away: dict[str, list[str]] = {}
    for absence in absences:
        if absence.first <= today <= absence.last:
            away.setdefault(absence.substitute, []).append(absence.clerk_id)
    found: set[str] = set()
    open_ids = [clerk_id]
    while open_ids:
        if (member := open_ids.pop()) not in found:
            found.add(member)
            open_ids += away.get(member, ())
    return frozenset(found)


def must_be_fresh(custody: Custody, version: int | None) -> None:
    """Raises VersionConflict where the task has changed since it was read."""
    if version is not None and version != custody.version:
        raise VersionConflict("The task has changed since it was read.", remedy="Read it again.")


def claim(custody: Custody, clerk_id: str, now: datetime) -> Custody:
    """Take a task that nobody holds. Raises TaskHeld, which says who was first and since when; TaskNotOpen."""
    _must_live(custody)
    if custody.holder == clerk_id:
        return custody
    if custody.holder:
        raise held(custody)
    return replace(custody, holder=clerk_id, since=now, version=custody.version + 1)


def release(custody: Custody, hands: Hands) -> Custody:
    """Put it back. Raises TaskNotHeld, TaskHeld, TaskNotOpen."""
    must_hold(custody, hands)
    return replace(custody, holder="", since=None, version=custody.version + 1)


def hand_over(custody: Custody, to: Clerk, now: datetime) -> Custody:
    """Give it to a clerk, whoever holds it. Raises TaskNotOpen."""
    _must_live(custody)
    if custody.holder == to.clerk_id:
        return custody
    return replace(custody, holder=to.clerk_id, since=now, version=custody.version + 1)


def must_hold(custody: Custody, hands: Hands) -> None:
    """Raises TaskHeld where it is in other hands, TaskNotHeld where in nobody's, TaskNotOpen where it has ended."""
    _must_live(custody)
    if not custody.holder:
        raise TaskNotHeld("Nobody holds the task.", remedy="Claim it first.")
    if custody.holder not in hands.ids:
        raise held(custody)


def must_judge(custody: Custody, proposer: str, hands: Hands, version: int | None) -> None:
    """Raises FourEyes, ApprovalNotAsked, VersionConflict or TaskNotOpen where the answer that waits is not the clerk's to judge.

    `version` is that of the reading on which the clerk judges; nobody approves what they have not seen.
    """
    _must_live(custody)
    if not proposer:
        raise ApprovalNotAsked("No answer to the task waits for a second clerk.")
    if proposer == hands.clerk_id:
        raise FourEyes("Whoever proposes an answer can't approve it.")
    must_be_fresh(custody, version)


def must_take(to: Clerk, queue: Queue, region: str, absences: Iterable[Absence], today: date) -> None:
    """Raises ClerkNotCompetent or ClerkAbsent where a task can't be given to this clerk."""
    if not to.works_on(queue.skill, region):
        raise ClerkNotCompetent(
            "The task is outside the clerk's skills or jurisdiction.",
            remedy="Choose another clerk, or change the roster.",
        )
    for absence in absences:
        if absence.clerk_id == to.clerk_id and absence.first <= today <= absence.last:
            raise ClerkAbsent(
                f"The clerk is absent until {absence.last.isoformat()}; {absence.substitute} stands in.",
                metadata={"substitute": absence.substitute, "until": absence.last.isoformat()},
            )


def must_be_sound(absence: Absence) -> None:
    """Raises AbsenceInvalid where the days are not in order, too many, or the clerk would stand in for themselves."""
    days = (absence.last - absence.first).days + 1
    if not 1 <= days <= ABSENCE_DAYS_MAX:
        rule = f"Must be from the first day on, at most {ABSENCE_DAYS_MAX} days."
        raise AbsenceInvalid("The absence has no such days.", violations=[Violation("last", rule)])
    if absence.substitute == absence.clerk_id:
        rule = "Must be another clerk."
        raise AbsenceInvalid("Nobody stands in for themselves.", violations=[Violation("substitute", rule)])


def held(custody: Custody) -> TaskHeld:
    """Who has it, and since when. The account, not the name: refusals carry no personal data."""
    since = custody.since.isoformat(timespec="seconds") if custody.since else ""
    return TaskHeld(
        f"{custody.holder} holds the task since {since}.",
        remedy="Choose another task, or let a supervisor hand it over.",
        metadata={"holder": custody.holder, "since": since},
    )


def _must_live(custody: Custody) -> None:
    if not custody.live:
        by = f" by {custody.holder}" if custody.holder else ""
        raise TaskNotOpen(f"The task has ended ({custody.closed}{by}).", metadata={"holder": custody.holder})
