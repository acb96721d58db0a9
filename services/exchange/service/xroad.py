# SPDX-License-Identifier: Apache-2.0
"""What an X-Road neighbor may ask about the exchange itself: members, services, what they look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.exchange.domain.resource import Resource
from services.exchange.domain.xroad import XroadServiceUnknown
from services.kit.caller import Caller
from services.kit.clock import Clock

RIGHT = "exchange.read"
SERVICES_MAX = 1000
"""Services that one answer lists: the protocol knows no pages."""


@dataclass(frozen=True, slots=True)
class Member:
    """An agency, and the classifications in which it provides resources."""

    uscc: str
    name: str
    subsystems: Sequence[str]


class Members(Protocol):
    """Identity, in the exchange's words."""

    async def agencies(self) -> Sequence[tuple[str, str]]:
        """Give USCC and name of every active agency. Raises Unavailable."""


class NeighborRows(Protocol):
    """What is read of the catalogue for neighbors."""

    async def classifications(self) -> Sequence[tuple[str, str]]:
        """Give provider and classification of all resources, each pair once."""

    async def provided(self, provider: str, classification: str, *, limit: int) -> Sequence[str]:
        """Give codes of resources of one provider in one classification, in order."""

    async def granted(self, grantee: str, codes: Sequence[str], *, now: datetime) -> frozenset[str]:
        """Tell on which of these resources an agency holds a grant."""

    async def read_resource(self, code: str) -> Resource:
        """Read a resource. Raises ResourceNotFound."""


class NeighborService:
    """Answers `listClients`, `listMethods`, `allowedMethods` and `getOpenAPI` (PR-META, PR-MREST)."""

    def __init__(self, rows: NeighborRows, members: Members, *, clock: Clock) -> None:
        self._rows = rows
        self._members = members
        self._clock = clock

    async def clients(self, caller: Caller) -> list[Member]:
        """List every member with its subsystems (PR-META 2)."""
        caller.must(RIGHT)
        names = await self._members.agencies()
        subsystems: dict[str, list[str]] = {}
        for provider, classification in await self._rows.classifications():
            subsystems.setdefault(provider, []).append(classification)
        return [Member(uscc, name, tuple(subsystems.get(uscc, ()))) for uscc, name in names]

    async def methods(self, provider: str, classification: str, caller: Caller) -> list[str]:
        """List the resources of one subsystem (PR-MREST 4, `listMethods`)."""
        caller.must(RIGHT)
        return list(await self._rows.provided(provider, classification, limit=SERVICES_MAX))

    async def allowed(self, provider: str, classification: str, caller: Caller) -> list[str]:
        """List those that the caller may call (PR-MREST 4, `allowedMethods`): what it holds is its own to know."""
        codes = await self._rows.provided(provider, classification, limit=SERVICES_MAX)
        granted = await self._rows.granted(caller.agency, codes, now=self._clock())
        return [code for code in codes if code in granted]

    async def described(self, provider: str, code: str, caller: Caller) -> Resource:
        """Give the resource whose description is wanted (PR-MREST 5, `getOpenAPI`)."""
        caller.must(RIGHT)
        codes = await self._rows.provided(provider, code.partition("/")[0], limit=SERVICES_MAX)
        if code not in codes:
            raise XroadServiceUnknown("The member has no such service.")
        return await self._rows.read_resource(code)
