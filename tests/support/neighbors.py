# SPDX-License-Identifier: Apache-2.0
"""What one real service has around it: an identity and a gateway whose answers a test puts in, the bus, and whoever asks."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.gateway.v1 import gateway_pb2, gateway_service_pb2, gateway_service_pb2_grpc
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.identity.v1 import identity_service_pb2_grpc as identity_grpc

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
from tests.support.eventually import beside, eventually
from tests.support.mesh import ISSUER, IdentityFake, free_port
from tests.support.profiles import Profile

HOSPITAL = "1299010000000102XJ"
GATEWAY = "spiffe://tongban/service/gateway"
CALL_SECONDS = 30.0
"""Far above what it takes: the machine may be busy with other tests."""
Step = tuple[str, str, int]
"""Case, step and attempt."""
Doors = list[tuple[Callable[[Any, Any], None], object]]


class StepNotOpen(Refusal):
    """As the gateway refuses."""


class GatewayFake(gateway_service_pb2_grpc.StepServiceServicer):
    """Inputs of steps."""

    def __init__(self) -> None:
        self.inputs: dict[Step, gateway_pb2.StepInput] = {}
        self.asked: list[Step] = []
        self.down = False

    async def GetStepInput(self, request: Any, _context: Any) -> Any:
        step = (request.case_id, request.step_id, request.attempt)
        self.asked.append(step)
        if self.down:
            raise Unavailable("The gateway is down.")
        if step not in self.inputs:
            raise StepNotOpen("The step is not open.")
        return gateway_service_pb2.GetStepInputResponse(input=self.inputs[step])


@dataclass
class Neighborhood:
    """The service in the middle, its neighbors, and everything it told. A service's own one names the service."""

    name: ClassVar[str]
    stubs: ClassVar[tuple[type, ...]]
    step_kind: ClassVar["gateway_pb2.StepKind.ValueType"]

    profile: Profile
    identity: IdentityFake
    token_key: SigningKey
    stack: AsyncExitStack
    telemetry: Telemetry
    log: EventLog
    gateway: GatewayFake = field(default_factory=GatewayFake)
    heard: list[tuple[Envelope, bytes]] = field(default_factory=list)
    peers: dict[str, Peer] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    service: Serving = field(init=False)

    @property
    def folder(self) -> Path:
        """Where everything of this test lies."""
        return self.profile.folder

    @property
    def authority(self) -> CertificateAuthority:
        """Who gives certificates here."""
        return CertificateAuthority.open(self.folder / "pki")

    def common(self, name: str) -> dict[str, Any]:
        """What the settings of every service here have in common."""
        return {
            "events": self.profile.events,
            "pki": self.folder / "pki",
            "keys": self.folder / "keys" / name,
            "grpc_port": self.ports[name],
            "peers": {name: f"127.0.0.1:{port}" for name, port in self.ports.items()},
        }

    async def serve(self, settings: Common, running: Any) -> None:
        """Start the service in the middle, and wait until nothing is wrong with it."""
        self.service = await self.stack.enter_async_context(serving(settings, running))
        await eventually(lambda: ready(self.service))

    # ---- whoever asks ---------------------------------------------------------------------------------------------

    async def peer(self, spiffe_id: str) -> Peer:
        """The way to the service for the holder of a certificate."""
        if spiffe_id not in self.peers:
            self.authority.ensure(spiffe_id)
            identity = Identity.open(self.folder / "pki", spiffe_id)
            way = Peer.open(f"127.0.0.1:{self.service.grpc_port}", identity, self.telemetry, server_name=self.name)
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
        found = next(getattr(stub, method) for stub in map(peer.stub, self.stubs) if hasattr(stub, method))
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

    # ---- steps ----------------------------------------------------------------------------------------------------

    def put_step(
        self,
        step: Step,
        given: Mapping[str, Any],
        *,
        agency: str = HOSPITAL,
        applicant_id: str = "",
        ends_licenses: bool = False,
    ) -> None:
        """Let the gateway answer for a step of the service."""
        case_id, step_id, attempt = step
        self.gateway.inputs[step] = gateway_pb2.StepInput(
            case_id=case_id,
            step_id=step_id,
            attempt=attempt,
            kind=self.step_kind,
            purpose="birth",
            basis="PIPL art. 13(1)(3); Order 809 art. 19",
            agency=agency,
            applicant_id=applicant_id,
            input=ParseDict(dict(given), Struct()),
            ends_licenses=ends_licenses,
        )

    async def tell_step(
        self, step: Step, *, event_id: str = "", kind: "gateway_pb2.StepKind.ValueType | None" = None
    ) -> None:
        """Tell that a step is asked for."""
        case_id, step_id, attempt = step
        fact = StepRequested(
            case_id=case_id, step_id=step_id, attempt=attempt, kind=kind or self.step_kind, matter="birth"
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

    def answers_so_far(self, case_id: str) -> list[StepAnswered]:
        """The answers that the service told of a case's steps."""
        return [answer for answer in self.told(StepAnswered) if answer.case_id == case_id]


NeighborhoodT = TypeVar("NeighborhoodT", bound=Neighborhood)


async def ready(service: Serving) -> bool:
    """Whether nothing is wrong with it."""
    return not await service.problems()


@asynccontextmanager
async def neighborhood(
    kind: type[NeighborhoodT], profile: Profile, identity: Callable[[SigningKey], IdentityFake] = IdentityFake
) -> AsyncIterator[NeighborhoodT]:
    """Bus, identity and gateway; the place in the middle is still free."""
    token_key = SigningKey.open(profile.folder / "tokens", "token")
    telemetry = Telemetry("test")
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.close)
        log = await stack.enter_async_context(open_eventlog(profile.events, client="test"))
        fake = identity(token_key)  # What is not behaved in it answers UNIMPLEMENTED.
        around = kind(profile, fake, token_key, stack, telemetry, log)
        for name in ("identity", "gateway", around.name):
            around.authority.ensure(f"spiffe://tongban/service/{name}")
            around.ports[name] = free_port()
        await log.ensure_topics([service_topic(name) for name in around.ports])
        await stack.enter_async_context(_hearing(around))
        doors: dict[str, Doors] = {
            "identity": [
                (identity_grpc.add_IdentityServiceServicer_to_server, fake),
                (identity_grpc.add_AgencyServiceServicer_to_server, fake),
                (identity_grpc.add_TokenServiceServicer_to_server, fake),
            ],
            "gateway": [(gateway_service_pb2_grpc.add_StepServiceServicer_to_server, around.gateway)],
        }
        for name, rpc in doors.items():
            settings = Common(database=f"sqlite:///{profile.folder}/unused.sqlite", **around.common(name))
            await stack.enter_async_context(serving(settings, _answering(App(name=name, rpc=rpc)), name=name))
        yield around


def _answering(app: App) -> Any:
    @asynccontextmanager
    async def running(_settings: Common, _runtime: Runtime) -> AsyncIterator[App]:
        yield app

    return running


@asynccontextmanager
async def _hearing(around: Neighborhood) -> AsyncIterator[None]:
    async with around.log.tail([service_topic(around.name)]) as records:

        async def listen() -> None:
            async for record in records:
                around.heard.append((unpack(record), record.value))

        async with beside(listen()):
            yield
