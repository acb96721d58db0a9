# SPDX-License-Identifier: Apache-2.0
"""Tells the platform of the city: agencies, people, firms, licenses, catalogue, grants, and the accounts last.

Every step can be repeated; where the accounts are there, the people are. So a start that was killed goes on, and
the presence of the accounts says that the city is ready.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from tongban.exchange.v1 import (
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    opendata_pb2,
    opendata_service_pb2,
    opendata_service_pb2_grpc,
)
from tongban.identity.v1 import identity_pb2, identity_service_pb2, identity_service_pb2_grpc
from tongban.licenses.v1 import licenses_service_pb2, licenses_service_pb2_grpc

from sandbox import numbers
from sandbox.agencies import Agency
from sandbox.city import City, Resident
from sandbox.office import Paper
from sandbox.opendata import PERIOD
from sandbox.personas import citizens, personas
from sandbox.waits import growing
from services.kit.clock import Clock
from services.kit.errors import Refusal, Unavailable
from services.kit.ids import derived_id
from services.kit.logs import get_logger
from services.kit.rpc.peer import Peer

log = get_logger()

ItemT = TypeVar("ItemT")
_BATCH = 250
_SECONDS = 30.0
_RELEASE_SECONDS = 300.0
_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Doors:
    """The platform as the operator and the registering departments see it."""

    identity: Peer
    exchange: Peer
    identity_of_police: Peer
    identity_of_market: Peer
    licenses: Mapping[str, Peer]
    """By department: of those that have issued licenses before."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the departments share, with whom, and what they open to everybody."""

    resources: Sequence[exchange_pb2.Resource]
    grants: Sequence[exchange_pb2.Grant]
    datasets: Sequence[opendata_pb2.OpenDataset]
    papers: Mapping[str, Sequence[Paper]]
    """By department: what it has issued before."""
    firms: Sequence[identity_service_pb2.NewOrganization]
    """Of the cast, beside those of the city."""


class Seeder:
    """Brings one city onto the platform."""

    def __init__(
        self,
        city: City,
        agencies: dict[str, Agency],
        shared: Shared,
        clock: Clock,
    ) -> None:
        self._city = city
        self._agencies = agencies
        self._resources = shared.resources
        self._grants = shared.grants
        self._datasets = shared.datasets
        self._papers = shared.papers
        self._firms = shared.firms
        self._clock = clock

    async def announce(self, doors: Doors) -> None:
        """Make the departments and what they share known; wait as long as the platform isn't there."""
        await _persistently(lambda: self._put_agencies(doors.identity))
        await _persistently(lambda: self._put_resources(doors.exchange))

    async def run(self, doors: Doors) -> None:
        """Bring everything else; wait as long as the platform isn't there, and go on where it went away."""
        await _persistently(lambda: self._seed(doors))
        log.info("city_seeded", seed=self._city.seed, families=len(self._city.families))

    async def open(self, doors: Doors) -> None:
        """Put the opening list and publish its first releases; what can't be made safe is said, and stays closed."""
        stub = doors.exchange.stub(opendata_service_pb2_grpc.OpenDataServiceStub)
        for dataset in self._datasets:
            content = dataset.SerializeToString(deterministic=True).hex()
            put = opendata_service_pb2.PutOpenDatasetRequest(
                request_id=derived_id("opendata", dataset.dataset, content), dataset=dataset
            )
            produce = opendata_service_pb2.ProduceReleaseRequest(
                request_id=self._request_id(f"release-{dataset.dataset}", 0),
                dataset=dataset.dataset,
                period_start=PERIOD[0],
                period_end=PERIOD[1],
            )
            await _persistently(partial(_published, doors.exchange, stub, put, produce))

    async def _seed(self, doors: Doors) -> None:
        subjects = await self._accounts(doors.identity)
        if subjects is None:
            subjects = await self._register_people(doors.identity_of_police)
            await self._register_firms(doors.identity_of_market)
            await self._issue_papers(doors.licenses, subjects)
        await self._create_grants(doors.exchange)
        await self._put_personas(doors.identity, subjects)

    async def _put_agencies(self, identity: Peer) -> None:
        stub = identity.stub(identity_service_pb2_grpc.AgencyServiceStub)
        for agency in self._agencies.values():
            request = identity_service_pb2.PutAgencyRequest(
                uscc=agency.uscc,
                name_zh=agency.name_zh,
                name_en=agency.name_en,
                rights=agency.rights,
                active=True,
            )
            await identity.call(stub.PutAgency, request, timeout_seconds=_SECONDS)

    async def _accounts(self, identity: Peer) -> dict[str, str] | None:
        """Subject ids by citizen number, if all accounts are there."""
        stub = identity.stub(identity_service_pb2_grpc.TokenServiceStub)
        request = identity_service_pb2.ListPersonasRequest()
        response = await identity.call(stub.ListPersonas, request, timeout_seconds=_SECONDS)
        known = {persona.key: persona.subject_id for persona in response.personas}
        wanted = citizens(self._city)
        if not wanted.keys() <= known.keys():
            return None
        return {number: known[key] for key, number in wanted.items()}

    async def _register_people(self, identity: Peer) -> dict[str, str]:
        stub = identity.stub(identity_service_pb2_grpc.IdentityServiceStub)
        addresses = {family.household.number: family.household.address for family in self._city.families}
        subjects: dict[str, str] = {}
        for index, batch in enumerate(_batches(self._city.residents)):
            request = identity_service_pb2.RegisterPersonsRequest(
                request_id=self._request_id("persons", index),
                persons=[_person(resident, addresses[resident.household_number]) for resident in batch],
            )
            response = await identity.call(stub.RegisterPersons, request, timeout_seconds=_SECONDS)
            subjects |= {
                resident.number: person.subject_id for resident, person in zip(batch, response.persons, strict=True)
            }
        return subjects

    async def _register_firms(self, identity: Peer) -> None:
        stub = identity.stub(identity_service_pb2_grpc.IdentityServiceStub)
        own = (identity_service_pb2.NewOrganization(uscc=firm.uscc, name=firm.name) for firm in self._city.firms)
        for index, batch in enumerate(_batches((*self._firms, *own))):
            request = identity_service_pb2.RegisterOrganizationsRequest(
                request_id=self._request_id("firms", index),
                organizations=batch,
            )
            await identity.call(stub.RegisterOrganizations, request, timeout_seconds=_SECONDS)

    async def _issue_papers(self, licenses: Mapping[str, Peer], subjects: Mapping[str, str]) -> None:
        for key, papers in self._papers.items():
            stub = licenses[key].stub(licenses_service_pb2_grpc.LicensesServiceStub)
            for one in papers:
                request = licenses_service_pb2.IssueLicenseRequest(
                    request_id=self._request_id(f"license-{key}-{one.serial}", 0),
                    type_code=one.type,
                    holder_id=subjects[one.holder],
                    serial=one.serial,
                    attributes=ParseDict(one.attributes, Struct()),
                )
                await licenses[key].call(stub.IssueLicense, request, timeout_seconds=_SECONDS)

    async def _put_resources(self, exchange: Peer) -> None:
        stub = exchange.stub(exchange_service_pb2_grpc.CatalogueServiceStub)
        for resource in self._resources:
            put = exchange_service_pb2.PutResourceRequest(resource=resource)
            await exchange.call(stub.PutResource, put, timeout_seconds=_SECONDS)

    async def _create_grants(self, exchange: Peer) -> None:
        stub = exchange.stub(exchange_service_pb2_grpc.CatalogueServiceStub)
        for grant in self._grants:
            create = exchange_service_pb2.CreateGrantRequest(
                request_id=derived_id("grant", grant.resource, grant.grantee, *grant.purposes), grant=grant
            )
            await exchange.call(stub.CreateGrant, create, timeout_seconds=_SECONDS)

    async def _put_personas(self, identity: Peer, subjects: dict[str, str]) -> None:
        stub = identity.stub(identity_service_pb2_grpc.TokenServiceStub)
        request = identity_service_pb2.PutPersonasRequest(
            personas=personas(self._city, self._agencies, subjects.__getitem__, self._clock().date())
        )
        await identity.call(stub.PutPersonas, request, timeout_seconds=_SECONDS)

    def _request_id(self, kind: str, index: int) -> str:
        size = len(self._city.families)
        return derived_id("seed", kind, str(self._city.seed), str(size), str(index))


async def _published(
    exchange: Peer,
    stub: opendata_service_pb2_grpc.OpenDataServiceStub,
    put: opendata_service_pb2.PutOpenDatasetRequest,
    produce: opendata_service_pb2.ProduceReleaseRequest,
) -> None:
    try:
        await exchange.call(stub.PutOpenDataset, put, timeout_seconds=_SECONDS)
        made = await exchange.call(stub.ProduceRelease, produce, timeout_seconds=_RELEASE_SECONDS)
    except Refusal as refusal:
        log.warning("release_refused", dataset=produce.dataset, reason=refusal.reason)
    else:
        log.info("release_published", dataset=produce.dataset, version=made.release.version, k=made.release.k)


async def _persistently(work: Callable[[], Awaitable[None]]) -> None:
    for wait in growing(most=_WAIT_SECONDS):
        try:
            await work()
        except Unavailable:
            await asyncio.sleep(wait)
        else:
            return


def _person(resident: Resident, address: str) -> identity_service_pb2.NewPerson:
    return identity_service_pb2.NewPerson(
        number_kind=identity_pb2.NUMBER_KIND_CITIZEN,
        number=resident.number,
        name=resident.name,
        phone=resident.phone,
        address=address,
        region=numbers.REGION,
    )


def _batches(items: Iterable[ItemT]) -> Iterator[list[ItemT]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
