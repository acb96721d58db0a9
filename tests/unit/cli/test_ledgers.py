# SPDX-License-Identifier: Apache-2.0
"""`tongban ledger verify` and `prove` on files, with nothing of ours running."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from services.cli import ledgers
from services.kit.crypto import SigningKey
from services.kit.errors import StartupError
from services.kit.ledger import files, merkle
from services.kit.ledger.access import canonical
from services.kit.ledger.statements import HEAD_TYPE


def export(folder: Path, count: int) -> Path:
    key = SigningKey.open(folder / "keys", "ledger")
    tree = merkle.Frontier.empty()
    path = folder / "ledgers" / "exchange.jsonl"
    with files.writing(path) as write:
        write(key=key.public_jwk(), log="exchange")
        for number in range(count):
            body = canonical({"case": f"c{number}", "subject": "s1" if number % 2 else "s2"})
            tree.add(merkle.leaf_hash(body))
            write(leaf=body.decode(), index=number)
        claims = {"log": "exchange", "root": tree.root().hex(), "size": tree.size, "time": "2026-11-23T00:00:00Z"}
        write(head=key.sign_jws(canonical(claims), {"typ": HEAD_TYPE}))
    return path


def test_a_folder_is_checked_and_the_next_run_goes_on_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, state = export(tmp_path, 10), tmp_path / "state"
    assert ledgers.verify(path.parent, None, None, state, "s1") == 0
    told = capsys.readouterr().out
    assert "10 leaves" in told
    assert "holds (10 leaves hashed" in told
    assert "5 leaves about s1" in told
    export(tmp_path, 14)
    assert ledgers.verify(path.parent, None, None, state, "") == 0
    assert "holds (4 leaves hashed" in capsys.readouterr().out
    export(tmp_path, 9)
    assert ledgers.verify(path.parent, None, None, state, "") == 1
    (state / "exchange.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StartupError):
        ledgers.verify(path.parent, None, None, state, "")


def test_a_folder_without_exports_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        ledgers.verify(tmp_path, None, None, None, "")


def test_a_holder_proves_an_answer_with_its_receipt(tmp_path: Path) -> None:
    content, blinding = b'{"status":"married"}', b"b" * 32
    digest = hmac.digest(blinding, hashlib.sha256(content).hexdigest().encode(), hashlib.sha256).hex()
    (tmp_path / "leaf.json").write_text(json.dumps({"digest": digest}), encoding="utf-8")
    (tmp_path / "answer.json").write_bytes(content)
    assert ledgers.prove(tmp_path / "leaf.json", tmp_path / "answer.json", blinding.hex()) == 0
    (tmp_path / "answer.json").write_bytes(b'{"status":"single"}')
    assert ledgers.prove(tmp_path / "leaf.json", tmp_path / "answer.json", blinding.hex()) == 1
    with pytest.raises(StartupError):
        ledgers.prove(tmp_path / "leaf.json", tmp_path / "answer.json", "no hex")
