# SPDX-License-Identifier: Apache-2.0
"""The longest way through work that waits for other work, in working days. Pure; days of a calendar are counted elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True, slots=True)
class Activity:
    """One piece of work."""

    id: str
    days: int
    """Working days from the day on which it can begin; 0 where it is done on that day."""
    after: tuple[str, ...] = ()
    """What must have ended before; ids that are not among the activities have ended already."""


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """How long everything takes, and because of what."""

    days: int
    """Working days from the first to the last."""
    ids: tuple[str, ...]
    """The longest chain, in order; what takes no days is left out."""
    ends: Mapping[str, int]
    """The working day on which each activity ends at the earliest."""


def critical_path(activities: Iterable[Activity]) -> CriticalPath:
    """Find it. Of equally long chains the one whose ids come first in the alphabet, so that the answer is one.

    Raises:
        graphlib.CycleError: something waits for itself.
    """
    by_id = {each.id: each for each in activities}
    waits = {each.id: [other for other in each.after if other in by_id] for each in by_id.values()}
    ends: dict[str, int] = {}
    chains: dict[str, tuple[str, ...]] = {}
    for each in TopologicalSorter(waits).static_order():
        longest = min(waits[each], key=lambda other: (-ends[other], chains[other]), default=None)
        begin, chain = (ends[longest], chains[longest]) if longest is not None else (0, ())
        days = by_id[each].days
        ends[each] = begin + days
        chains[each] = (*chain, each) if days else chain
    last = min(ends, key=lambda each: (-ends[each], chains[each]), default=None)
    return CriticalPath(0, (), {}) if last is None else CriticalPath(ends[last], chains[last], ends)
