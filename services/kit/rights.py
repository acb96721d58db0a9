# SPDX-License-Identifier: Apache-2.0
"""What agencies may do: read from the identity service, kept for a minute, forgotten when it says they changed."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Self

from tongban.identity.v1.identity_events_pb2 import AgencyChanged
from tongban.identity.v1.identity_service_pb2 import GetAgencyRequest
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind
from services.kit.envelope import Envelope
from services.kit.errors import NotFound, Refusal, RightMissing
from services.kit.flight import Flight
from services.kit.rpc.peer import Peer

_SECONDS_MAX: Final = 60.0
_UNKNOWN_SECONDS_MAX: Final = 5.0
_KEPT_MAX: Final = 10_000


class AgencyNotActive(RightMissing):
    """The agency is unknown or was barred; its certificate opens nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An agency's rights; inactive ones have none."""

    active: bool
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Kept:
    standing: Standing
    until: float


class RightsSource:
    """A cache with one question per agency in flight, a bounded age, and no answer where identity gives none."""

    def __init__(self, fetch: Callable[[str], Awaitable[Standing]], *, seconds_max: float = _SECONDS_MAX) -> None:
        self._flight = Flight(fetch, self._keep)
        self._seconds_max = seconds_max
        self._kept: dict[str, _Kept] = {}

    @classmethod
    def of(cls, identity: Peer, *, itself: Caller | None = None) -> Self:
        """Read from the identity service, in the name of this process."""
        stub = identity.stub(AgencyServiceStub)
        asker = itself or Caller(CallerKind.SERVICE, identity.service)

        async def fetch(uscc: str) -> Standing:
            request = GetAgencyRequest(uscc=uscc)
            try:
                response = await identity.call(stub.GetAgency, request, timeout_seconds=3, caller=asker)
            except Refusal as refusal:
                if refusal.code is NotFound.code:
                    return Standing(active=False)
                raise
            agency = response.agency
            return Standing(active=agency.active, rights=frozenset(agency.rights) - {EVERY_RIGHT})

        return cls(fetch)

    async def rights_of(self, uscc: str) -> frozenset[str]:
        """Give the rights of an active agency.

        Raises:
            AgencyNotActive: it is unknown or barred.
            Unavailable: identity does not answer, and what was known is older than a minute.
        """
        kept = self._kept.get(uscc)
        if kept is None or kept.until <= time.monotonic():
            standing = await self._flight.answer(uscc)
        else:
            standing = kept.standing
        if not standing.active:
            raise AgencyNotActive("The agency is unknown or barred.", remedy="Ask an operator of the platform.")
        return standing.rights

    def held(self, uscc: str) -> frozenset[str] | None:
        """Give the rights of an active agency where they are known; None where `rights_of` must be asked."""
        kept = self._kept.get(uscc)
        if kept is None or not kept.standing.active or kept.until <= time.monotonic():
            return None
        return kept.standing.rights

    def forget(self, uscc: str) -> None:
        """Ask again next time; an answer that is on its way is not kept either."""
        self._kept.pop(uscc, None)
        self._flight.forget(uscc)

    def forget_all(self) -> None:
        """Ask again about everybody: changes may have been told while nobody here was listening."""
        self._kept.clear()
        self._flight.forget_all()

    async def on_agency_changed(self, fact: AgencyChanged, _envelope: Envelope) -> None:
        """Forget the agency: what identity says from now on holds."""
        self.forget(fact.uscc)

    def _keep(self, uscc: str, standing: Standing) -> None:
        if len(self._kept) >= _KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
        seconds = self._seconds_max if standing.active else min(_UNKNOWN_SECONDS_MAX, self._seconds_max)
        self._kept[uscc] = _Kept(standing, time.monotonic() + seconds)
