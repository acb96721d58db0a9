# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of RFC 9162, section 2.1, over SHA-256: pure, and the only part of ours that the offline verifier uses."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Node = tuple[int, int]  # (level, position): the complete subtree of leaves [position << level, (position + 1) << level)
Span = tuple[int, int]  # leaves [begin, end)


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body)."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """A tree's right edge: all that is needed to append. `peaks` are the roots of its complete subtrees, largest first."""

    size: int
    peaks: list[bytes]

    @classmethod
    def empty(cls) -> "Frontier":
        """The tree without leaves."""
        return cls(0, [])

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append one leaf hash; returns the inner nodes that are complete now: (level from 1, position, hash)."""
        complete = []
        index, level, node = self.size, 0, leaf
        while (index >> level) & 1:
            node = node_hash(self.peaks.pop(), node)
            level += 1
            complete.append((level, index >> level, node))
        self.peaks.append(node)
        self.size += 1
        return complete

    def root(self) -> bytes:
        """The tree's root hash."""
        return fold(self.peaks)


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier.empty()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def nodes_of(span: Span) -> list[Node]:
    """The complete subtrees that make up a span of an RFC 9162 proof, largest first; `fold` of their hashes is its root."""
    begin, end = span
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose roots prove that leaf `index` is in the tree of `size` leaves, leaf side first (2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} leaves has no leaf {index}.")
    spans: list[Span] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    spans.reverse()
    return spans


def consistency_spans(first: int, second: int) -> list[Span]:
    """The spans whose roots prove that the tree of `second` leaves only adds to that of `first` (2.1.4.1)."""
    if not 1 <= first <= second:
        raise ValueError(f"No tree of {second} leaves grows out of one of {first}.")
    spans: list[Span] = []
    begin, end, whole = 0, second, True
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin, whole = middle, False
    if not whole:
        spans.append((begin, end))
    spans.reverse()
    return spans


def path_of(spans: Sequence[Span], hash_of: Callable[[Node], bytes]) -> list[bytes]:
    """The proof itself, from the hashes of complete subtrees."""
    return [fold([hash_of(node) for node in nodes_of(span)]) for span in spans]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` leads from the leaf hash at `index` to the root of `size` leaves (2.1.3.2)."""
    if not 0 <= index < size or any(len(step) != HASH_SIZE for step in path):
        return False
    position, last, node = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(step, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, step)
        position >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `second` leaves only adds to that of `first` (2.1.4.2)."""
    if not 1 <= first <= second or any(len(step) != HASH_SIZE for step in path):
        return False
    if first == second:
        return not path and first_root == second_root
    steps = list(path)
    if first & (first - 1) == 0:
        steps.insert(0, first_root)
    if not steps:
        return False
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, step)
        position >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
