# SPDX-License-Identifier: Apache-2.0
"""What a leaf is made of: one use of personal data, in the words of whoever uses it.

What is made for every call is a tuple: a frozen dataclass of ten fields takes three times as long to make.
"""

import hashlib
import hmac
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

    `subject_id` becomes a pseudonym and `digest` (that of `content_digest`) is blinded, both with the person's key; `resource` and
    `outcome` carry no personal data.
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
    blinding: bytes = b""

    def to_wire(self) -> ledger_pb2.Receipt:
        """As responses carry it."""
        return ledger_pb2.Receipt(log=self.log, index=self.index, leaf_hash=self.leaf_hash, blinding=self.blinding)


class Entry(NamedTuple):
    """A leaf before it has its place."""

    body: bytes
    leaf_hash: bytes
    subject: str
    case_id: str
    blinding: bytes = b""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf in its place; `body` is empty where it is in an archive segment alone."""

    log: str
    index: int
    body: bytes
    leaf_hash: bytes

    def to_wire(self) -> ledger_pb2.Leaf:
        """As the reader answers it."""
        return ledger_pb2.Leaf(log=self.log, index=self.index, body=self.body, leaf_hash=self.leaf_hash)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """What a witness said to a head; `jws` as in `cosigning.py`."""

    witness: str
    jws: str

    def to_wire(self) -> ledger_pb2.Cosignature:
        """As the reader answers it."""
        return ledger_pb2.Cosignature(witness=self.witness, jws=self.jws)


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A signed tree head: `jws` is a compact ES256 JWS over the canonical JSON of the other members."""

    log: str
    tree_size: int
    root_hash: bytes
    sign_time: datetime
    jws: str
    cosignatures: tuple[Cosignature, ...] = ()

    def to_wire(self) -> ledger_pb2.SignedHead:
        """As the reader answers it."""
        wire = ledger_pb2.SignedHead(
            log=self.log,
            tree_size=self.tree_size,
            root_hash=self.root_hash,
            jws=self.jws,
            cosignatures=[each.to_wire() for each in self.cosignatures],
        )
        wire.sign_time.FromDatetime(self.sign_time)
        return wire


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a body is not shown: an order hides it (until `end_time`, where that may be told), or, without one, it is archived."""

    order_id: str = ""
    end_time: datetime | None = None

    def to_wire(self) -> ledger_pb2.Withheld:
        """As the reader answers it."""
        kind = ledger_pb2.Withheld
        wire = kind(reason=kind.REASON_HIDDEN if self.order_id else kind.REASON_ARCHIVED, order_id=self.order_id)
        if self.end_time is not None:
            wire.end_time.FromDatetime(self.end_time)
        return wire


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf with the path that leads to a head."""

    leaf: Leaf
    path: tuple[bytes, ...]
    head: SignedHead
    withheld: Withheld | None = None

    def to_wire(self) -> ledger_pb2.ProvenLeaf:
        """As the reader answers it."""
        return ledger_pb2.ProvenLeaf(
            leaf=self.leaf.to_wire(),
            path=self.path,
            head=self.head.to_wire(),
            withheld=self.withheld.to_wire() if self.withheld is not None else None,
        )


def content_digest(content: bytes) -> str:
    """SHA-256, lower-case hexadecimal: what `Access.digest` is of an answer. Never stored or told as it is: the leaf has it blinded."""
    return hashlib.sha256(content).hexdigest()


def blinded(digest: str, blinding: bytes) -> str:
    """The digest that a leaf carries: HMAC-SHA-256 over the content's digest. Whoever holds the content and the blinding can prove it."""
    return hmac.digest(blinding, digest.encode(), hashlib.sha256).hex()


def canonical(members: Mapping[str, object]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8. The same members give the same bytes everywhere."""
    return _encoder.encode(members).encode()


def rfc3339(moment: datetime) -> str:
    """UTC with microseconds and `Z`."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"
