# SPDX-License-Identifier: Apache-2.0
"""One gRPC server as every service has it, with servicers that a test gives, and clients with any certificate."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from opentelemetry.sdk.trace import SpanProcessor
from tongban.identity.v1 import identity_pb2, identity_service_pb2
from tongban.identity.v1 import identity_service_pb2_grpc as identity_grpc

from services.kit.caller import current_caller
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.config import Common
from services.kit.crypto import SigningKey
from services.kit.errors import NotFound
from services.kit.rights import RightsSource
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.peer import Peer
from services.kit.rpc.server import Server
from services.kit.telemetry import Telemetry
from services.kit.tokens import TokenVerifier

HEALTH = "11990100000001011X"
BARRED = "1299010000000102XJ"
UNKNOWN = "12990100000001038J"
ISSUER = "urn:tongban:test"

Behavior = Callable[[Any, Any], Any]


class Held:
    """Calls that stay inside until they are released."""

    def __init__(self) -> None:
        self._inside = asyncio.Semaphore(0)
        self._released = asyncio.Event()

    async def behave(self, _request: Any, _context: Any) -> identity_service_pb2.VerifyPersonResponse:
        self._inside.release()
        await self._released.wait()
        return identity_service_pb2.VerifyPersonResponse()

    async def inside(self, calls: int) -> None:
        """Wait until so many more have come in."""
        for _ in range(calls):
            await self._inside.acquire()

    def release(self) -> None:
        """Let them answer, and whoever comes later."""
        self._released.set()


class IdentityFake(
    identity_grpc.IdentityServiceServicer, identity_grpc.AgencyServiceServicer, identity_grpc.TokenServiceServicer
):
    """Agencies, keys, and methods whose behavior a test puts in."""

    def __init__(self, key: SigningKey) -> None:
        self.keys = [key]
        self.rights: dict[str, tuple[bool, tuple[str, ...]]] = {
            HEALTH: (True, ("identity.verify",)),
            BARRED: (False, ("identity.verify",)),
        }
        self.asked: list[str] = []
        self.behavior: dict[str, Behavior] = {}

    def hold(self) -> Held:
        """Keep calls of VerifyPerson inside."""
        held = Held()
        self.behavior["VerifyPerson"] = held.behave
        return held

    async def GetAgency(self, request: Any, _context: Any) -> Any:
        self.asked.append(f"agency:{request.uscc}")
        if request.uscc not in self.rights:
            raise NotFound("There is no such agency.")
        active, rights = self.rights[request.uscc]
        agency = identity_pb2.Agency(uscc=request.uscc, rights=rights, active=active, version=1)
        return identity_service_pb2.GetAgencyResponse(agency=agency)

    async def ListAgencies(self, request: Any, context: Any) -> Any:
        return await self.behavior["ListAgencies"](request, context)

    async def GetJwks(self, _request: Any, _context: Any) -> Any:
        self.asked.append("keys")
        keys = json.dumps({"keys": [key.public_jwk() for key in self.keys]})
        return identity_service_pb2.GetJwksResponse(jwks_json=keys, issuer=ISSUER)

    async def VerifyPerson(self, request: Any, context: Any) -> Any:
        if "VerifyPerson" in self.behavior:
            return await self.behavior["VerifyPerson"](request, context)
        return identity_service_pb2.VerifyPersonResponse(subject_id=current_caller().label)

    async def GetOwnPerson(self, _request: Any, _context: Any) -> Any:
        caller = current_caller()
        return identity_service_pb2.GetOwnPersonResponse(
            person=identity_pb2.PersonAttributes(subject_id=caller.id, name=caller.actor)
        )


@dataclass
class Mesh:
    """The server, and the ways to it."""

    pki: Path
    authority: CertificateAuthority
    server: Server
    fake: IdentityFake
    key: SigningKey
    telemetry: Telemetry
    rights: RightsSource
    stack: AsyncExitStack
    port: int = 0
    channels: dict[str, aio.Channel] = field(default_factory=dict)

    def identity(self, spiffe_id: str) -> Identity:
        """Give a certificate of the root for a SPIFFE id."""
        self.authority.ensure(spiffe_id)
        return Identity.open(self.pki, spiffe_id)

    async def peer(self, spiffe_id: str, *, server_name: str = "identity", telemetry: Telemetry | None = None) -> Peer:
        """Give the way to the server for the holder of a certificate."""
        return await self.stack.enter_async_context(
            Peer.open(
                f"127.0.0.1:{self.port}",
                self.identity(spiffe_id),
                telemetry or self.telemetry,
                server_name=server_name,
            )
        )

    async def channel(self, credentials: grpc.ChannelCredentials, **options: Any) -> aio.Channel:
        """Give a bare channel with the credentials."""
        channel = aio.secure_channel(
            f"localhost:{self.port}",
            credentials,
            options=[("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), *options.items()],
        )
        return await self.stack.enter_async_context(channel)

    def token(self, *, key: SigningKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Give a token that holds, but for what is said."""
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "sub": "subject-1",
            "aud": "tongban",
            "iat": now,
            "exp": now + 300,
            "jti": "t-1",
            "client_id": "app",
            "role": "citizen",
            "rights": [],
            "agency": "",
            **claims,
        }
        return (key or self.key).sign_jws(json.dumps(body).encode(), {"typ": "at+jwt", **(header or {})})


@asynccontextmanager
async def mesh(
    folder: Path,
    *,
    processors: tuple[SpanProcessor, ...] = (),
    doors: tuple[tuple[Callable[[Any, Any], None], object], ...] = (),
    **knobs: Any,
) -> AsyncIterator[Mesh]:
    """A server named identity with its own certificate; it asks itself for keys and rights, as identity does.

    `doors`: what it serves besides.
    """
    pki = folder / "pki"
    authority = CertificateAuthority.open(pki)
    authority.ensure("spiffe://tongban/service/identity")
    identity = Identity.open(pki, "spiffe://tongban/service/identity")
    settings = Common(
        database=f"sqlite:///{folder}/x.sqlite", events=f"sqlite:///{folder}/e.sqlite", pki=pki, keys=folder, **knobs
    )
    telemetry = Telemetry("identity", processors=processors)
    key = SigningKey.open(folder / "keys", "token")
    fake = IdentityFake(key)  # type: ignore[abstract]  # What is not behaved here answers UNIMPLEMENTED.
    port = free_port()
    settings = settings.model_copy(update={"grpc_port": port})
    async with AsyncExitStack() as stack:
        itself = await stack.enter_async_context(
            Peer.open(f"127.0.0.1:{port}", identity, telemetry, server_name="identity")
        )
        rights = RightsSource.of(itself)
        server = Server("identity", settings, identity, telemetry, Doorkeeper(TokenVerifier.of(itself), rights))
        server.add(
            [
                (identity_grpc.add_IdentityServiceServicer_to_server, fake),
                (identity_grpc.add_AgencyServiceServicer_to_server, fake),
                (identity_grpc.add_TokenServiceServicer_to_server, fake),
                *doors,
            ]
        )
        await server.start()
        try:
            yield Mesh(pki, authority, server, fake, key, telemetry, rights, stack, port)
        finally:
            await server.drain(0.5)
            telemetry.close()


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
