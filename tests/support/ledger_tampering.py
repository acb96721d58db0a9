# SPDX-License-Identifier: Apache-2.0
"""An operator who cheats: has the database and the signing key, and does to real rows whatever they allow."""

import json
import random
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.kit.crypto import SigningKey
from services.kit.ledger import merkle
from services.kit.ledger.access import canonical
from services.kit.ledger.statements import HEAD_TYPE

Row = tuple[int, bytes, bytes, str, str]


@dataclass
class Rows:
    """The leaves of one database, to be changed and written back."""

    leaves: list[Row]

    @classmethod
    def read(cls, db: sqlite3.Connection) -> "Rows":
        """Read them."""
        query = 'SELECT "index", body, leaf_hash, subject, case_id FROM ledger_leaf ORDER BY "index"'
        return cls(db.execute(query).fetchall())

    def write(self, db: sqlite3.Connection) -> None:
        """Write them back, whatever they are now."""
        db.execute("DELETE FROM ledger_leaf")
        db.executemany("INSERT INTO ledger_leaf VALUES (?, ?, ?, ?, ?)", self.leaves)

    def renumber(self) -> None:
        """Close the gaps."""
        self.leaves = [(at, *leaf[1:]) for at, leaf in enumerate(self.leaves)]


def flip(rows: Rows, rng: random.Random, covered: int) -> None:
    """Another byte in a body."""
    at = rng.randrange(covered)
    index, body, *rest = rows.leaves[at]
    place = rng.randrange(len(body))
    changed = bytes((body[place] ^ rng.randrange(1, 128),))
    rows.leaves[at] = (index, body[:place] + changed + body[place + 1 :], *rest)  # type: ignore[assignment]


def reword(rows: Rows, rng: random.Random, covered: int) -> None:
    """A body that says something else and is still canonical."""
    at = rng.randrange(covered)
    index, body, *rest = rows.leaves[at]
    said = {**json.loads(body), "caller": "agency:somebody else", "outcome": "NO_GRANT"}
    rows.leaves[at] = (index, canonical(said), *rest)  # type: ignore[assignment]


def rehash(rows: Rows, rng: random.Random, covered: int) -> None:
    """A hash that is not the body's."""
    at = rng.randrange(covered)
    index, body, _, *rest = rows.leaves[at]
    rows.leaves[at] = (index, body, rng.randbytes(32), *rest)  # type: ignore[assignment]


def drop(rows: Rows, rng: random.Random, covered: int) -> None:
    """A leaf less."""
    del rows.leaves[rng.randrange(covered)]
    if rng.random() < 0.7:
        rows.renumber()


def insert(rows: Rows, rng: random.Random, covered: int) -> None:
    """A leaf more."""
    at = rng.randrange(covered)
    body = rows.leaves[rng.randrange(len(rows.leaves))][1].replace(b"birth", b"other")
    rows.leaves.insert(at, (at, body, merkle.leaf_hash(body), "s" * 64, ""))
    rows.renumber()


def swap(rows: Rows, rng: random.Random, covered: int) -> None:
    """Two leaves in each other's place."""
    one, two = rng.sample(range(covered), 2)
    first, second = rows.leaves[one], rows.leaves[two]
    rows.leaves[one], rows.leaves[two] = (first[0], *second[1:]), (second[0], *first[1:])


def truncate(rows: Rows, rng: random.Random, covered: int) -> None:
    """The end cut off."""
    del rows.leaves[rng.randrange(covered) :]


def fork(rows: Rows, rng: random.Random, covered: int) -> None:
    """Another history from some leaf on."""
    at = rng.randrange(covered)
    for place in range(at, len(rows.leaves)):
        index, body, *rest = rows.leaves[place]
        rows.leaves[place] = (index, body.replace(b"birth", b"other"), *rest)  # type: ignore[assignment]


LEAVES: Final[Mapping[str, Callable[[Rows, random.Random, int], None]]] = {
    each.__name__: each for each in (flip, reword, rehash, drop, insert, swap, truncate, fork)
}
OTHERS: Final = ("node", "dropped_node", "peaks", "size", "head_root", "head_jws", "head_size", "cosignature")
AFTERWARDS: Final = ("nothing", "tree rebuilt", "signed anew", "signed anew with another key")


def tamper(path: Path, keys: Path, deed: str, afterwards: str, rng: random.Random, *, covered: int) -> None:
    """Do one deed to the rows of a database, then hide it as far as told."""
    with sqlite3.connect(path) as db:
        if deed in LEAVES:
            rows = Rows.read(db)
            LEAVES[deed](rows, rng, covered)
            if afterwards != "nothing":
                rows.renumber()
            if afterwards != "nothing" and deed != "rehash":
                rows.leaves = [(at, body, merkle.leaf_hash(body), *rest) for at, body, _, *rest in rows.leaves]  # type: ignore[misc]
            rows.write(db)
            if afterwards != "nothing":
                _rebuild(db, rows)
            if afterwards.startswith("signed"):
                _sign(db, rows, keys, other=afterwards.endswith("key"), rng=rng)
        else:
            _other(db, deed, rng)
    db.close()


def _rebuild(db: sqlite3.Connection, rows: Rows) -> None:
    tree = merkle.Frontier.empty()
    nodes: list[tuple[int, int, bytes]] = []
    for leaf in rows.leaves:
        nodes += tree.add(leaf[2])
    db.execute("DELETE FROM ledger_node")
    db.executemany("INSERT INTO ledger_node VALUES (?, ?, ?)", nodes)
    db.execute("UPDATE ledger_frontier SET size = ?, peaks = ?", (tree.size, b"".join(tree.peaks)))


def _sign(db: sqlite3.Connection, rows: Rows, keys: Path, *, other: bool, rng: random.Random) -> None:
    """Sign every head that still has a place, as if it had always been so; the key on disk is the ledger's from now on."""
    if other:
        (keys / "ledger.pem").unlink()
    key = SigningKey.open(keys, "ledger")
    for size, jws in db.execute("SELECT tree_size, jws FROM ledger_head").fetchall():
        if size > len(rows.leaves):
            db.execute("DELETE FROM ledger_head WHERE tree_size = ?", (size,))
            db.execute("DELETE FROM ledger_cosignature WHERE tree_size = ?", (size,))
            continue
        root = merkle.root_of([leaf[2] for leaf in rows.leaves[:size]])
        claims: dict[str, Any] = {**_claims(jws), "root": root.hex()}
        signed = key.sign_jws(canonical(claims), {"typ": HEAD_TYPE})
        db.execute("UPDATE ledger_head SET root_hash = ?, jws = ? WHERE tree_size = ?", (root, signed, size))
    if rng.random() < 0.5:
        db.execute("DELETE FROM ledger_cosignature")


def _claims(jws: str) -> dict[str, Any]:
    import base64

    payload = jws.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _other(db: sqlite3.Connection, deed: str, rng: random.Random) -> None:
    newest = "(SELECT max(tree_size) FROM ledger_head)"
    match deed:
        case "node" | "dropped_node":
            level, position = rng.choice(db.execute("SELECT level, position FROM ledger_node").fetchall())
            if deed == "node":
                db.execute(
                    "UPDATE ledger_node SET hash = ? WHERE level = ? AND position = ?",
                    (rng.randbytes(32), level, position),
                )
            else:
                db.execute("DELETE FROM ledger_node WHERE level = ? AND position = ?", (level, position))
        case "peaks":
            [peaks] = db.execute("SELECT peaks FROM ledger_frontier").fetchone()
            at = rng.randrange(len(peaks))
            db.execute(
                "UPDATE ledger_frontier SET peaks = ?", (peaks[:at] + bytes((peaks[at] ^ 1,)) + peaks[at + 1 :],)
            )
        case "size":
            db.execute("UPDATE ledger_frontier SET size = size + ?", (rng.choice((-2, -1, 1, 2)),))
        case "head_root":
            db.execute(f"UPDATE ledger_head SET root_hash = ? WHERE tree_size = {newest}", (rng.randbytes(32),))
        case "head_jws":
            [jws] = db.execute(f"SELECT jws FROM ledger_head WHERE tree_size = {newest}").fetchone()
            at = rng.randrange(len(jws) - 2)
            changed = jws[:at] + ("A" if jws[at] != "A" else "B") + jws[at + 1 :]
            db.execute(f"UPDATE ledger_head SET jws = ? WHERE tree_size = {newest}", (changed,))
        case "head_size":
            db.execute(f"UPDATE ledger_head SET tree_size = tree_size + 7 WHERE tree_size = {newest}")
        case _:
            [size, jws] = db.execute("SELECT tree_size, jws FROM ledger_cosignature ORDER BY tree_size DESC").fetchone()
            at = rng.randrange(len(jws) - 2)
            changed = jws[:at] + ("A" if jws[at] != "A" else "B") + jws[at + 1 :]
            db.execute("UPDATE ledger_cosignature SET jws = ? WHERE tree_size = ?", (changed, size))
