# SPDX-License-Identifier: Apache-2.0
"""A ledger behind its door, with witnesses at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub, add_LedgerServiceServicer_to_server

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind, acting_as
from services.kit.clock import Clock, utc_now
from services.kit.errors import Refusal, RemoteRefusal
from services.kit.ledger.access import Access
from services.kit.ledger.rpc import LedgerRpc
from services.kit.ledger.witness import Witness
from services.kit.rpc.peer import Peer
from tests.support.mesh import BARRED, HEALTH, UNKNOWN, Mesh, mesh
from tests.support.probe import Probe, opened

LOG = "probe"
AGENCY = Caller(CallerKind.AGENCY, HEALTH, actor=f"spiffe://tongban/agency/{HEALTH}")
RESIDENT = Caller(CallerKind.CITIZEN, "subject-of-the-resident", actor="spiffe://tongban/service/gateway")
CHIEF = Caller(CallerKind.OPERATOR, "operator-1", frozenset({EVERY_RIGHT}))
OPERATOR = "spiffe://tongban/operator/operator-1"
WITNESSES = (HEALTH, UNKNOWN)


def access(subject: str = "subject-1", **more: Any) -> Access:
    """One use."""
    return Access("exchange.query", subject, "birth", "Order 809 art. 19", ("status",), **more)


@dataclass
class Watched:
    """A ledger that is served, and who looks at it."""

    store: Probe
    mesh: Mesh
    folder: Path
    clock: Clock

    async def peer(self, spiffe_id: str = OPERATOR) -> Peer:
        """The way to it for somebody."""
        return await self.mesh.peer(spiffe_id)

    async def call(self, who: str, method: str, request: Any) -> Any:
        """Ask the ledger as somebody."""
        peer = await self.peer(who)
        return await peer.call(getattr(peer.stub(LedgerServiceStub), method), request, timeout_seconds=30)

    async def witness(self, uscc: str = HEALTH, **others: Peer) -> Witness:
        """A witness of this ledger, and of others."""
        spiffe_id = f"spiffe://tongban/agency/{uscc}"
        self.mesh.fake.rights[uscc] = (True, ("ledger.heads", "ledger.witness"))
        peers = {LOG: await self.peer(spiffe_id), **others}
        return Witness(peers, self.mesh.identity(spiffe_id), self.folder / f"witness-{uscc}", clock=self.clock)


@asynccontextmanager
async def watched(database: str, folder: Path, clock: Clock = utc_now) -> AsyncIterator[Watched]:
    """Open a ledger and serve it."""
    async with opened(database, folder / "keys", clock) as store:
        doors = ((add_LedgerServiceServicer_to_server, LedgerRpc(store.ledger)),)
        async with mesh(folder / "door", doors=doors) as door, door.stack:
            door.fake.rights[BARRED] = (True, ("ledger.heads",))
            yield Watched(store, door, folder, clock)


class InProcess:
    """The ledger's doorway without a wire, asked as the operator or as the witness."""

    def __init__(self, store: Probe, witness: str = "", certificate: bytes = b"") -> None:
        self._rpc = LedgerRpc(store.ledger)
        self._witness = witness
        self._certificate = certificate
        self.service = LOG

    def stub(self, _stub: object) -> LedgerRpc:
        return self._rpc

    async def call(self, method: Any, request: Any, **_: object) -> Any:
        asks = method.__name__ in {"CosignHead", "ReportFork"}
        caller = Caller(CallerKind.AGENCY, self._witness, actor=self._witness) if asks else CHIEF
        with acting_as(caller):
            try:
                return await method(request, self)
            except Refusal as refusal:
                raise RemoteRefusal(refusal.message, code=refusal.code, reason=refusal.reason) from refusal

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": [self._certificate]}
