# SPDX-License-Identifier: Apache-2.0
"""A person's key can be erased, nobody else's is, and what is left can't make it again."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from services.kit.ledger.persons import Persons, Punctured

INDEX = b"i" * 32
WAYS = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(st.lists(WAYS, min_size=1, max_size=12, unique=True), st.lists(WAYS, max_size=12))
def test_whoever_is_erased_is_gone_and_all_others_keep_their_seed(erased: list[str], others: list[str]) -> None:
    others = [way for way in others if way not in erased]
    secret = Punctured.fresh()
    before = {way: secret.seed(way) for way in [*erased, *others]}
    for way in erased:
        secret = Punctured({**secret.nodes, **secret.without(way)})
        assert secret.seed(way) is None
        assert secret.without(way) == {}
    assert {way: secret.seed(way) for way in others} == {way: before[way] for way in others}
    left = b"".join(secret.nodes.values())
    assert not any(seed in left for way in erased if (seed := before[way]))


def test_neighbors_down_to_the_last_digit_are_told_apart() -> None:
    secret = Punctured.fresh()
    ways = [f"{'0' * 15}{digit:x}" for digit in range(16)]
    before = [secret.seed(way) for way in ways]
    for way in ways[1:]:
        secret = Punctured({**secret.nodes, **secret.without(way)})
    assert [secret.seed(way) for way in ways] == [before[0], *[None] * 15]


def test_a_seed_can_be_made_by_anybody_who_reads_the_rule() -> None:
    secret = Punctured.fresh()
    seed = secret.nodes[""]
    for digit in "00112233aabbccdd":
        seed = hashlib.sha256(seed + bytes((int(digit, 16),))).digest()
    assert secret.seed("00112233aabbccdd") == seed


def test_the_same_person_has_one_name_and_an_erased_one_a_new_name_each_time() -> None:
    secret = Punctured.fresh()
    persons = Persons(secret, INDEX)
    anna, ben = persons.of("anna"), persons.of("ben")
    assert persons.of("anna") == anna != ben
    assert len({anna.name, anna.key.hex(), ben.name, ben.key.hex()}) == 4
    later = Persons(Punctured({**secret.nodes, **secret.without(persons.way("anna"))}), INDEX)
    assert later.of("ben") == ben
    assert len({anna.name, later.of("anna").name, later.of("anna").name}) == 3
