# SPDX-License-Identifier: Apache-2.0
"""Checks ledger leaves as an auditor's own program would: RFC 9162 and RFC 7515, and none of the platform's code."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

_HALF_BYTES = 32


class ProofBroken(Exception):  # noqa: N818 - it states what is so
    """A leaf or head does not hold."""


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head."""

    log: str
    size: int
    root: bytes
    jws: str


def check_access(access: dict[str, Any], keys: dict[str, dict[str, str]]) -> None:
    """Check one row of `/api/v1/accesses`: what the leaf says, where its path leads, and who signed the head."""
    proof, log = access["proof"], access["log"]
    body = proof["body"].encode()
    members = json.loads(body)
    told = {"operation": access["operation"], "case": access["case_id"], "outcome": access["outcome"]}
    if any(members.get(name, "") != value for name, value in told.items()):
        raise ProofBroken(f"Leaf {access['index']} of {log} says something else than the list.")
    leaf = hashlib.sha256(b"\x00" + body).digest()
    if leaf.hex() != proof["leaf_hash"]:
        raise ProofBroken(f"Leaf {access['index']} of {log} has another hash.")
    head = Head(
        proof["head"]["log"],
        proof["head"]["tree_size"],
        bytes.fromhex(proof["head"]["root_hash"]),
        proof["head"]["jws"],
    )
    if (
        head.log != log
        or root_of(leaf, access["index"], head.size, [bytes.fromhex(each) for each in proof["path"]]) != head.root
    ):
        raise ProofBroken(f"The path of leaf {access['index']} of {log} does not lead to the head.")
    check_head(head, keys[log])


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2)."""
    if index >= size:
        raise ProofBroken("The leaf lies beyond the tree.")
    node, last = index, size - 1
    root = leaf
    for sibling in path:
        if last == 0:
            raise ProofBroken("The path is too long.")
        if node & 1 or node == last:
            root = _node(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = _node(root, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofBroken("The path is too short.")
    return root


def tree_root(bodies: Sequence[bytes]) -> bytes:
    """The root over all leaves (RFC 9162, 2.1.1), from the leaves alone."""
    peaks: list[tuple[int, bytes]] = []
    for body in bodies:
        size, digest = 1, hashlib.sha256(b"\x00" + body).digest()
        while peaks and peaks[-1][0] == size:
            size, digest = size * 2, _node(peaks.pop()[1], digest)
        peaks.append((size, digest))
    if not peaks:
        return hashlib.sha256(b"").digest()
    root = peaks.pop()[1]
    while peaks:
        root = _node(peaks.pop()[1], root)
    return root


def check_head(head: Head, jwk: dict[str, str]) -> None:
    """The head is signed with this key and says what its signature says."""
    try:
        first, second, signature = head.jws.split(".")
        payload = json.loads(_bytes(second))
        raw = _bytes(signature)
        key = ec.EllipticCurvePublicNumbers(
            int.from_bytes(_bytes(jwk["x"])), int.from_bytes(_bytes(jwk["y"])), ec.SECP256R1()
        ).public_key()
        halves = int.from_bytes(raw[:_HALF_BYTES]), int.from_bytes(raw[_HALF_BYTES:])
        key.verify(encode_dss_signature(*halves), f"{first}.{second}".encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, KeyError) as error:
        raise ProofBroken(f"The head of {head.log} is not signed with the key of its ledger.") from error
    if (payload["log"], payload["size"], payload["root"]) != (head.log, head.size, head.root.hex()):
        raise ProofBroken(f"The head of {head.log} says something else than its signature.")


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
