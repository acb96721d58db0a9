# SPDX-License-Identifier: Apache-2.0
"""What agencies, resources and fields are called: asked of their owners, kept for a while. Without an answer codes stand for names."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from tongban.exchange.v1 import exchange_service_pb2 as exchange_pb
from tongban.exchange.v1.exchange_service_pb2_grpc import CatalogueServiceStub
from tongban.identity.v1 import identity_service_pb2 as identity_pb
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub

from services.kit.caller import Caller, CallerKind
from services.kit.errors import Refusal, RemoteFailure, Unavailable
from services.kit.rpc.peer import Peer
from services.kit.text import Text

_ITSELF: Final = Caller(CallerKind.SERVICE, "gateway")
_SECONDS_MAX: Final = 600.0
_KEPT_MAX: Final = 2000
_TIMEOUT_SECONDS: Final = 2.0


NameT = TypeVar("NameT")


@dataclass(frozen=True, slots=True)
class ResourceNames:
    """A resource and its fields."""

    name: Text
    fields: Mapping[str, Text]


class NamesClient:
    """Names by code; `learn` asks for what is not known, the rest answers from memory."""

    def __init__(self, identity: Peer, exchange: Peer) -> None:
        self._identity = identity
        self._exchange = exchange
        self._agencies: dict[str, tuple[Text | None, float]] = {}
        self._resources: dict[str, tuple[ResourceNames | None, float]] = {}

    async def learn(self, agencies: Iterable[str], resources: Iterable[str]) -> None:
        """Ask for the names that are not known, all at once."""
        now = time.monotonic()
        await asyncio.gather(
            *(self._learn_agency(one) for one in set(agencies) if not _fresh(self._agencies, one, now)),
            *(self._learn_resource(one) for one in set(resources) if not _fresh(self._resources, one, now)),
        )

    def agency(self, uscc: str) -> Text | None:
        """What an agency is called."""
        return self._agencies.get(uscc, (None, 0))[0]

    def resource(self, code: str) -> ResourceNames | None:
        """What a resource is called."""
        return self._resources.get(code, (None, 0))[0]

    async def _learn_agency(self, uscc: str) -> None:
        stub = self._identity.stub(AgencyServiceStub)
        request = identity_pb.GetAgencyRequest(uscc=uscc)
        name: Text | None = None
        try:
            answer = await self._identity.call(
                stub.GetAgency, request, timeout_seconds=_TIMEOUT_SECONDS, caller=_ITSELF
            )
            name = Text(answer.agency.name_zh or uscc, answer.agency.name_en or uscc)
        except Refusal:
            pass  # there is no such agency any more
        except (Unavailable, RemoteFailure):
            return  # asked again next time
        _keep(self._agencies, uscc, name)

    async def _learn_resource(self, code: str) -> None:
        stub = self._exchange.stub(CatalogueServiceStub)
        request = exchange_pb.GetResourceRequest(code=code)
        names: ResourceNames | None = None
        try:
            found = (
                await self._exchange.call(stub.GetResource, request, timeout_seconds=_TIMEOUT_SECONDS, caller=_ITSELF)
            ).resource
            names = ResourceNames(
                Text(found.name_zh or code, found.name_en or code),
                {one.name: Text(one.label_zh or one.name, one.label_en or one.name) for one in found.fields},
            )
        except Refusal:
            pass  # there is no such resource any more
        except (Unavailable, RemoteFailure):
            return
        _keep(self._resources, code, names)


def _fresh(kept: Mapping[str, tuple[object, float]], key: str, now: float) -> bool:
    return key in kept and kept[key][1] > now


def _keep(kept: dict[str, tuple[NameT | None, float]], key: str, value: NameT | None) -> None:
    if len(kept) >= _KEPT_MAX:
        kept.pop(next(iter(kept)))
    kept[key] = (value, time.monotonic() + _SECONDS_MAX)
