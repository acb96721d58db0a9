# SPDX-License-Identifier: Apache-2.0
"""Writes a running ledger as files that prove themselves (`verify.py`), over its own door, with the right to audit."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tongban.ledger.v1 import ledger_pb2
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.kit.errors import RemoteRefusal
from services.kit.ids import derived_id
from services.kit.ledger import files, merkle
from services.kit.rpc.peer import Peer

PAGE: Final = 1000
EVIDENCE_PAGE: Final = 100
TIMEOUT_SECONDS: Final = 30.0
SEGMENT_LEAVES: Final = 65_536
_TOO_EARLY: Final = "RETENTION_NOT_OVER"


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of one segment."""

    path: Path
    leaves: int
    dropped: bool
    """Whether the ledger let go of the bodies."""


async def export(peer: Peer, path: Path, *, other_heads: Iterable[str] = (), from_index: int = 0) -> int:
    """Write every leaf from `from_index` on that the newest head covers, the key, heads and cosignatures, and evidence; give the next index.

    `other_heads` are heads (compact JWS) that somebody kept from before: they hold the ledger to what it once promised.
    """
    ledger = peer.stub(LedgerServiceStub)
    told = await peer.call(ledger.GetHead, pb.GetHeadRequest(), timeout_seconds=TIMEOUT_SECONDS)
    index = from_index
    with files.writing(path) as write:
        write(key=json.loads(told.public_key_jwk), log=told.head.log)
        for jws in other_heads:
            write(head=jws)
        _write_head(write, told.head)
        if told.head.tree_size and not told.head.cosignatures:
            request = pb.GetInclusionProofRequest(index=0)
            proven = await peer.call(ledger.GetInclusionProof, request, timeout_seconds=TIMEOUT_SECONDS)
            if proven.proof.head.cosignatures:
                _write_head(write, proven.proof.head)
        async for jws in _evidence(peer):
            write(fork=jws)
        async for leaf in _leaves(peer, from_index, told.head.tree_size):
            if leaf.body:
                write(leaf=leaf.body.decode(), index=leaf.index)
            else:
                write(leaf_hash=leaf.leaf_hash.hex(), index=leaf.index)
            index = leaf.index + 1
    return index


async def archive(
    peer: Peer, folder: Path, *, leaves: int = SEGMENT_LEAVES, drop: bool = False
) -> AsyncIterator[Archived]:
    """Write every finished range of `leaves` (a power of two) that `folder` has no segment of; with `drop`, let the ledger forget its bodies.

    A ledger forgets only what it finds in the segment's root, and nothing younger than the law lets it.
    """
    ledger = peer.stub(LedgerServiceStub)
    told = await peer.call(ledger.GetHead, pb.GetHeadRequest(), timeout_seconds=TIMEOUT_SECONDS)
    key = json.loads(told.public_key_jwk)
    for begin in range(0, told.head.tree_size - leaves + 1, leaves):
        path = folder / f"{begin:012d}-{begin + leaves:012d}{files.SEGMENT_SUFFIX}"
        if not path.exists():
            await _segment(peer, path, begin, leaves, key)
        wanted = drop and begin >= told.archived_below
        dropped = wanted and await _dropped(peer, path, begin, leaves)
        drop = drop and (dropped or not wanted)  # what follows one that is too young is younger
        yield Archived(path, leaves, dropped)


async def _segment(peer: Peer, path: Path, begin: int, leaves: int, key: object) -> None:
    """Write one segment: what places it below a head first, then its leaves."""
    ledger = peer.stub(LedgerServiceStub)
    request = pb.GetInclusionProofRequest(index=begin)
    proof = (await peer.call(ledger.GetInclusionProof, request, timeout_seconds=TIMEOUT_SECONDS)).proof
    if proof.head.tree_size < begin + leaves:  # the head that witnesses signed does not reach so far yet
        request = pb.GetInclusionProofRequest(index=begin + leaves - 1)
        last = (await peer.call(ledger.GetInclusionProof, request, timeout_seconds=TIMEOUT_SECONDS)).proof
        proof.head.CopyFrom(last.head)
        del proof.path[:]
        proof.path.extend(last.path)
    tree = merkle.Frontier.empty()
    bodies: list[tuple[int, bytes]] = []
    async for leaf in _leaves(peer, begin, begin + leaves):
        tree.add(merkle.leaf_hash(leaf.body))
        bodies.append((leaf.index, leaf.body))
    above = [step.hex() for step in proof.path[leaves.bit_length() - 1 :]]
    said = {"from": begin, "to": begin + leaves, "root": tree.root().hex(), "size": proof.head.tree_size}
    with files.writing(path) as write:
        write(key=key, log=proof.head.log)
        _write_head(write, proof.head)
        write(segment=said, path=above)
        for index, body in bodies:
            write(leaf=body.decode(), index=index)


async def _dropped(peer: Peer, path: Path, begin: int, leaves: int) -> bool:
    """Let the ledger forget the bodies of a segment; False where it is too early."""
    [root] = [one["segment"]["root"] for one in files.promises(path, _ignored) if "segment" in one]
    request = pb.ArchiveLeavesRequest(
        request_id=derived_id("archive", peer.service, str(begin), str(leaves)),
        from_index=begin,
        to_index=begin + leaves,
        root_hash=bytes.fromhex(root),
    )
    try:
        await peer.call(peer.stub(LedgerServiceStub).ArchiveLeaves, request, timeout_seconds=TIMEOUT_SECONDS)
    except RemoteRefusal as refusal:
        if refusal.reason != _TOO_EARLY:
            raise
        return False
    return True


async def _leaves(peer: Peer, index: int, end: int) -> AsyncIterator[ledger_pb2.Leaf]:
    """Leaves from `index` up to before `end`; ends early where the ledger has no more, which the verifier then says."""
    ledger = peer.stub(LedgerServiceStub)
    while index < end:
        request = pb.ListLeavesRequest(from_index=index, page_size=min(PAGE, end - index))
        page = await peer.call(ledger.ListLeaves, request, timeout_seconds=TIMEOUT_SECONDS)
        if not page.leaves:
            return
        for leaf in page.leaves:
            yield leaf
        index = page.leaves[-1].index + 1


async def _evidence(peer: Peer) -> AsyncIterator[str]:
    ledger = peer.stub(LedgerServiceStub)
    token = ""
    while True:
        request = pb.ListForkEvidenceRequest(page_size=EVIDENCE_PAGE, page_token=token)
        page = await peer.call(ledger.ListForkEvidence, request, timeout_seconds=TIMEOUT_SECONDS)
        for found in page.evidence:
            yield found.jws
        token = page.next_page_token
        if not token:
            return


def _write_head(write: Callable[..., None], head: ledger_pb2.SignedHead) -> None:
    write(head=head.jws)
    for said in head.cosignatures:
        write(cosignature=said.jws)


def _ignored(_: str) -> None:
    """What is wrong with a segment, the verifier says."""
