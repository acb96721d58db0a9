# SPDX-License-Identifier: Apache-2.0
"""What a service is given when it starts, and what it gives back: its doors, its store, what it hears."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.kit.caller import Caller
from services.kit.certificates import Identity
from services.kit.clock import Clock
from services.kit.config import Common
from services.kit.consumer import Routes
from services.kit.crypto import Keyring, SigningKey
from services.kit.errors import StartupError
from services.kit.eventlog import EventLog
from services.kit.health import Readiness
from services.kit.rights import RightsSource
from services.kit.rpc.peer import Peer
from services.kit.store import Store
from services.kit.telemetry import Telemetry
from services.kit.tokens import TokenVerifier

Adder = Callable[[Any, Any], None]
"""What the generated code calls `add_XServicer_to_server`."""

Asgi = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Runtime:
    """Everything that opens before the service and closes after it.

    `itself` is the service as a caller, for work that nobody asked for. `readiness` answers `/readyz`; the kit adds the
    checks of store, event log and consumer, and those of the App.
    """

    settings: Common
    clock: Clock
    telemetry: Telemetry
    eventlog: EventLog
    keyring: Keyring
    signing_key: SigningKey
    identity: Identity
    tokens: TokenVerifier
    rights: RightsSource
    peers: Mapping[str, Peer]
    itself: Caller
    readiness: Readiness

    def peer(self, service: str) -> Peer:
        """Give the way to another service. Raises StartupError where the settings don't name it."""
        try:
            return self.peers[service]
        except KeyError:
            raise StartupError(f"The setting `peers` doesn't say where {service} is.") from None


@dataclass(frozen=True)
class App:
    """A service, ready to serve.

    `topics` are heard once per service (consumer group = name, with the guard); `all_topics` by every process,
    from now on, and only for caches. `background` tasks run until the drain, as the service itself; one that
    ends in an exception stops the process. `http_mutual`: the HTTP door is TLS, and its clients show a certificate of our
    root as those of the gRPC door do. `reached` is told the port of the gRPC door that is this very process's own, also
    where several share one, before anything in the background begins. `ready` are more checks behind `/readyz` and the health service.
    """

    name: str
    rpc: Sequence[tuple[Adder, object]] = ()
    store: Store[Any] | None = None
    routes: Routes = field(default_factory=dict)
    topics: Sequence[str] = ()
    hears_all: Routes = field(default_factory=dict)
    all_topics: Sequence[str] = ()
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    http: Asgi | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 0
    http_mutual: bool = False
    reached: Callable[[int], None] | None = None
    ready: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
