# SPDX-License-Identifier: Apache-2.0
"""The real licenses service between an identity and a gateway whose answers a test puts in, over gRPC and events."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.gateway.v1 import gateway_pb2, gateway_service_pb2, gateway_service_pb2_grpc
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.identity.v1 import identity_service_pb2_grpc as identity_grpc
from tongban.licenses.v1 import licenses_service_pb2_grpc

from services.kit.caller import Caller, CallerKind
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.config import Common
from services.kit.crypto import SigningKey
from services.kit.envelope import Envelope, pack, service_topic, topic_of, unpack
from services.kit.errors import Refusal, Unavailable
from services.kit.eventlog import EventLog, open_eventlog
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from services.kit.run import App, Runtime, Serving, serving
from services.kit.telemetry import Telemetry
from services.licenses.app import running
from services.licenses.config import Settings
from tests.support.eventually import beside, eventually
from tests.support.mesh import ISSUER, IdentityFake, free_port
from tests.support.profiles import Profile

HOSPITAL = "1299010000000102XJ"
HUMAN_RESOURCES = "119901000000010626"
RIGHTS = ("licenses.issue", "licenses.read", "licenses.suspend", "licenses.revoke", "licenses.verify")
CALL_SECONDS = 30.0
"""Far above what it takes: the machine may be busy with other tests."""
GATEWAY = "spiffe://tongban/service/gateway"


class StepNotOpen(Refusal):
    """As the gateway refuses."""


class GatewayFake(gateway_service_pb2_grpc.StepServiceServicer):
    """Inputs of steps, by case, step and attempt."""

    def __init__(self) -> None:
        self.inputs: dict[tuple[str, str, int], gateway_pb2.StepInput] = {}
        self.asked: list[tuple[str, str, int]] = []
        self.down = False

    async def GetStepInput(self, request: Any, _context: Any) -> Any:
        key = (request.case_id, request.step_id, request.attempt)
        self.asked.append(key)
        if self.down:
            raise Unavailable("The gateway is down.")
        if key not in self.inputs:
            raise StepNotOpen("The step is not open.")
        return gateway_service_pb2.GetStepInputResponse(input=self.inputs[key])


@dataclass
class City:
    """The service, its neighbours and everything it told."""

    pki: Path
    service: Serving
    gateway: GatewayFake
    identity: IdentityFake
    log: EventLog
    telemetry: Telemetry
    stack: AsyncExitStack
    token_key: SigningKey
    heard: list[tuple[Envelope, bytes]] = field(default_factory=list)

    async def peer(self, spiffe_id: str) -> Peer:
        """The way to the service for the holder of a certificate."""
        CertificateAuthority.open(self.pki).ensure(spiffe_id)
        identity = Identity.open(self.pki, spiffe_id)
        address = f"127.0.0.1:{self.service.grpc_port}"
        return await self.stack.enter_async_context(
            Peer.open(address, identity, self.telemetry, server_name="licenses")
        )

    async def call(self, who: str, method: str, request: Message) -> Any:
        """Ask as an agency (USCC), or as a resident through the gateway (subject id)."""
        if "-" not in who:
            peer = await self.peer(f"spiffe://tongban/agency/{who}")
            return await peer.call(_method(peer, method), request, timeout_seconds=CALL_SECONDS)
        peer = await self.peer(GATEWAY)
        caller = Caller(CallerKind.CITIZEN, who, token=self.token(who))
        return await peer.call(_method(peer, method), request, timeout_seconds=CALL_SECONDS, caller=caller)

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

    def open_step(self, case_id: str, step_id: str, attempt: int, wanted: Mapping[str, Any], **others: str) -> None:
        """Let the gateway answer for a step."""
        self.gateway.inputs[case_id, step_id, attempt] = gateway_pb2.StepInput(
            case_id=case_id,
            step_id=step_id,
            attempt=attempt,
            kind=gateway_pb2.STEP_KIND_LICENSE,
            purpose="birth",
            basis="PIPL art. 13(1)(3); Order 809 art. 19",
            agency=others.get("agency", HOSPITAL),
            applicant_id=others.get("applicant_id", ""),
            input=ParseDict(dict(wanted), Struct()),
        )

    async def request_step(self, case_id: str, step_id: str, attempt: int = 1, *, event_id: str = "") -> None:
        """Tell that a step is asked for."""
        fact = StepRequested(
            case_id=case_id, step_id=step_id, attempt=attempt, kind=gateway_pb2.STEP_KIND_LICENSE, matter="birth"
        )
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

    async def answers(self, case_id: str, number: int) -> list[StepAnswered]:
        """Wait for so many answers of a case."""
        await eventually(lambda: len(self._of(case_id)) >= number)
        return self._of(case_id)

    def _of(self, case_id: str) -> list[StepAnswered]:
        return [answer for answer in self.told(StepAnswered) if answer.case_id == case_id]


@asynccontextmanager
async def city(profile: Profile) -> AsyncIterator[City]:
    """Everything started; ends with everything drained."""
    folder = profile.folder
    authority = CertificateAuthority.open(folder / "pki")
    for name in ("identity", "gateway", "licenses"):
        authority.ensure(f"spiffe://tongban/service/{name}")
    for agency in (HOSPITAL, HUMAN_RESOURCES):
        authority.issue_signer(agency)
    ports = {name: free_port() for name in ("identity", "gateway", "licenses")}
    peers = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    token_key = SigningKey.open(folder / "tokens", "token")
    identity, gateway = _identity(token_key), GatewayFake()
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
        settings = Settings(database=await profile.database("licenses"), **common("licenses"))
        service = await stack.enter_async_context(serving(settings, running))
        telemetry = Telemetry("test")
        stack.callback(telemetry.close)
        await eventually(lambda: _ready(service))
        yield City(folder / "pki", service, gateway, identity, log, telemetry, stack, token_key, heard)


async def _ready(service: Serving) -> bool:
    return not await service.problems()


def _identity(key: SigningKey) -> IdentityFake:
    fake = IdentityFake(key)  # type: ignore[abstract]  # What is not behaved here answers UNIMPLEMENTED.
    fake.rights = dict.fromkeys((HOSPITAL, HUMAN_RESOURCES), (True, RIGHTS))
    return fake


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
    async with log.tail([service_topic("licenses")]) as records:

        async def listen() -> None:
            async for record in records:
                heard.append((unpack(record), record.value))  # noqa: PERF401 - it never ends

        async with beside(listen()):
            yield


def _method(peer: Peer, name: str) -> Any:
    return getattr(peer.stub(licenses_service_pb2_grpc.LicensesServiceStub), name)
