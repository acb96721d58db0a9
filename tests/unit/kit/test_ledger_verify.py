# SPDX-License-Identifier: Apache-2.0
"""The offline verifier against an operator who may change anything in the file, and holds the signing key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kit.crypto import SigningKey
from services.kit.ledger import merkle
from services.kit.ledger.verify import HEAD_TYPE, Report, verify_export

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.open(tmp_path_factory.mktemp("keys"), "ledger")


def bodies(count: int) -> list[str]:
    return [json.dumps({"case": f"c{index}", "outcome": "answered"}, separators=(",", ":")) for index in range(count)]


def head(key: SigningKey, leaves: list[str], *, log: str = "exchange") -> dict[str, str]:
    tree = merkle.Frontier.empty()
    for leaf in leaves:
        tree.add(merkle.leaf_hash(leaf.encode()))
    claims = {"log": log, "root": tree.root().hex(), "size": tree.size, "time": "2026-11-23T00:00:00Z"}
    return {"head": key.sign_jws(json.dumps(claims).encode(), {"typ": HEAD_TYPE})}


def export(key: SigningKey, count: int, *, heads: tuple[int, ...]) -> Records:
    leaves = bodies(count)
    promises = [head(key, leaves[:size]) for size in heads]
    return [
        {"key": key.public_jwk(), "log": "exchange"},
        *promises,
        *({"leaf": leaf, "index": index} for index, leaf in enumerate(leaves)),
    ]


def check(folder: Path, records: Records) -> Report:
    path = folder / "exchange.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return verify_export(path)


def test_an_untouched_export_holds(tmp_path: Path, key: SigningKey) -> None:
    report = check(tmp_path, export(key, 20, heads=(5, 13, 20)))
    assert report.holds, report.findings
    assert (report.leaves, report.heads, report.log) == (20, 3, "exchange")


def leaves_of(records: Records) -> list[int]:
    return [place for place, record in enumerate(records) if "leaf" in record]


def flip(records: Records, place: int) -> None:
    records[place]["leaf"] = records[place]["leaf"].replace("answered", "answercd")


def drop(records: Records, place: int) -> None:
    del records[place]


def drop_and_renumber(records: Records, place: int) -> None:
    del records[place]
    for index, each in enumerate(leaves_of(records)):
        records[each]["index"] = index


def insert(records: Records, place: int) -> None:
    records.insert(place, dict(records[place]))
    for index, each in enumerate(leaves_of(records)):
        records[each]["index"] = index


def swap(records: Records, place: int) -> None:
    other = leaves_of(records)[0] if place != leaves_of(records)[0] else leaves_of(records)[1]
    records[place]["leaf"], records[other]["leaf"] = records[other]["leaf"], records[place]["leaf"]


def truncate(records: Records, place: int) -> None:
    del records[place:]


@pytest.mark.parametrize(
    "tamper", [flip, drop, drop_and_renumber, insert, swap, truncate], ids=lambda each: each.__name__
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(count=st.integers(2, 40), where=st.integers(0, 1000))
def test_whatever_is_done_to_a_leaf_is_found(
    tmp_path: Path, key: SigningKey, tamper: Callable[[Records, int], None], count: int, where: int
) -> None:
    records = export(key, count, heads=(count,))
    places = leaves_of(records)
    tamper(records, places[where % len(places)])
    assert not check(tmp_path, records).holds


def test_a_history_rewritten_and_signed_again_does_not_hold_to_a_head_that_somebody_kept(
    tmp_path: Path, key: SigningKey
) -> None:
    kept = head(key, bodies(10)[:7])
    rewritten = [*bodies(10)]
    rewritten[3] = rewritten[3].replace("c3", "c9")
    records: Records = [
        {"key": key.public_jwk(), "log": "exchange"},
        kept,
        head(key, rewritten),
        *({"leaf": leaf, "index": index} for index, leaf in enumerate(rewritten)),
    ]
    assert "The first 7 leaves are not those that a head was signed for." in check(tmp_path, records).findings


def test_two_heads_of_one_size_are_a_fork(tmp_path: Path, key: SigningKey) -> None:
    records = export(key, 6, heads=(6,))
    records.insert(1, head(key, [*bodies(5), "{}"]))
    assert any("forked" in finding for finding in check(tmp_path, records).findings)


def test_a_head_signed_by_another_key_is_found(tmp_path: Path, key: SigningKey) -> None:
    stranger = SigningKey.open(tmp_path, "stranger")
    records = export(key, 4, heads=(4,))
    records.append(head(stranger, bodies(4)))
    assert "A head is not signed with the ledger's key." in check(tmp_path, records).findings


def test_a_whole_export_of_another_key_is_found_by_who_knows_the_right_one(tmp_path: Path, key: SigningKey) -> None:
    stranger = SigningKey.open(tmp_path, "stranger")
    path = tmp_path / "exchange.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in export(stranger, 4, heads=(4,))), encoding="utf-8")
    assert verify_export(path).holds
    assert not verify_export(path, trusted_key={**key.public_jwk()}).holds


def test_leaves_behind_the_newest_head_and_an_export_without_any_head_are_told(tmp_path: Path, key: SigningKey) -> None:
    assert not check(tmp_path, export(key, 5, heads=(4,))).holds
    assert not check(tmp_path, export(key, 5, heads=())).holds


def test_a_head_of_another_ledger_or_an_unreadable_line_is_told(tmp_path: Path, key: SigningKey) -> None:
    records = export(key, 3, heads=(3,))
    records.append(head(key, bodies(3), log="licenses"))
    assert not check(tmp_path, records).holds
    path = tmp_path / "exchange.jsonl"
    check(tmp_path, export(key, 3, heads=(3,)))
    path.write_text(path.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
    assert verify_export(path).findings == ["Line 6 can't be read."]
