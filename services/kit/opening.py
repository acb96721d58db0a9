# SPDX-License-Identifier: Apache-2.0
"""Opens what a service stands on: keys, certificate, tracer, event log, the ways to the others."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from services.kit.caller import Caller, CallerKind
from services.kit.certificates import Identity, SpiffeId
from services.kit.clock import Clock
from services.kit.config import Common
from services.kit.crypto import Keyring, SigningKey
from services.kit.errors import StartupError, Unavailable
from services.kit.eventlog import open_eventlog
from services.kit.health import Readiness
from services.kit.rights import RightsSource, Standing
from services.kit.rpc.peer import Peer
from services.kit.runtime import Runtime
from services.kit.telemetry import Telemetry
from services.kit.tokens import KeySet, TokenVerifier


async def open_runtime(stack: AsyncExitStack, name: str, settings: Common, clock: Clock) -> Runtime:
    """Open everything; the stack closes it in reverse. Raises StartupError or Unavailable."""
    for url in (settings.database, settings.events):
        _make_folder_of(url)
    identity = Identity.open(settings.pki, str(SpiffeId("service", name)))
    keyring = Keyring.open(settings.keys)
    signing_key = SigningKey.open(settings.keys, "signing")
    telemetry = Telemetry(
        name,
        otlp=settings.otlp,
        otlp_token=settings.otlp_token,
        sample_ratio=settings.sample_ratio,
        instance=f"{name}-{settings.worker}",
    )
    stack.push_async_callback(asyncio.to_thread, telemetry.close)
    eventlog = await stack.enter_async_context(open_eventlog(settings.events, client=f"{name}-{settings.worker}"))
    peers = {
        service: await stack.enter_async_context(Peer.open(address, identity, telemetry, server_name=service))
        for service, address in settings.peers.items()
    }
    itself = Caller(CallerKind.SERVICE, name, actor=identity.spiffe_id)
    tokens, rights = _judges(peers.get("identity"), itself, clock)
    return Runtime(
        settings=settings,
        clock=clock,
        telemetry=telemetry,
        eventlog=eventlog,
        keyring=keyring,
        signing_key=signing_key,
        identity=identity,
        tokens=tokens,
        rights=rights,
        peers=peers,
        itself=itself,
        readiness=Readiness(),
    )


def _judges(identity: Peer | None, itself: Caller, clock: Clock) -> tuple[TokenVerifier, RightsSource]:
    """Give who knows tokens and rights; identity asks itself over gRPC like everybody else."""
    if identity is not None:
        return TokenVerifier.of(identity, itself=itself, clock=clock), RightsSource.of(identity, itself=itself)

    async def no_keys() -> KeySet:
        raise Unavailable("The setting `peers` names no identity service, so that no token can be verified.")

    async def no_rights(_: str) -> Standing:
        raise Unavailable("The setting `peers` names no identity service, so that no agency's rights are known.")

    return TokenVerifier(no_keys, clock=clock), RightsSource(no_rights)


def _make_folder_of(url: str) -> None:
    if not url.startswith("sqlite:///"):
        return
    folder = Path("/" + url.removeprefix("sqlite:///").lstrip("/").partition("?")[0]).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"The folder {folder} can't be made: {error.strerror}.") from error
