# SPDX-License-Identifier: Apache-2.0
"""The real exchange between an identity and a gateway whose answers a test puts in, with real departments' registers."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2_grpc as doors
from tongban.gateway.v1 import gateway_pb2, gateway_service_pb2, gateway_service_pb2_grpc
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.identity.v1 import identity_pb2, identity_service_pb2
from tongban.identity.v1 import identity_service_pb2_grpc as identity_grpc
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.exchange.app import running
from services.exchange.config import Settings
from services.kit.caller import Caller, CallerKind
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.config import Common
from services.kit.crypto import SigningKey
from services.kit.envelope import Envelope, pack, service_topic, topic_of, unpack
from services.kit.errors import NotFound, Refusal, Unavailable
from services.kit.eventlog import EventLog, open_eventlog
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from services.kit.run import App, Runtime, Serving, serving
from services.kit.telemetry import Telemetry
from tests.support.eventually import beside, eventually
from tests.support.mesh import ISSUER, IdentityFake, free_port
from tests.support.profiles import Profile

HOSPITAL = "1299010000000102XJ"
POLICE = "11990100000001046G"
INSURANCE = "119901000000010701"
HOUSEHOLD = "307002/000001"
ENROLLMENT = "307003/000001"
# Synthetic: no real number begins with 99.
NUMBER = "990100199003070027"
NOBODY = "990100199003070999"
SUBJECT_ID = "5e0c5e05-2b1c-4b6f-9a35-5d2f7b1f9a01"
ADDRESS = "1 Spring Lane"
CALL_SECONDS = 30.0
"""Far above what it takes: the machine may be busy with other tests."""
GATEWAY = "spiffe://tongban/service/gateway"
OPERATOR = "spiffe://tongban/operator/operator-1"
RIGHTS = {
    HOSPITAL: ("exchange.query", "exchange.read"),
    POLICE: ("exchange.provide",),
    INSURANCE: ("exchange.provide",),
}
STUBS = (doors.ExchangeServiceStub, doors.CatalogueServiceStub, LedgerServiceStub)


class StepNotOpen(Refusal):
    """As the gateway refuses."""


class PersonNotFound(NotFound):
    """As identity refuses."""


class IdentityOfOne(IdentityFake):
    """Identity with one person."""

    down = False

    async def ResolvePerson(self, request: Any, _context: Any) -> Any:
        self._must_answer()
        self.asked.append("ResolvePerson")
        if request.subject_id != SUBJECT_ID:
            raise PersonNotFound("There is no such person.")
        person = identity_pb2.PersonAttributes(subject_id=SUBJECT_ID, number=NUMBER)
        return identity_service_pb2.ResolvePersonResponse(person=person)

    async def VerifyPerson(self, request: Any, context: Any) -> Any:
        assert context
        self._must_answer()
        self.asked.append("VerifyPerson")
        if request.number == NUMBER:
            return identity_service_pb2.VerifyPersonResponse(
                result=identity_pb2.MATCH_RESULT_MATCH, subject_id=SUBJECT_ID
            )
        return identity_service_pb2.VerifyPersonResponse(result=identity_pb2.MATCH_RESULT_NOT_FOUND)

    def _must_answer(self) -> None:
        if self.down:
            raise Unavailable("Identity is down.")


class GatewayFake(gateway_service_pb2_grpc.StepServiceServicer):
    """Inputs of steps, by case."""

    def __init__(self) -> None:
        self.inputs: dict[str, gateway_pb2.StepInput] = {}
        self.down = False

    async def GetStepInput(self, request: Any, _context: Any) -> Any:
        if self.down:
            raise Unavailable("The gateway is down.")
        if request.case_id not in self.inputs:
            raise StepNotOpen("The step is not open.")
        return gateway_service_pb2.GetStepInputResponse(input=self.inputs[request.case_id])


@dataclass
class City:
    """The service, its neighbours and everything it told."""

    folder: Path
    pki: Path
    service: Serving
    settings: Settings
    gateway: GatewayFake
    identity: IdentityOfOne
    log: EventLog
    telemetry: Telemetry
    stack: AsyncExitStack
    token_key: SigningKey
    heard: list[tuple[Envelope, bytes]] = field(default_factory=list)
    peers: dict[str, Peer] = field(default_factory=dict)

    async def peer(self, spiffe_id: str) -> Peer:
        """The way to the service for the holder of a certificate."""
        if spiffe_id not in self.peers:
            CertificateAuthority.open(self.pki).ensure(spiffe_id)
            identity = Identity.open(self.pki, spiffe_id)
            way = Peer.open(f"127.0.0.1:{self.service.grpc_port}", identity, self.telemetry, server_name="exchange")
            self.peers[spiffe_id] = await self.stack.enter_async_context(way)
        return self.peers[spiffe_id]

    async def call(self, who: str, method: str, request: Message) -> Any:
        """Ask as an agency (USCC), as a resident through the gateway (subject id), or as a SPIFFE id."""
        caller: Caller | None = None
        if who.startswith("spiffe:"):
            peer = await self.peer(who)
        elif "-" in who:
            peer = await self.peer(GATEWAY)
            caller = Caller(CallerKind.CITIZEN, who, token=self.token(who))
        else:
            peer = await self.peer(f"spiffe://tongban/agency/{who}")
        found = next(getattr(stub, method) for stub in map(peer.stub, STUBS) if hasattr(stub, method))
        return await peer.call(found, request, timeout_seconds=CALL_SECONDS, caller=caller)

    def token(self, subject_id: str) -> str:
        """An access token of a resident."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": subject_id,
            "aud": "tongban",
            "iat": now,
            "exp": now + 300,
            "jti": new_id(),
            "client_id": "app",
            "role": "citizen",
            "rights": [],
            "agency": "",
        }
        return self.token_key.sign_jws(json.dumps(claims).encode(), {"typ": "at+jwt"})

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
        """Let the gateway answer for a FETCH step of a case."""
        self.gateway.inputs[case_id] = gateway_pb2.StepInput(
            case_id=case_id,
            step_id="fetch_household",
            attempt=1,
            kind=gateway_pb2.STEP_KIND_FETCH,
            purpose="birth",
            basis="PIPL art. 13(1)(3); Order 809 art. 19",
            agency=HOSPITAL,
            applicant_id=SUBJECT_ID,
            input=ParseDict(dict(given), Struct()),
        )

    async def request_step(
        self, case_id: str, *, event_id: str = "", kind: "gateway_pb2.StepKind.ValueType" = gateway_pb2.STEP_KIND_FETCH
    ) -> None:
        """Tell that a step is asked for."""
        fact = StepRequested(case_id=case_id, step_id="fetch_household", attempt=1, kind=kind, matter="birth")
        envelope = Envelope(
            event_id=event_id or new_id(),
            source="/tongban/gateway",
            type=fact.DESCRIPTOR.full_name,
            subject=case_id,
            occur_time=datetime.now(UTC),
            correlation=case_id,
            topic=topic_of(StepRequested),
        )
        await self.log.send([pack(envelope, fact.SerializeToString())])

    def told(self, kind: type[Message]) -> list[Any]:
        """Facts of one kind that the service told."""
        return [kind.FromString(value) for envelope, value in self.heard if envelope.type == kind.DESCRIPTOR.full_name]

    async def answer(self, case_id: str) -> StepAnswered:
        """Wait for the answer of a case's step; there is never more than one."""
        await eventually(lambda: bool(self.answers(case_id)))
        (answer,) = self.answers(case_id)
        return answer

    def answers(self, case_id: str) -> list[StepAnswered]:
        """The answers of a case so far."""
        return [answer for answer in self.told(StepAnswered) if answer.case_id == case_id]

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
async def city(profile: Profile, **knobs: Any) -> AsyncIterator[City]:
    """Everything started; ends with everything drained."""
    folder = profile.folder
    authority = CertificateAuthority.open(folder / "pki")
    for name in ("identity", "gateway", "exchange"):
        authority.ensure(f"spiffe://tongban/service/{name}")
    ports = {name: free_port() for name in ("identity", "gateway", "exchange")}
    peers = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    token_key = SigningKey.open(folder / "tokens", "token")
    gateway = GatewayFake()
    identity = IdentityOfOne(token_key)  # type: ignore[abstract] # What is not behaved here answers UNIMPLEMENTED.
    identity.rights = {agency: (True, rights) for agency, rights in RIGHTS.items()}
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_eventlog(profile.events, client="test"))
        await log.ensure_topics([service_topic(name) for name in ports])
        heard: list[tuple[Envelope, bytes]] = []
        await stack.enter_async_context(_hearing(log, heard))

        def common(name: str) -> dict[str, Any]:
            return {
                "events": profile.events,
                "pki": folder / "pki",
                "keys": folder / "keys" / name,
                "grpc_port": ports[name],
                "peers": peers,
            }

        unused = f"sqlite:///{folder}/unused.sqlite"
        for name, app in (("identity", _identity_app(identity)), ("gateway", _gateway_app(gateway))):
            settings = Common(database=unused, **common(name))
            await stack.enter_async_context(serving(settings, app, name=name))
        settings = Settings(database=await profile.database("exchange"), **{**common("exchange"), **knobs})
        service = await stack.enter_async_context(serving(settings, running))
        telemetry = Telemetry("test")
        stack.callback(telemetry.close)
        await eventually(lambda: ready(service))
        yield City(
            folder, folder / "pki", service, settings, gateway, identity, log, telemetry, stack, token_key, heard
        )


async def ready(service: Serving) -> bool:
    """Whether nothing is wrong with it."""
    return not await service.problems()


def _identity_app(fake: IdentityFake) -> Any:
    @asynccontextmanager
    async def app(_settings: Common, _runtime: Runtime) -> AsyncIterator[App]:
        yield App(
            name="identity",
            rpc=[
                (identity_grpc.add_IdentityServiceServicer_to_server, fake),
                (identity_grpc.add_AgencyServiceServicer_to_server, fake),
                (identity_grpc.add_TokenServiceServicer_to_server, fake),
            ],
        )

    return app


def _gateway_app(fake: GatewayFake) -> Any:
    @asynccontextmanager
    async def app(_settings: Common, _runtime: Runtime) -> AsyncIterator[App]:
        yield App(name="gateway", rpc=[(gateway_service_pb2_grpc.add_StepServiceServicer_to_server, fake)])

    return app


@asynccontextmanager
async def _hearing(log: EventLog, heard: list[tuple[Envelope, bytes]]) -> AsyncIterator[None]:
    async with log.tail([service_topic("exchange")]) as records:

        async def listen() -> None:
            async for record in records:
                heard.append((unpack(record), record.value))  # noqa: PERF401 - it never ends

        async with beside(listen()):
            yield
