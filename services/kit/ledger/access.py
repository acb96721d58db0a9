# SPDX-License-Identifier: Apache-2.0
"""What a leaf is made of: one use of personal data, in the words of whoever uses it.

What is made for every call is a tuple: a frozen dataclass of ten fields takes three times as long to make.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from tongban.ledger.v1 import ledger_pb2

ANSWERED = "answered"

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Access(NamedTuple):
    """One use of personal data. Caller, actor and time are filled in when the leaf is made.

    `subject_id` becomes a keyed pseudonym; `resource`, `outcome` and `digest` (keyed, see `Keyring.digest`) carry no personal data.
    """

    operation: str
    subject_id: str
    purpose: str
    basis: str
    fields: tuple[str, ...] = ()
    resource: str = ""
    on_behalf_of: str = ""
    case_id: str = ""
    outcome: str = ANSWERED
    digest: str = ""


class Receipt(NamedTuple):
    """Names the leaf that stands for an answer."""

    log: str
    index: int  # type: ignore[assignment]  # the place of the leaf; nobody searches a receipt as a tuple
    leaf_hash: bytes

    def to_wire(self) -> ledger_pb2.Receipt:
        """As responses carry it."""
        return ledger_pb2.Receipt(log=self.log, index=self.index, leaf_hash=self.leaf_hash)


class Entry(NamedTuple):
    """A leaf before it has its place."""

    body: bytes
    leaf_hash: bytes
    subject: str
    case_id: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf in its place."""

    log: str
    index: int
    body: bytes

    def to_wire(self) -> ledger_pb2.Leaf:
        """As the reader answers it."""
        return ledger_pb2.Leaf(log=self.log, index=self.index, body=self.body)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A signed tree head: `jws` is a compact ES256 JWS over the canonical JSON of the other members."""

    log: str
    tree_size: int
    root_hash: bytes
    sign_time: datetime
    jws: str

    def to_wire(self) -> ledger_pb2.SignedHead:
        """As the reader answers it."""
        wire = ledger_pb2.SignedHead(log=self.log, tree_size=self.tree_size, root_hash=self.root_hash, jws=self.jws)
        wire.sign_time.FromDatetime(self.sign_time)
        return wire


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf with the path that leads to a head."""

    leaf: Leaf
    path: tuple[bytes, ...]
    head: SignedHead

    def to_wire(self) -> ledger_pb2.ProvenLeaf:
        """As the reader answers it."""
        return ledger_pb2.ProvenLeaf(leaf=self.leaf.to_wire(), path=self.path, head=self.head.to_wire())


def canonical(members: Mapping[str, object]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8. The same members give the same bytes everywhere."""
    return _encoder.encode(members).encode()


def rfc3339(moment: datetime) -> str:
    """UTC with microseconds and `Z`."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"
