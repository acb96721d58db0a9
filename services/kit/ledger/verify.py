# SPDX-License-Identifier: Apache-2.0
"""Proves an exported ledger offline: needs the file, SHA-256 and an ES256 library, and nothing of ours that runs.

An export is JSON lines: `{"key": JWK, "log": name}` once, `{"leaf": body text, "index": n}` for every leaf from 0 on, and
`{"head": compact JWS}` for every head; heads that somebody else kept (a witness, the bus) may be added by hand, and are what shows a fork or a
history cut short. The tree is RFC 9162's; the file is read once and never held whole.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.kit.ledger import merkle

HEAD_TYPE = "tongban-head+jwt"
FINDINGS_MAX = 100
"""More of them say nothing new."""


@dataclass(slots=True)
class Report:
    """What was checked, and everything that does not hold."""

    log: str = ""
    leaves: int = 0
    heads: int = 0
    root: str = ""
    findings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def found(self, what: str) -> None:
        """Note what does not hold."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(what)


@dataclass(frozen=True, slots=True)
class _Head:
    size: int
    root: str


def verify_export(path: Path, *, trusted_key: dict[str, str] | None = None) -> Report:
    """Check one export. `trusted_key` is the ledger's public JWK as known from elsewhere; without it the file's own is believed.

    Finds a leaf changed, dropped, inserted or moved; a history cut short of a head; two heads of one size that differ; a head signed by another key.
    """
    report = Report()
    key: ECKey | None = None
    promised: dict[int, set[str]] = {}
    for record in _records(path, report):
        if "key" in record:
            key = _key(record, trusted_key, report)
        elif "head" in record:
            head = _opened(record["head"], key, report)
            if head is not None:
                report.heads += 1
                promised.setdefault(head.size, set()).add(head.root)
    if key is None:
        report.found("The export names no key.")
    if not promised:
        report.found("The export has no head that holds: nothing is promised about its leaves.")
    _grow(path, promised, report)
    return report


def _grow(path: Path, promised: dict[int, set[str]], report: Report) -> None:
    """Rebuild the tree leaf by leaf and compare its root wherever a head was signed."""
    tree = merkle.Frontier.empty()
    _compare(tree, promised, report)
    for record in _records(path, None):
        if "leaf" not in record:
            continue
        if record.get("index") != report.leaves:
            report.found(
                f"Leaf {report.leaves} is missing or out of place: the file goes on with {record.get('index')}."
            )
        tree.add(merkle.leaf_hash(str(record["leaf"]).encode()))
        report.leaves += 1
        _compare(tree, promised, report)
    report.root = tree.root().hex()
    for size in sorted(size for size in promised if size > report.leaves):
        report.found(f"A head promises {size} leaves, and there are {report.leaves}: the history is cut short.")
    if promised and report.leaves > max(promised):
        report.found(
            f"{report.leaves - max(promised)} leaves stand behind the newest head: nothing is promised about them."
        )


def _compare(tree: merkle.Frontier, promised: dict[int, set[str]], report: Report) -> None:
    roots = promised.get(tree.size)
    if roots is None:
        return
    if len(roots) > 1:
        report.found(f"{len(roots)} different heads were signed for {tree.size} leaves: the history was forked.")
    if tree.root().hex() not in roots:
        report.found(f"The first {tree.size} leaves are not those that a head was signed for.")


def _key(record: dict[str, Any], trusted: dict[str, str] | None, report: Report) -> ECKey | None:
    report.log = str(record.get("log", ""))
    try:
        told = ECKey.import_key(record["key"])
        known = told if trusted is None else ECKey.import_key({**trusted})
    except (JoseError, ValueError, TypeError, KeyError):
        report.found("The key of the export can't be read.")
        return None
    if told.thumbprint() != known.thumbprint():
        report.found("The key of the export is not the one that is trusted.")
    return known


def _opened(token: Any, key: ECKey | None, report: Report) -> _Head | None:
    if key is None:
        return None
    try:
        opened = jws.deserialize_compact(str(token), key, algorithms=["ES256"])
        claims = json.loads(opened.payload)
        if opened.headers().get("typ") != HEAD_TYPE or claims["log"] != report.log:
            report.found("A head is of another ledger or no head at all.")
            return None
        return _Head(size=int(claims["size"]), root=str(claims["root"]))
    except (JoseError, ValueError, KeyError, TypeError):
        report.found("A head is not signed with the ledger's key.")
        return None


def _records(path: Path, report: Report | None) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from _parsed(lines, report)


def _parsed(lines: Iterable[str], report: Report | None) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            yield record
        elif report is not None:
            report.found(f"Line {number} can't be read.")
