# SPDX-License-Identifier: Apache-2.0
"""A witness: another agency that co-signs a ledger's heads as long as each only adds to the last, and else shows everybody why not.

It keeps one small file for each ledger, written before anything is told: after a crash it still knows what it signed. The first key and
head that it sees are believed (or those that it is given); from then on the ledger is held to them.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.kit.certificates import Identity, read_certificate
from services.kit.clock import Clock
from services.kit.crypto import SigningKey, replace_file
from services.kit.errors import RemoteFailure, RemoteRefusal, StartupError, Unavailable
from services.kit.ledger import merkle
from services.kit.ledger.access import rfc3339
from services.kit.ledger.statements import (
    CLOCK_SKEW,
    COSIGNATURE_TYPE,
    FORK_TYPE,
    Head,
    StatementInvalid,
    evidence_id,
    open_head,
    state,
)
from services.kit.logs import get_logger
from services.kit.rpc.peer import Peer

TIMEOUT_SECONDS: Final = 10.0
EVIDENCE_MAX: Final = 20
"""Pieces of evidence kept and shown for one ledger; more of them say nothing new."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a witness remembers of a ledger: its key, the last head it signed, the evidence it found (by id, and whether all were told)."""

    key: Mapping[str, str]
    head: str
    evidence: Mapping[str, bool]


class Witness:
    """One agency's eyes on several ledgers."""

    def __init__(self, peers: Mapping[str, Peer], identity: Identity, folder: Path, *, clock: Clock) -> None:
        """`peers`: the way to each ledger, by its name; evidence against one is told to all of them."""
        self._peers = dict(peers)
        self._identity = identity
        self._folder = folder
        self._clock = clock

    async def run(self, every_seconds: float) -> None:
        """Look at every ledger again and again, for ever."""
        while True:
            for log in self._peers:
                try:
                    await self.look(log)
                except (Unavailable, RemoteFailure, RemoteRefusal, StartupError) as away:
                    why = getattr(away, "reason", "") or type(away).__name__
                    get_logger().warning("witness_waits", ledger=log, why=why)
            await asyncio.sleep(every_seconds)

    async def look(self, log: str) -> str:
        """Look at one ledger's newest head: co-sign it, or refuse it with evidence. Gives the evidence's id, empty where all is well."""
        peer = self._peers[log]
        ledger = peer.stub(LedgerServiceStub)
        told = await peer.call(ledger.GetHead, pb.GetHeadRequest(), timeout_seconds=TIMEOUT_SECONDS)
        kept = self._kept(log)
        if kept is None:
            kept = Kept(json.loads(told.public_key_jwk), "", {})
        wrong, path = await self._compared(log, kept, told.head.jws)
        if wrong:
            return await self._refuse(log, kept, told.head.jws, wrong, path)
        if told.head.jws != kept.head:
            kept = Kept(kept.key, told.head.jws, kept.evidence)
            self._keep(log, kept)
        if not any(said.witness == self._identity.spiffe_id for said in told.head.cosignatures):
            await self._cosign(log, kept)
        await self._tell(log, kept)
        return ""

    async def _compared(self, log: str, kept: Kept, newest: str) -> tuple[str, list[str]]:
        """What is wrong with a head, in the word of `FORK_KINDS`, and the proof that fails."""
        try:
            key = ECKey.import_key({**kept.key})
            second = open_head(newest, key)
        except (StatementInvalid, JoseError, ValueError):
            return "key", []
        if second.log != log:
            return "key", []
        if not kept.head:
            return "", []
        first = open_head(kept.head, key)
        if second.size == first.size:
            return ("" if second.root == first.root else "forked"), []
        if second.size < first.size:
            if second.time <= first.time + CLOCK_SKEW:
                raise Unavailable("The ledger told an older head.")
            return "cut", []
        return await self._grown(log, first, second)

    async def _grown(self, log: str, first: Head, second: Head) -> tuple[str, list[str]]:
        if first.size == 0:
            return "", []
        peer = self._peers[log]
        request = pb.GetConsistencyProofRequest(first_size=first.size, second_size=second.size)
        method = peer.stub(LedgerServiceStub).GetConsistencyProof
        try:
            path = list((await peer.call(method, request, timeout_seconds=TIMEOUT_SECONDS)).path)
        except (RemoteRefusal, RemoteFailure):
            return "inconsistent", []  # it signed the head, and can't prove it
        holds = merkle.verify_consistency(first.size, second.size, first.root, second.root, path)
        return ("" if holds else "inconsistent"), [step.hex() for step in path]

    async def _cosign(self, log: str, kept: Kept) -> None:
        head = open_head(kept.head, ECKey.import_key({**kept.key}))
        claims = {"log": log, "root": head.root.hex(), "size": head.size}
        peer = self._peers[log]
        request = pb.CosignHeadRequest(jws=self._stated(COSIGNATURE_TYPE, claims))
        await peer.call(peer.stub(LedgerServiceStub).CosignHead, request, timeout_seconds=TIMEOUT_SECONDS)

    async def _refuse(self, log: str, kept: Kept, newest: str, kind: str, path: list[str]) -> str:
        claims = {"first": kept.head, "key": dict(kept.key), "kind": kind, "log": log, "path": path, "second": newest}
        found = evidence_id({**claims, "witness": self._identity.spiffe_id})
        if found not in kept.evidence and len(kept.evidence) < EVIDENCE_MAX:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._evidence(log, found), self._stated(FORK_TYPE, claims).encode())
            kept = Kept(kept.key, kept.head, {**kept.evidence, found: False})
            self._keep(log, kept)
            get_logger().error("ledger_fork_found", ledger=log, kind=kind, evidence_id=found)
        await self._tell(log, kept)
        return found

    async def _tell(self, log: str, kept: Kept) -> None:
        """Tell every ledger what was found in one: whoever forked will not tell it, the others will."""
        for found in [each for each, told in kept.evidence.items() if not told]:
            request = pb.ReportForkRequest(jws=self._evidence(log, found).read_text(encoding="ascii"))
            everybody = True
            for name, peer in self._peers.items():
                try:
                    await peer.call(peer.stub(LedgerServiceStub).ReportFork, request, timeout_seconds=TIMEOUT_SECONDS)
                except (Unavailable, RemoteFailure, RemoteRefusal):
                    get_logger().warning("ledger_fork_not_told", ledger=name, evidence_id=found)
                    everybody = everybody and name == log  # the one in question may refuse to hear it
            if everybody:
                kept = Kept(kept.key, kept.head, {**kept.evidence, found: True})
                self._keep(log, kept)

    def _stated(self, kind: str, claims: Mapping[str, object]) -> str:
        """Sign as the agency, with the key and certificate that the files hold now."""
        folder = self._identity.folder
        named = {**claims, "time": rfc3339(self._clock()), "witness": self._identity.spiffe_id}
        return state(kind, named, SigningKey.read(folder / "tls.key"), read_certificate(folder / "tls.crt"))

    def _kept(self, log: str) -> Kept | None:
        path = self._folder / f"{log}.json"
        if not path.exists():
            return None
        content: dict[str, Any] = json.loads(path.read_bytes())
        return Kept(content["key"], content["head"], content["evidence"])

    def _keep(self, log: str, kept: Kept) -> None:
        content = {"evidence": dict(kept.evidence), "head": kept.head, "key": dict(kept.key)}
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / f"{log}.json", json.dumps(content, indent=1).encode())

    def _evidence(self, log: str, found: str) -> Path:
        return self._folder / f"{log}-{found[:16]}.fork"
