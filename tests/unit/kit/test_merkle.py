# SPDX-License-Identifier: Apache-2.0
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.ledger import merkle

sizes = st.integers(1, 300)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


def plain_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + plain_root(hashes[:split]) + plain_root(hashes[split:])).digest()


def plain_path(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1, word for word."""
    if len(hashes) == 1:
        return []
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if index < split:
        return [*plain_path(index, hashes[:split]), plain_root(hashes[split:])]
    return [*plain_path(index - split, hashes[split:]), plain_root(hashes[:split])]


def nodes(hashes: list[bytes]) -> dict[merkle.Node, bytes]:
    """What the ledger keeps: leaf hashes and the complete subtrees that each append made."""
    frontier, kept = merkle.Frontier.empty(), {}
    for index, leaf in enumerate(hashes):
        kept[0, index] = leaf
        kept.update({(level, position): node for level, position, node in frontier.add(leaf)})
    return kept


def path(spans: list[merkle.Span], hashes: list[bytes]) -> list[bytes]:
    return merkle.path_of(spans, nodes(hashes).__getitem__)


def test_the_example_of_the_certificate_transparency_tests_has_its_root() -> None:
    """Eight leaves known from RFC 6962 implementations (same hashing as RFC 9162)."""
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    hashes = [merkle.leaf_hash(bytes.fromhex(each)) for each in data]
    assert hashes[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root_of(hashes[:3]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert merkle.root_of(hashes).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert [step.hex() for step in path(merkle.inclusion_spans(0, 8), hashes)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.root_of([]) == hashlib.sha256(b"").digest()


@given(sizes)
def test_the_root_grows_as_the_standard_says(size: int) -> None:
    assert merkle.root_of(leaves(size)) == plain_root(leaves(size))


@given(sizes, st.data())
def test_every_leaf_is_proven_by_the_standard_s_path(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    proof = path(merkle.inclusion_spans(index, size), hashes)
    assert proof == plain_path(index, hashes)
    assert merkle.verify_inclusion(hashes[index], index, size, proof, merkle.root_of(hashes))


@given(sizes, st.data())
def test_an_inclusion_proof_holds_for_nothing_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    proof, root = path(merkle.inclusion_spans(index, size), hashes), merkle.root_of(hashes)
    other = merkle.leaf_hash(b"another")
    assert not merkle.verify_inclusion(other, index, size, proof, root)
    assert not merkle.verify_inclusion(hashes[index], index, size, proof, other)
    assert not merkle.verify_inclusion(hashes[index], index, size, [*proof, other], root)
    assert not merkle.verify_inclusion(hashes[index], size, size, proof, root)
    wrong = data.draw(st.integers(0, size - 1).filter(lambda each: each != index)) if size > 1 else None
    if wrong is not None:
        assert not merkle.verify_inclusion(hashes[index], wrong, size, proof, root)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not merkle.verify_inclusion(hashes[index], index, size, proof[:place] + proof[place + 1 :], root)
        flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
        assert not merkle.verify_inclusion(
            hashes[index], index, size, [*proof[:place], flipped, *proof[place + 1 :]], root
        )
        assert not merkle.verify_inclusion(
            hashes[index], index, size, [*proof[:place], proof[place][:-1], *proof[place + 1 :]], root
        )


@given(sizes, st.data())
def test_a_tree_that_only_grew_proves_it(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size))
    hashes = leaves(size)
    proof = path(merkle.consistency_spans(first, size), hashes)
    assert merkle.verify_consistency(first, size, merkle.root_of(hashes[:first]), merkle.root_of(hashes), proof)


@given(st.integers(2, 300), st.data())
def test_a_tree_whose_past_was_changed_cannot_prove_that_it_only_grew(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, first - 1))
    hashes = leaves(size)
    old = merkle.root_of(hashes[:first])
    hashes[changed] = merkle.leaf_hash(b"rewritten")
    proof = path(merkle.consistency_spans(first, size), hashes)
    assert not merkle.verify_consistency(first, size, old, merkle.root_of(hashes), proof)


@given(st.integers(2, 300), st.data())
def test_a_consistency_proof_with_a_step_changed_added_or_left_out_does_not_hold(
    size: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, size - 1))
    hashes = leaves(size)
    old, new = merkle.root_of(hashes[:first]), merkle.root_of(hashes)
    proof = path(merkle.consistency_spans(first, size), hashes)
    place = data.draw(st.integers(0, len(proof) - 1))
    flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    for bad in (
        [*proof[:place], flipped, *proof[place + 1 :]],
        proof[:place] + proof[place + 1 :],
        [*proof, proof[place]],
        [],
    ):
        assert not merkle.verify_consistency(first, size, old, new, bad)
    assert not merkle.verify_consistency(size, first, new, old, proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        merkle.inclusion_spans(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3)])
def test_there_is_no_consistency_of_sizes_out_of_order(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="grows out of"):
        merkle.consistency_spans(first, second)
