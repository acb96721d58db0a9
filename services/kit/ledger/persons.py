# SPDX-License-Identifier: Apache-2.0
"""The keys of persons: all from one secret, each of which can be erased for good without a row for anybody else.

The secret is a tree (Goldreich, Goldwasser, Micali 1986): a seed leads to the sixteen below it by SHA-256, sixteen levels
down to a person's. To erase one, the seeds on its way are replaced by those beside it (a punctured pseudorandom function):
everybody else's key is found as before, and that one can't be made again by whoever holds all that is left. So a use costs no
read: a key is some hashes, kept in memory for the next use.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

SEED_BYTES: Final = 32
_FANOUT: Final = 16
_DEPTH: Final = 16
_KNOWN_MAX: Final = 50_000
_GONE: Final = bytes(SEED_BYTES)


class Person(NamedTuple):
    """A person in this ledger: the name that leaves carry, and what opens their digests."""

    name: str
    key: bytes


class Punctured:
    """What is left of the secret: `nodes` maps a way from the root (hexadecimal digits) to a seed, or to sixteen seeds with gaps."""

    def __init__(self, nodes: Mapping[str, bytes]) -> None:
        self.nodes: Mapping[str, bytes] = dict(nodes)

    @classmethod
    def fresh(cls) -> "Punctured":
        """A new secret; nobody is erased."""
        return cls({"": secrets.token_bytes(SEED_BYTES)})

    def seed(self, way: str) -> bytes | None:
        """The seed at the end of a way of sixteen digits, None where it was erased."""
        found = self._nearest(way)
        if found is None:
            return None
        depth, seed = found
        for digit in way[depth:]:
            seed = _below(seed, int(digit, _FANOUT))
        return seed

    def without(self, way: str) -> dict[str, bytes]:
        """The nodes to write, for the seed at the end of this way to be gone; none where it is."""
        found = self._nearest(way)
        if found is None:
            return {}
        depth, seed = found
        changed: dict[str, bytes] = {}
        if depth:
            above = way[: depth - 1]
            changed[above] = _with_gap(self.nodes[above], way[depth - 1])
        for at in range(depth, _DEPTH):
            seeds = [_below(seed, digit) for digit in range(_FANOUT)]
            seed = seeds[int(way[at], _FANOUT)]
            changed[way[:at]] = _with_gap(b"".join(seeds), way[at])
        return changed

    def _nearest(self, way: str) -> tuple[int, bytes] | None:
        """The deepest seed that is left on a way, and how far down it is."""
        node = self.nodes[""]
        if len(node) == SEED_BYTES:
            return 0, node
        for depth in range(_DEPTH):
            at = int(way[depth], _FANOUT) * SEED_BYTES
            seed = node[at : at + SEED_BYTES]
            if seed != _GONE:
                return depth + 1, seed
            below = self.nodes.get(way[: depth + 1])
            if below is None:
                return None
            node = below
        return None


class Persons:
    """Names and keys of persons, while they have any; an erased one has a new name in every leaf."""

    def __init__(self, secret: Punctured, index: bytes) -> None:
        """`index`: a key that hides whose way is whose in what is stored."""
        self._secret = secret
        self._index = index
        self._known: dict[str, Person] = {}

    def of(self, subject_id: str) -> Person:
        """Find a person."""
        known = self._known.get(subject_id)
        if known is not None:
            return known
        seed = self._secret.seed(self.way(subject_id))
        if seed is None:
            return Person(secrets.token_hex(SEED_BYTES), secrets.token_bytes(SEED_BYTES))
        person = Person(
            hmac.digest(seed, b"name:" + subject_id.encode(), hashlib.sha256).hex(),
            hmac.digest(seed, b"digest:" + subject_id.encode(), hashlib.sha256),
        )
        if len(self._known) >= _KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[subject_id] = person
        return person

    def way(self, subject_id: str) -> str:
        """The way to a person's seed: 64 bits of a keyed hash."""
        return hmac.digest(self._index, subject_id.encode(), hashlib.sha256)[: _DEPTH // 2].hex()


def _below(seed: bytes, digit: int) -> bytes:
    return hashlib.sha256(seed + bytes((digit,))).digest()


def _with_gap(seeds: bytes, digit: str) -> bytes:
    at = int(digit, _FANOUT) * SEED_BYTES
    return seeds[:at] + _GONE + seeds[at + SEED_BYTES :]
