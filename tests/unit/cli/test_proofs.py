# SPDX-License-Identifier: Apache-2.0
"""The auditor's own arithmetic agrees with the ledger's, and notices every change."""

import hashlib
import json

import pytest

from services.cli.demo.proofs import ProofBroken, root_of, tree_root

SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 33]


def leaves(size: int) -> list[bytes]:
    return [json.dumps({"index": index}).encode() for index in range(size)]


def hashed(body: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + body).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def recursive_root(bodies: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if len(bodies) == 1:
        return hashed(bodies[0])
    split = 1
    while split * 2 < len(bodies):
        split *= 2
    return node(recursive_root(bodies[:split]), recursive_root(bodies[split:]))


def recursive_path(index: int, bodies: list[bytes]) -> list[bytes]:
    """RFC 9162, 2.1.3.1, word for word."""
    if len(bodies) == 1:
        return []
    split = 1
    while split * 2 < len(bodies):
        split *= 2
    if index < split:
        return [*recursive_path(index, bodies[:split]), recursive_root(bodies[split:])]
    return [*recursive_path(index - split, bodies[split:]), recursive_root(bodies[:split])]


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_standard(size: int) -> None:
    assert tree_root(leaves(size)) == recursive_root(leaves(size))


def test_the_empty_tree_has_the_root_of_the_standard() -> None:
    assert tree_root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", SIZES)
def test_every_path_leads_to_the_root(size: int) -> None:
    bodies = leaves(size)
    for index, body in enumerate(bodies):
        assert root_of(hashed(body), index, size, recursive_path(index, bodies)) == tree_root(bodies)


def test_a_changed_leaf_a_changed_index_and_a_changed_path_lead_elsewhere() -> None:
    bodies = leaves(7)
    path = recursive_path(2, bodies)
    assert root_of(hashed(b"other"), 2, 7, path) != tree_root(bodies)
    assert root_of(hashed(bodies[2]), 3, 7, path) != tree_root(bodies)
    assert root_of(hashed(bodies[2]), 2, 7, [path[1], path[0], path[2]]) != tree_root(bodies)


@pytest.mark.parametrize(("index", "cut"), [(2, slice(0, 2)), (7, slice(0, 3))])
def test_a_path_that_can_not_be_is_refused(index: int, cut: slice) -> None:
    bodies = leaves(7)
    with pytest.raises(ProofBroken):
        root_of(hashed(bodies[2]), index, 7, recursive_path(2, bodies)[cut])
    with pytest.raises(ProofBroken):
        root_of(hashed(bodies[2]), 2, 7, [*recursive_path(2, bodies), b"\x00" * 32])
