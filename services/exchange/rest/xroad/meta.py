# SPDX-License-Identifier: Apache-2.0
"""The services that every member has: who is here, what is offered, what may be called, what it looks like (PR-META, PR-MREST)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from services.exchange.domain.xroad import MEMBER_CLASS, Message, XroadMemberUnknown
from services.exchange.rest.xroad.openapi import description_of
from services.exchange.rest.xroad.services import ENDPOINTS
from services.exchange.service.xroad import Member, NeighborService
from services.kit.caller import Caller
from services.kit.errors import RequestInvalid, Violation


@dataclass(frozen=True, slots=True)
class MetaCalls:
    """Answers calls about the exchange itself. Nobody's data is used, so that none has a leaf."""

    neighbors: NeighborService
    instance: str

    async def clients(self, query: str, caller: Caller) -> dict[str, Any]:
        """`/listClients?xRoadInstance=` (PR-META 2): members and their subsystems."""
        wanted = _parameter(query, "xRoadInstance") or self.instance
        if wanted != self.instance:
            raise XroadMemberUnknown(f"This is a server of instance {self.instance}.")
        members = await self.neighbors.clients(caller)
        return {"member": [entry for member in members for entry in self._entries(member)]}

    async def answer(self, message: Message, query: str, caller: Caller) -> dict[str, Any]:
        """Answer `listMethods`, `allowedMethods` or `getOpenAPI` of one subsystem."""
        provider, subsystem = message.service.member, message.service.subsystem
        match message.service.service:
            case "listMethods":
                return self._services(provider, await self.neighbors.methods(provider, subsystem, caller))
            case "allowedMethods":
                return self._services(provider, await self.neighbors.allowed(provider, subsystem, caller))
        wanted = _parameter(query, "serviceCode")
        if not wanted:
            raise RequestInvalid("Which service?", violations=[Violation("serviceCode", "Is required.")])
        resource = await self.neighbors.described(provider, f"{subsystem}/{wanted}", caller)
        return description_of(resource, base=f"/r1/{self._path(provider, subsystem)}/{wanted}")

    def _entries(self, member: Member) -> Iterable[dict[str, Any]]:
        own = {"xroad_instance": self.instance, "member_class": MEMBER_CLASS, "member_code": member.uscc}
        yield {"id": {"object_type": "MEMBER", **own}, "name": member.name}
        for subsystem in member.subsystems:
            yield {
                "id": {"object_type": "SUBSYSTEM", **own, "subsystem_code": subsystem},
                "name": member.name,
                "subsystem_name": subsystem,
            }

    def _services(self, provider: str, codes: Iterable[str]) -> dict[str, Any]:
        endpoints = [{"method": method, "path": path} for method, path in ENDPOINTS]
        return {
            "service": [
                {
                    "object_type": "SERVICE",
                    "service_type": "OPENAPI",
                    "xroad_instance": self.instance,
                    "member_class": MEMBER_CLASS,
                    "member_code": provider,
                    "subsystem_code": code.partition("/")[0],
                    "service_code": code.partition("/")[2],
                    "endpoint_list": endpoints,
                }
                for code in codes
            ]
        }

    def _path(self, provider: str, subsystem: str) -> str:
        return f"{self.instance}/{MEMBER_CLASS}/{provider}/{subsystem}"


def _parameter(query: str, name: str) -> str:
    """Read one parameter; one that comes twice could mean two things (PR-REST 4.2, parameter pollution)."""
    try:
        values = parse_qs(query, strict_parsing=bool(query), max_num_fields=8).get(name, [])
    except ValueError:
        values = ["", ""]
    if len(values) > 1:
        raise RequestInvalid("The address can't be read.", violations=[Violation(name, "Once.")])
    return values[0] if values else ""
