# SPDX-License-Identifier: Apache-2.0
"""Where each step of a definition is drawn: columns in the order in which steps can happen, lanes by who does them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway.domain.definition import Matter, Step

PLATFORM = ""
"""The lane of steps that no agency does."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one step stands."""

    column: int
    """The longest way to it, in steps."""
    lane: str
    """Role of its agency, or PLATFORM."""
    row: int
    """From 0 within its lane."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Every step's place."""

    places: Mapping[str, Place]
    lanes: Mapping[str, int]
    """Lanes from top to bottom, each with its number of rows."""
    columns: int


def layout(matter: Matter) -> Layout:
    """Lay out a definition whose structure holds. The same definition gives the same layout."""
    columns = _columns(matter)
    lanes: dict[str, int] = {}
    taken: dict[tuple[str, int], int] = defaultdict(int)
    places = {}
    for step in sorted(matter.steps, key=lambda each: columns[each.id]):
        lane = lane_of(step)
        row = taken[lane, columns[step.id]]
        taken[lane, columns[step.id]] += 1
        lanes[lane] = max(lanes.get(lane, 0), row + 1)
        places[step.id] = Place(columns[step.id], lane, row)
    return Layout(places, lanes, 1 + max(columns.values()))


def lane_of(step: Step) -> str:
    """Who does it."""
    return getattr(step, "agency", None) or PLATFORM


def _columns(matter: Matter) -> dict[str, int]:
    """Each step one column behind the last of those that it waits for."""
    waits = {step.id: (*step.needs, *step.after) for step in matter.steps}
    columns: dict[str, int] = {}
    while len(columns) < len(waits):
        for step_id, others in waits.items():
            if step_id not in columns and all(other in columns for other in others):
                columns[step_id] = 1 + max((columns[other] for other in others), default=-1)
    return columns
