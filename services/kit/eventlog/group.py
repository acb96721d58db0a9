# SPDX-License-Identifier: Apache-2.0
"""Who of a consumer group has which partition of an embedded log, within one process; other processes wait for the seat."""

import asyncio
import fcntl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from services.kit.eventlog.port import Assignment, Place

if TYPE_CHECKING:
    from services.kit.eventlog.embedded import EmbeddedSubscription

SEAT_SECONDS: Final = 0.5


@dataclass(eq=False)
class Member:
    """One consumer of a group."""

    name: str
    topics: frozenset[str]
    subscription: "EmbeddedSubscription"
    assignment: Assignment
    holds: set[Place] = field(default_factory=set)


class Group:
    """Members and what they hold. Changes happen one after the other; a partition is taken before it is given."""

    def __init__(self, seat: Path) -> None:
        self._seat = seat
        self._members: list[Member] = []
        self._turn = asyncio.Lock()
        self._file: IO[str] | None = None

    @property
    def empty(self) -> bool:
        """Whether nobody is left."""
        return not self._members

    async def join(self, member: Member, places: Iterable[Place]) -> None:
        """Share the partitions anew with one more; waits while another process has the group's seat."""
        async with self._turn:
            await self._sit_down()
            self._members.append(member)
            try:
                await self._share(places)
            except BaseException:  # cancelled on the way in: the seat must not stay taken
                self._part(member)
                raise

    async def leave(self, member: Member, places: Iterable[Place]) -> None:
        """Take everything from a member and share it among the others."""
        async with self._turn:
            holds, member.holds = frozenset(member.holds), set()
            try:
                if holds:
                    await member.assignment.taken(member.subscription, holds)
            finally:
                self._part(member)
                if self._members:
                    await self._share(places)

    def _part(self, member: Member) -> None:
        self._members.remove(member)
        if not self._members and self._file is not None:
            self._file.close()
            self._file = None

    async def _share(self, places: Iterable[Place]) -> None:
        wanted = _shares(self._members, sorted(places))
        for member in self._members:
            gone = frozenset(member.holds - wanted[member.name])
            if gone:
                member.holds -= gone
                await member.assignment.taken(member.subscription, gone)
        for member in self._members:
            come = frozenset(wanted[member.name] - member.holds)
            if come:
                member.holds |= come
                await member.subscription.begin(come)
                await member.assignment.given(member.subscription, come)

    async def _sit_down(self) -> None:
        if self._file is not None:
            return
        file = self._seat.open("a")
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(SEAT_SECONDS)
        except BaseException:
            file.close()
            raise
        self._file = file


def _shares(members: list[Member], places: list[Place]) -> dict[str, set[Place]]:
    """Even shares; whoever has a partition keeps it where that is even enough."""
    shares: dict[str, set[Place]] = {member.name: set() for member in members}
    free = []
    for place in places:
        takers = [member for member in members if place.topic in member.topics]
        holder = next((member for member in takers if place in member.holds), None)
        bound = -(-sum(1 for each in places if each.topic == place.topic) // max(1, len(takers)))
        held = sum(1 for each in shares[holder.name] if each.topic == place.topic) if holder else 0
        if holder is not None and held < bound:
            shares[holder.name].add(place)
        elif takers:
            free.append((place, takers))
    for place, takers in free:
        least = min(takers, key=lambda member: (len(shares[member.name]), member.name))
        shares[least.name].add(place)
    return shares
