# SPDX-License-Identifier: Apache-2.0
"""The real identity service on real ports with real certificates, and a gateway that answers inputs of steps."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct
from tongban.gateway.v1 import gateway_pb2
from tongban.gateway.v1 import gateway_service_pb2 as gateway_service
from tongban.gateway.v1.gateway_service_pb2_grpc import StepServiceServicer, add_StepServiceServicer_to_server
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub, IdentityServiceStub, TokenServiceStub

from services.identity.app import running
from services.identity.config import Settings
from services.kit.caller import Caller
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.clock import Clock, utc_now
from services.kit.config import Common
from services.kit.errors import Code, Refusal, Unavailable
from services.kit.ids import new_id
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.peer import Peer
from services.kit.rpc.server import Server
from services.kit.run import Serving, serving
from services.kit.telemetry import Telemetry
from tests.support.identity_world import HOSPITAL_CODE
from tests.support.mesh import free_port
from tests.support.profiles import Profile

POLICE_ID = "spiffe://tongban/agency/11990100000001046G"
HOSPITAL_ID = f"spiffe://tongban/agency/{HOSPITAL_CODE}"
OPERATOR_ID = "spiffe://tongban/operator/operator-1"
GATEWAY_ID = "spiffe://tongban/service/gateway"
EXCHANGE_ID = "spiffe://tongban/service/exchange"
RIGHTS = {
    POLICE_ID: ("identity.existence", "identity.register", "identity.verify"),
    HOSPITAL_ID: ("identity.verify",),
}


class StepNotOpen(Refusal):
    """As the gateway says it."""

    code = Code.FAILED_PRECONDITION


@dataclass
class GatewayFake(StepServiceServicer):
    """Inputs of steps by case; a case without one is no longer open."""

    inputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    busy: int = 0
    """So many questions get no answer."""

    async def GetStepInput(self, request: Any, _context: Any) -> Any:
        self.asked.append(request.case_id)
        if len(self.asked) <= self.busy:
            raise Unavailable("The gateway is busy.")
        if request.case_id not in self.inputs:
            raise StepNotOpen("The step is answered or overtaken.")
        given = Struct()
        given.update(self.inputs[request.case_id])
        return gateway_service.GetStepInputResponse(
            input=gateway_pb2.StepInput(
                case_id=request.case_id,
                step_id=request.step_id,
                attempt=request.attempt,
                kind=gateway_pb2.STEP_KIND_VERIFY,
                purpose="birth",
                basis="PIPL-13-1-3",
                agency=HOSPITAL_CODE,
                input=given,
            )
        )


@dataclass
class City:
    """Certificates, ports and the ways to identity, which a test can start, stop and start again."""

    profile: Profile
    stack: AsyncExitStack
    pki: Path
    authority: CertificateAuthority
    telemetry: Telemetry
    gateway: GatewayFake
    clock: Clock
    knobs: dict[str, Any]
    port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=free_port)
    _peers: dict[str, Peer] = field(default_factory=dict)

    @asynccontextmanager
    async def identity(self) -> AsyncIterator[Serving]:
        """Identity serves inside the block."""
        settings = Settings(
            database=await self.profile.database("identity"),
            events=self.profile.events,
            grpc_port=self.port,
            peers={"identity": f"127.0.0.1:{self.port}", "gateway": f"127.0.0.1:{self.gateway_port}"},
            pki=self.pki,
            keys=self.profile.folder / "keys",
            **{"sandbox": True, **self.knobs},
        )
        async with serving(settings, running, clock=self.clock) as service:
            yield service

    @asynccontextmanager
    async def gateway_open(self) -> AsyncIterator[None]:
        """The gateway answers inside the block."""
        async with AsyncExitStack() as stack:
            identity = self.certificate(GATEWAY_ID)
            settings = Common(
                database="sqlite:///unused/database",
                events="sqlite:///unused/events",
                grpc_port=self.gateway_port,
                pki=self.pki,
                keys=self.profile.folder,
            )
            # No tokens and no agencies come here, so nobody is asked about them.
            server = Server("gateway", settings, identity, self.telemetry, Doorkeeper(None, None))  # type: ignore[arg-type]
            server.add([(add_StepServiceServicer_to_server, self.gateway)])
            await server.start()
            stack.push_async_callback(server.drain, 0.5)
            yield

    def certificate(self, spiffe_id: str) -> Identity:
        """The certificate of somebody."""
        self.authority.ensure(spiffe_id)
        return Identity.open(self.pki, spiffe_id)

    async def peer(self, spiffe_id: str) -> Peer:
        """The way to identity for somebody."""
        if spiffe_id not in self._peers:
            way = Peer.open(
                f"127.0.0.1:{self.port}", self.certificate(spiffe_id), self.telemetry, server_name="identity"
            )
            self._peers[spiffe_id] = await self.stack.enter_async_context(way)
        return self._peers[spiffe_id]

    async def ask(self, spiffe_id: str, method: str, request: Any, *, caller: Caller | None = None) -> Any:
        """Call a method of identity as somebody; time is not what these tests are about."""
        peer = await self.peer(spiffe_id)
        for stub in (IdentityServiceStub, AgencyServiceStub, TokenServiceStub):
            found = getattr(peer.stub(stub), method, None)
            if found is not None:
                return await peer.call(found, request, timeout_seconds=30, caller=caller)
        raise AttributeError(method)

    async def put_agencies(self) -> None:
        """The police and the hospital with their rights."""
        for spiffe_id, rights in RIGHTS.items():
            uscc = spiffe_id.rsplit("/", 1)[1]
            await self.ask(
                OPERATOR_ID,
                "PutAgency",
                pb.PutAgencyRequest(uscc=uscc, name_zh="机构", name_en="Agency", rights=rights, active=True),
            )

    async def register(self, *persons: pb.NewPerson, request_id: str = "") -> pb.RegisterPersonsResponse:
        """The police registers persons."""
        request = pb.RegisterPersonsRequest(request_id=request_id or new_id(), persons=persons)
        response: pb.RegisterPersonsResponse = await self.ask(POLICE_ID, "RegisterPersons", request)
        return response


@asynccontextmanager
async def city(profile: Profile, *, clock: Clock = utc_now, **knobs: Any) -> AsyncIterator[City]:
    """Nothing runs yet."""
    pki = profile.folder / "pki"
    authority = CertificateAuthority.open(pki)
    authority.ensure("spiffe://tongban/service/identity")
    telemetry = Telemetry("test")
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.close)
        yield City(profile, stack, pki, authority, telemetry, GatewayFake(), clock, knobs)
