# SPDX-License-Identifier: Apache-2.0
"""The gRPC door of one service: its own methods by rule; health, reflection and channelz by kind of certificate.

Health and reflection carry no rule and ask for no right: they tell whether we live and what the published contract
says, which is not personal and which monitors of any department need. Channelz shows who is connected from where, so
it is for our services and operators. All three take places at the same gates as everything else.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from grpc import aio
from grpc_channelz.v1._async import ChannelzServicer
from grpc_channelz.v1.channelz_pb2_grpc import add_ChannelzServicer_to_server
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection import SERVICE_NAME
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from services.kit.certificates import Identity
from services.kit.config import Common
from services.kit.errors import StartupError
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.gate import Gate
from services.kit.rpc.handlers import Registrar
from services.kit.rpc.limits import MESSAGE_BYTES_MAX, METADATA_BYTES_MAX
from services.kit.rpc.unit import Door
from services.kit.telemetry import Telemetry

Adder = Callable[[Any, Any], None]

_INSIDERS: Final = frozenset({"service", "operator"})
_EVERYBODY: Final = _INSIDERS | {"agency"}
_SPARE_CALLS: Final = 200
"""Places beyond both gates, so that who is refused is refused in words; past them gRPC refuses by itself."""


class Server:
    """One server with one TLS port, and a second of its own where processes share the first. `start`, then `drain`."""

    def __init__(
        self, name: str, settings: Common, identity: Identity, telemetry: Telemetry, keeper: Doorkeeper
    ) -> None:
        self._settings = settings
        self._identity = identity
        self.door = Door(
            name,
            telemetry,
            keeper,
            calls=Gate(settings.rpc_in_flight_max, settings.rpc_in_flight_max_per_caller),
            streams=Gate(settings.rpc_streams_max, settings.rpc_streams_max_per_caller),
            ongoing=set(),
        )
        self._server = aio.server(
            options=[
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_metadata_size", METADATA_BYTES_MAX),
                ("grpc.so_reuseport", int(settings.reuse_port)),
                ("grpc.enable_channelz", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.http2.max_ping_strikes", 5),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.keepalive_time_ms", 60_000),
            ],
            maximum_concurrent_rpcs=settings.rpc_in_flight_max + settings.rpc_streams_max + _SPARE_CALLS,
        )
        self.health = HealthServicer()
        self.port = self.own_port = 0

    def add(self, rpc: Sequence[tuple[Adder, object]]) -> None:
        """Register servicers, and the services that every server has."""
        own = Registrar(self._server, self.door)
        for adder, servicer in rpc:
            adder(servicer, own)
        watched = Registrar(self._server, self.door, opened=_INSIDERS)
        add_ChannelzServicer_to_server(ChannelzServicer(), watched)
        opened = Registrar(self._server, self.door, opened=_EVERYBODY)
        add_HealthServicer_to_server(self.health, opened)
        names = [*own.services, *watched.services, *opened.services, SERVICE_NAME]
        add_ServerReflectionServicer_to_server(ReflectionServicer(names), opened)

    async def start(self) -> int:
        """Open the port and serve; give the port. Raises StartupError where it can't be had."""
        settings = self._settings
        address = f"{settings.grpc_host}:{settings.grpc_port}"
        _try_port(settings.grpc_host, settings.grpc_port, shared=settings.reuse_port)
        try:
            self.port = self._server.add_secure_port(address, self._identity.server_credentials())
            self.own_port = self._own_port()
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise StartupError(f"The gRPC port {address} is in use or can't be opened.")
        await self._server.start()
        return self.port

    def _own_port(self) -> int:
        """Give a port that leads to this process and no other."""
        if not self._settings.reuse_port:
            return self.port
        return self._server.add_secure_port(f"{self._settings.grpc_host}:0", self._identity.server_credentials())

    async def drain(self, seconds: float) -> None:
        """Take nothing new, end the streams, let calls finish for so long, then cut what is left."""
        stopping = asyncio.ensure_future(self._server.stop(seconds))
        await asyncio.sleep(0)
        ongoing = list(self.door.ongoing)
        self.door.ongoing.clear()
        for task in ongoing:
            task.cancel()
        await stopping


def _try_port(host: str, port: int, *, shared: bool) -> None:
    """Refuse a taken port in our words; gRPC would write its own to standard error first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartupError(f"The gRPC port {host}:{port} is in use or can't be opened.") from error
