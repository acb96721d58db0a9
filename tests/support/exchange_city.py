# SPDX-License-Identifier: Apache-2.0
"""The real exchange among its neighbors, with real departments' registers."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc as doors
from tongban.exchange.v1.applications_service_pb2_grpc import ApplicationServiceStub
from tongban.exchange.v1.batches_service_pb2_grpc import BatchServiceStub
from tongban.exchange.v1.catalogue_service_pb2_grpc import EntryServiceStub
from tongban.exchange.v1.changes_service_pb2_grpc import ChangeServiceStub
from tongban.exchange.v1.consents_service_pb2_grpc import ConsentServiceStub, PreviewServiceStub
from tongban.exchange.v1.corrections_service_pb2_grpc import CorrectionServiceStub
from tongban.exchange.v1.demands_service_pb2_grpc import DemandServiceStub
from tongban.exchange.v1.documents_service_pb2_grpc import DocumentServiceStub
from tongban.exchange.v1.drops_service_pb2_grpc import FileDropServiceStub
from tongban.exchange.v1.grants_service_pb2_grpc import GrantServiceStub
from tongban.exchange.v1.opendata_service_pb2_grpc import OpenDataServiceStub
from tongban.exchange.v1.providers_service_pb2_grpc import ProviderServiceStub
from tongban.exchange.v1.requests_service_pb2_grpc import DataRequestServiceStub
from tongban.exchange.v1.search_service_pb2_grpc import SearchServiceStub
from tongban.exchange.v1.subscriptions_service_pb2_grpc import SubscriptionServiceStub
from tongban.gateway.v1 import gateway_pb2
from tongban.identity.v1 import identity_pb2, identity_service_pb2
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.exchange.app import running
from services.exchange.config import Settings
from services.exchange.domain.settings import AdapterKind
from services.exchange.service.ports import AdapterFactory
from services.kit.errors import NotFound, Refusal, Unavailable
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from tests.support.eventually import beside, eventually
from tests.support.mesh import IdentityFake
from tests.support.neighbors import HOSPITAL, Neighborhood, neighborhood
from tests.support.profiles import Profile

POLICE = "11990100000001046G"
INSURANCE = "119901000000010701"
HOUSEHOLD = "307002/000001"
ENROLLMENT = "307003/000001"
# Synthetic: no real number begins with 99.
NUMBER = "990100199003070027"
NOBODY = "990100199003070999"
SUBJECT_ID = "5e0c5e05-2b1c-4b6f-9a35-5d2f7b1f9a01"
ADDRESS = "1 Spring Lane"
OPERATOR = "spiffe://tongban/operator/operator-1"
RIGHTS = {
    HOSPITAL: ("exchange.query", "exchange.read"),
    POLICE: ("exchange.provide",),
    INSURANCE: ("exchange.provide",),
}
FETCH_STEP = "fetch_household"


class PersonNotFound(NotFound):
    """As identity refuses."""


class IdentityOfOne(IdentityFake):
    """Identity with one person."""

    async def ResolvePerson(self, request: Any, _context: Any) -> Any:
        if request.subject_id != SUBJECT_ID:
            raise PersonNotFound("There is no such person.")
        person = identity_pb2.PersonAttributes(subject_id=SUBJECT_ID, number=NUMBER)
        return identity_service_pb2.ResolvePersonResponse(person=person)

    async def VerifyPerson(self, request: Any, context: Any) -> Any:
        assert context
        if request.number == NUMBER:
            return identity_service_pb2.VerifyPersonResponse(
                result=identity_pb2.MATCH_RESULT_MATCH, subject_id=SUBJECT_ID
            )
        return identity_service_pb2.VerifyPersonResponse(result=identity_pb2.MATCH_RESULT_NOT_FOUND)


@dataclass
class City(Neighborhood):
    """The exchange, its neighbors and departments."""

    name = "exchange"
    stubs = (
        doors.ExchangeServiceStub,
        doors.CatalogueServiceStub,
        ChangeServiceStub,
        CorrectionServiceStub,
        BatchServiceStub,
        ConsentServiceStub,
        PreviewServiceStub,
        DataRequestServiceStub,
        SubscriptionServiceStub,
        DemandServiceStub,
        DocumentServiceStub,
        EntryServiceStub,
        LedgerServiceStub,
        FileDropServiceStub,
        OpenDataServiceStub,
        ProviderServiceStub,
        SearchServiceStub,
        GrantServiceStub,
        ApplicationServiceStub,
    )
    step_kind = gateway_pb2.STEP_KIND_FETCH

    settings: Settings = field(init=False)

    async def stock(self) -> str:
        """Put the household register and the hospital's grant on it; give the grant's id."""
        await self.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=self.household()))
        response = await self.call(OPERATOR, "CreateGrant", grant_request())
        return str(response.grant.grant_id)

    def household(self, **changes: Any) -> nouns.Resource:
        """The police's register, a SQLite file of theirs."""
        path = self.folder / "police.sqlite"
        if not path.exists():
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE household (number text, address text, head_name text)")
                connection.execute("INSERT INTO household VALUES (?, ?, ?)", (NUMBER, ADDRESS, "Li Wei"))
            connection.close()
        statement = "SELECT number AS subject_key, address, head_name FROM household WHERE number = :subject_key"
        return resource(
            HOUSEHOLD,
            POLICE,
            nouns.ADAPTER_KIND_SQL,
            {"url": f"sqlite:///{path}", "statement": statement},
            ("address", "head_name"),
            **changes,
        )

    def open_step(self, case_id: str, given: Mapping[str, Any]) -> None:
        """Let the gateway answer for the FETCH step of a case."""
        self.put_step((case_id, FETCH_STEP, 1), given, applicant_id=SUBJECT_ID)

    async def request_step(
        self, case_id: str, *, event_id: str = "", kind: "gateway_pb2.StepKind.ValueType" = gateway_pb2.STEP_KIND_FETCH
    ) -> None:
        """Tell that it is asked for."""
        await self.tell_step((case_id, FETCH_STEP, 1), event_id=event_id, kind=kind)

    async def answer(self, case_id: str) -> StepAnswered:
        """Wait for the answer of a case's step; there is never more than one."""
        await eventually(lambda: bool(self.answers_so_far(case_id)))
        (answer,) = self.answers_so_far(case_id)
        return answer

    async def leaves(self) -> list[dict[str, Any]]:
        """Every leaf of the ledger."""
        found = await self.service.app.store.ledger.leaves(0, 1000)  # type: ignore[union-attr] # it has a store
        return [json.loads(leaf.body) for leaf in found[0]]

    @asynccontextmanager
    async def connector(
        self, resources: tuple[str, ...] = (ENROLLMENT,), *, agency: str = INSURANCE
    ) -> AsyncIterator["ConnectorFake"]:
        """A provider's connector that dialed in."""
        peer = await self.peer(f"spiffe://tongban/agency/{agency}")
        connector = ConnectorFake(resources)
        async with beside(connector.run(peer)):
            yield connector


class ConnectorFake:
    """A connector as a provider runs it: it says hello and answers with what a test puts in."""

    def __init__(self, resources: tuple[str, ...]) -> None:
        hello = pb.ConnectorHello(resources=resources)
        self.sending: asyncio.Queue[pb.ConnectRequest | None] = asyncio.Queue()
        self.sending.put_nowait(pb.ConnectRequest(hello=hello))
        self.work: list[pb.ConnectResponse] = []
        self.values: dict[str, Any] | None = {"scheme": "resident", "status": "active"}
        self.silent = False
        self.refusal: Refusal | Unavailable | None = None
        self.ended = asyncio.Event()

    async def run(self, peer: Peer) -> None:
        stub = peer.stub(doors.ConnectorServiceStub)
        try:
            async for work in peer.stream(stub.Connect, self._requests()):
                self.work.append(work)
                if not self.silent:
                    self.sending.put_nowait(self._answered(work))
        except (Refusal, Unavailable) as refusal:
            self.refusal = refusal
        finally:
            self.ended.set()

    async def _requests(self) -> AsyncIterator[pb.ConnectRequest]:
        while (request := await self.sending.get()) is not None:
            yield request

    def _answered(self, work: pb.ConnectResponse) -> pb.ConnectRequest:
        if self.values is None:
            answer = pb.ConnectorAnswer(work_id=work.work_id, outcome=pb.CONNECTOR_OUTCOME_NOT_FOUND)
        else:
            answer = pb.ConnectorAnswer(work_id=work.work_id, outcome=pb.CONNECTOR_OUTCOME_FOUND)
            answer.values.update(self.values)
        return pb.ConnectRequest(answer=answer)


def resource(
    code: str,
    provider: str,
    adapter: "nouns.AdapterKind.ValueType",
    settings: Mapping[str, Any],
    fields: tuple[str, ...],
    *,
    timeout_ms: int = 5000,
) -> nouns.Resource:
    """A resource of the catalogue."""
    wire = nouns.Resource(
        code=code,
        name_zh="资源",
        name_en="Resource",
        provider=provider,
        sharing_class=nouns.SHARING_CLASS_CONDITIONAL,
        sharing_reason="For services to residents.",
        fields=[
            nouns.ResourceField(name=name, label_zh="字段", label_en=name, sensitivity=nouns.SENSITIVITY_PERSONAL)
            for name in fields
        ],
        adapter=adapter,
        timeout_ms=timeout_ms,
        region="990100",
    )
    wire.adapter_settings.update(settings)
    return wire


def enrollment() -> nouns.Resource:
    """Medical insurance, behind a connector."""
    return resource(ENROLLMENT, INSURANCE, nouns.ADAPTER_KIND_CONNECTOR, {}, ("scheme", "status"), timeout_ms=2000)


def grant_request(**changes: Any) -> pb.CreateGrantRequest:
    """A grant of the hospital on the household register."""
    given: dict[str, Any] = {
        "resource": HOUSEHOLD,
        "grantee": HOSPITAL,
        "purposes": ["birth"],
        "fields": ["address"],
        "verify_fields": ["head_name"],
        "basis": "PIPL art. 13(1)(3); Order 809 art. 19",
        **changes,
    }
    request = pb.CreateGrantRequest(request_id=new_id(), grant=nouns.Grant(**given))
    request.grant.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=30))
    return request


def query(**changes: Any) -> pb.QueryRequest:
    """The hospital's question."""
    given = {
        "resource": HOUSEHOLD,
        "subject": pb.Subject(number=NUMBER),
        "fields": ["address"],
        "purpose": "birth",
        "case_id": "990100/x/1",
        **changes,
    }
    return pb.QueryRequest(**given)


@asynccontextmanager
async def city(profile: Profile, *, adapter: AdapterFactory | None = None, **knobs: Any) -> AsyncIterator[City]:
    """Everything started; ends with everything drained. `adapter`: reaches every provider, in place of the real ones."""
    async with neighborhood(City, profile, IdentityOfOne) as town:
        town.identity.rights = {agency: (True, rights) for agency, rights in RIGHTS.items()}
        town.settings = Settings(database=await profile.database("exchange"), **{**town.common("exchange"), **knobs})
        await town.serve(town.settings, partial(running, adapters=adapter and dict.fromkeys(AdapterKind, adapter)))
        yield town
