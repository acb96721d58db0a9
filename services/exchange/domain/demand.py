# SPDX-License-Identifier: Apache-2.0
"""Demands: an agency needs what it does not find, and somebody answers in time (供需对接; Order 809, chapter 3)."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.exchange.domain.refusals import DemandNotOpen, ResourceNotOwned
from services.exchange.domain.resource import USCC, Resource
from services.kit.errors import RequestInvalid, Violation


class DemandState(StrEnum):
    """Where a demand is."""

    FILED = "filed"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    FULFILLED = "fulfilled"
    CLOSED = "closed"


class DemandBell(StrEnum):
    """What a clock of a demand says."""

    WARNING = "warning"
    EXPIRY = "expiry"
    ESCALATION = "escalation"


_WAYS = {
    DemandState.FILED: {DemandState.ASSIGNED, DemandState.CLOSED},
    DemandState.ASSIGNED: {DemandState.ASSIGNED, DemandState.ACCEPTED, DemandState.DECLINED, DemandState.CLOSED},
    DemandState.ACCEPTED: {DemandState.FULFILLED, DemandState.CLOSED},
    DemandState.DECLINED: {DemandState.ASSIGNED, DemandState.CLOSED},
}
CLOCKS = {
    DemandState.FILED: "demand.assign",
    DemandState.ASSIGNED: "demand.answer",
    DemandState.ACCEPTED: "demand.fulfil",
}
"""Which limit runs in which state, by its name in `limits/`; a declined demand waits for the authority without one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an agency needs, for what, on which basis; who is to answer it, and how it was answered."""

    demand_id: str
    requester: str
    title: str
    needs: str
    fields: tuple[str, ...]
    scene: str
    basis: str
    file_time: datetime
    state: DemandState = DemandState.FILED
    provider: str = ""
    resource: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """Everything that the catalogue is searched by."""
        return " ".join((self.title, *self.fields, self.needs))


@dataclass(frozen=True, slots=True)
class DemandMoved:
    """A demand was filed, or went on."""

    demand_id: str
    requester: str
    state: DemandState
    provider: str
    resource: str


@dataclass(frozen=True, slots=True)
class DemandClockRang:
    """Somebody is about to be late with a demand, or is."""

    demand_id: str
    state: DemandState
    bell: DemandBell


def moved(demand: Demand) -> DemandMoved:
    """Tell where a demand is."""
    return DemandMoved(demand.demand_id, demand.requester, demand.state, demand.provider, demand.resource)


def assign(before: Demand, provider: str) -> tuple[Demand, DemandMoved]:
    """Give it to a provider to answer; one that was declined, to another. Raises DemandNotOpen, RequestInvalid."""
    if not USCC.fullmatch(provider) or provider == before.requester:
        raise RequestInvalid(
            "Nobody to answer.", violations=[Violation("provider", "The USCC of an agency other than the requester.")]
        )
    return _move(before, DemandState.ASSIGNED, provider=provider, reason="")


def accept(before: Demand, resource: Resource) -> tuple[Demand, DemandMoved]:
    """Say by which resource it is met. Raises DemandNotOpen, ResourceNotOwned."""
    if resource.provider != before.provider or resource.retired:
        raise ResourceNotOwned("A demand is met by a resource of the provider who accepts it.")
    return _move(before, DemandState.ACCEPTED, resource=resource.code)


def decline(before: Demand, reason: str) -> tuple[Demand, DemandMoved]:
    """Say why not. Raises DemandNotOpen."""
    return _move(before, DemandState.DECLINED, reason=reason)


def fulfil(before: Demand) -> tuple[Demand, DemandMoved]:
    """The requester has what it needs. Raises DemandNotOpen."""
    return _move(before, DemandState.FULFILLED)


def close(before: Demand, reason: str) -> tuple[Demand, DemandMoved]:
    """Nobody pursues it any more. Raises DemandNotOpen."""
    return _move(before, DemandState.CLOSED, reason=reason)


def _move(
    before: Demand, state: DemandState, *, provider: str | None = None, resource: str = "", reason: str = ""
) -> tuple[Demand, DemandMoved]:
    if state not in _WAYS.get(before.state, set()):
        raise DemandNotOpen(f"The demand is {before.state.value}.")
    after = replace(
        before,
        state=state,
        provider=before.provider if provider is None else provider,
        resource=resource or before.resource,
        reason=reason,
    )
    return after, moved(after)
