# SPDX-License-Identifier: Apache-2.0
"""An auditor with the operator's certificate: fetches the three ledgers whole, and proves them away from the system."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tongban.ledger.v1.ledger_pb2 import SignedHead
from tongban.ledger.v1.ledger_service_pb2 import GetHeadRequest, ListLeavesRequest
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.cli.demo.proofs import Head, ProofBroken, check_head, tree_root
from services.cli.names import KEEPERS
from services.cli.papers import OPERATOR
from services.kit.certificates import Identity
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

_PAGE = 500
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Book:
    """A whole ledger as it was fetched: nothing in it is believed yet."""

    log: str
    bodies: tuple[bytes, ...]
    head: SignedHead
    jwk: dict[str, str]

    def prove(self) -> None:
        """Compute the root from the leaves and compare it with the signed one. Raises ProofBroken."""
        if self.head.tree_size != len(self.bodies):
            raise ProofBroken(
                f"The ledger of {self.log} has {len(self.bodies)} leaves, its head covers another number."
            )
        if tree_root(self.bodies) != self.head.root_hash:
            raise ProofBroken(f"The leaves of {self.log} do not lead to its head.")
        check_head(Head(self.head.log, self.head.tree_size, self.head.root_hash, self.head.jws), self.jwk)

    def of_case(self, case_id: str) -> list[dict[str, object]]:
        """The leaves of one case, read."""
        leaves = [json.loads(body) for body in self.bodies]
        return [leaf for leaf in leaves if leaf.get("case") == case_id]


async def fetch(pki: Path, addresses: Mapping[str, str]) -> list[Book]:
    """Fetch every ledger over gRPC, as the operator."""
    identity = Identity.open(pki, f"spiffe://tongban/operator/{OPERATOR}")
    telemetry = Telemetry("auditor")
    try:
        return [await _book(log, addresses[log], identity, telemetry) for log in KEEPERS]
    finally:
        telemetry.close()


async def _book(log: str, address: str, identity: Identity, telemetry: Telemetry) -> Book:
    async with Peer.open(address, identity, telemetry, server_name=log) as peer:
        stub = peer.stub(LedgerServiceStub)
        answer = await peer.call(stub.GetHead, GetHeadRequest(), timeout_seconds=_SECONDS)
        bodies: list[bytes] = []
        while len(bodies) < answer.head.tree_size:
            wanted = min(_PAGE, answer.head.tree_size - len(bodies))
            request = ListLeavesRequest(from_index=len(bodies), page_size=wanted)
            page = await peer.call(stub.ListLeaves, request, timeout_seconds=_SECONDS)
            if not page.leaves:
                break
            bodies += [leaf.body for leaf in page.leaves]
        return Book(log, tuple(bodies), answer.head, json.loads(answer.public_key_jwk))
