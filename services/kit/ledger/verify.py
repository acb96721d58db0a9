# SPDX-License-Identifier: Apache-2.0
"""Proves an exported ledger offline: needs the files, SHA-256 and an ES256 library, and nothing of ours that runs.

An export is JSON lines: `{"key": JWK, "log": name}` once; `{"head": compact JWS}` for every head, `{"cosignature": compact JWS}` for what
witnesses said to them, `{"fork": compact JWS}` for what they found; and for every leaf from some index on `{"leaf": body text, "index": n}`, or
`{"leaf_hash": hex, "index": n}` where the body is in an archive segment. Heads that somebody else kept (a witness, the bus) may be added by
hand, and are what shows a fork or a history cut short.

An archive segment is the same, compressed, for a complete subtree: `{"segment": {"from", "to", "root", "size"}, "path": [hex]}` says where
its root lies below the head of `size` leaves. So each segment proves itself, and all of them with the export prove the whole ledger.
The tree is RFC 9162's; files are read once or twice and never held whole.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.kit.ledger import files, merkle
from services.kit.ledger.statements import (
    COSIGNATURE_TYPE,
    FORK_TYPE,
    HEAD_TYPE,
    Head,
    StatementInvalid,
    open_head,
    open_statement,
    proven_by_itself,
)

__all__ = ["HEAD_TYPE", "Report", "Trusted", "verify_export"]

FINDINGS_MAX = 100
"""More of them say nothing new."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """What an earlier run has proven: from there the next one goes on."""

    log: str
    size: int
    peaks: tuple[bytes, ...]
    heads: Mapping[int, str]
    key: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "Trusted":
        """Read what `write` wrote. Raises ValueError, KeyError or TypeError."""
        content = json.loads(path.read_text(encoding="utf-8"))
        heads = {int(size): str(root) for size, root in content["heads"].items()}
        peaks = tuple(bytes.fromhex(peak) for peak in content["peaks"])
        return cls(str(content["log"]), int(content["size"]), peaks, heads, dict(content["key"]))

    def write(self, path: Path) -> None:
        """Keep it."""
        content = {
            "log": self.log,
            "size": self.size,
            "peaks": [peak.hex() for peak in self.peaks],
            "heads": self.heads,
            "key": self.key,
        }
        path.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")


@dataclass(slots=True)
class Report:
    """What was checked, and everything that does not hold."""

    log: str = ""
    leaves: int = 0
    read: int = 0
    """Leaves hashed in this run; the others were proven before."""
    bare: int = 0
    """Leaves of which only the hash is here."""
    heads: int = 0
    segments: int = 0
    cosigned: dict[int, set[str]] = field(default_factory=dict)
    about: int = 0
    """Leaves about the person who was asked for."""
    seconds: float = 0.0
    root: str = ""
    trusted: Trusted | None = None
    """What the next run may go on from; None where something does not hold."""
    findings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def witnesses(self) -> int:
        """How many agencies have signed the newest head that any has."""
        return len(self.cosigned[max(self.cosigned)]) if self.cosigned else 0

    def found(self, what: str) -> None:
        """Note what does not hold."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(what)


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    begin: int
    end: int


def verify_export(
    *paths: Path,
    trusted_key: Mapping[str, str] | None = None,
    root: x509.Certificate | None = None,
    trusted: Trusted | None = None,
    subject: str = "",
) -> Report:
    """Check the export and the archive segments of one ledger.

    Finds a leaf changed, dropped, inserted or moved; a history cut short of a head; two heads of one size that differ; a head signed by
    another key; a head that a witness did not sign as it stands.

    Args:
        paths: at most one export (`.jsonl`), and segments (`.jsonl.gz`).
        trusted_key: the ledger's public JWK as known from elsewhere; without it the file's own is believed.
        root: the authority of the witnesses' certificates; without it their names are what they say.
        trusted: what an earlier run has proven; leaves below it are not read again.
        subject: a pseudonym whose leaves are counted.
    """
    return _Verifier(trusted_key or (trusted.key if trusted else None), root, trusted, subject).verify(paths)


class _Verifier:
    def __init__(
        self,
        trusted_key: Mapping[str, str] | None,
        root: x509.Certificate | None,
        trusted: Trusted | None,
        subject: str,
    ) -> None:
        self._trusted_key = trusted_key
        self._root = root
        self._trusted = trusted
        self._subject = f'"subject":"{subject}"'.encode() if subject else b""
        self._report = Report()
        self._key: ECKey | None = None
        self._promised: dict[int, set[str]] = {}
        self._segments: list[_Segment] = []
        self._placed: list[tuple[str, Mapping[str, Any], Sequence[Any]]] = []

    def verify(self, paths: Sequence[Path]) -> Report:
        begun = time.perf_counter()
        report = self._report
        records = [(path, record) for path in paths for record in files.promises(path, report.found)]
        for _, record in records:
            if "key" in record:
                self._take_key(record)
        for path, record in records:
            self._take(path, record)
        if self._key is None:
            report.found("The export names no key.")
        if not self._promised:
            report.found("The export has no head that holds: nothing is promised about its leaves.")
        for placed in self._placed:
            self._check_place(*placed)
        self._grow([path for path in paths if not path.name.endswith(files.SEGMENT_SUFFIX)])
        report.seconds = time.perf_counter() - begun
        return report

    def _take_key(self, record: Mapping[str, Any]) -> None:
        report = self._report
        log = str(record.get("log", ""))
        if report.log and log != report.log:
            report.found("These files are of different ledgers.")
        report.log = log
        try:
            told = ECKey.import_key(record["key"])
            known = told if self._trusted_key is None else ECKey.import_key({**self._trusted_key})
        except (JoseError, ValueError, TypeError, KeyError):
            report.found("The key of the export can't be read.")
            return
        if told.thumbprint() != known.thumbprint() or (
            self._key is not None and self._key.thumbprint() != known.thumbprint()
        ):
            report.found("The key of the export is not the one that is trusted.")
        self._key = known

    def _take(self, path: Path, record: Mapping[str, Any]) -> None:
        if "head" in record:
            head = self._head(str(record["head"]))
            if head is not None:
                self._report.heads += 1
                self._promised.setdefault(head.size, set()).add(head.root.hex())
        elif "cosignature" in record:
            self._take_cosignature(str(record["cosignature"]))
        elif "fork" in record:
            self._take_fork(str(record["fork"]))
        elif "segment" in record:
            self._take_segment(path, record)

    def _head(self, token: str) -> Head | None:
        if self._key is None:
            return None
        try:
            head = open_head(token, self._key)
        except StatementInvalid as invalid:
            self._report.found(str(invalid))
            return None
        if head.log != self._report.log:
            self._report.found("A head is of another ledger.")
            return None
        return head

    def _take_cosignature(self, token: str) -> None:
        """A witness's word is a promise too: what it signed must be what the leaves make."""
        try:
            said = open_statement(token, COSIGNATURE_TYPE)
            size, root = int(said.claims["size"]), str(said.claims["root"])
        except (StatementInvalid, ValueError, TypeError, KeyError):
            self._report.found("A cosignature is not signed by its witness.")
            return
        if said.claims.get("log") != self._report.log:
            self._report.found("A cosignature is of another ledger.")
        elif self._root is not None and not said.issued_by(self._root):
            self._report.found("A cosignature comes with a certificate that the authority did not issue.")
        else:
            self._promised.setdefault(size, set()).add(root)
            self._report.cosigned.setdefault(size, set()).add(said.witness)

    def _take_fork(self, token: str) -> None:
        try:
            said = open_statement(token, FORK_TYPE)
        except StatementInvalid:
            self._report.found("A piece of evidence is not signed by its witness.")
            return
        if said.claims.get("log") != self._report.log:
            return  # evidence against another ledger, kept here so that it can't be hidden there
        proven = proven_by_itself(said.claims)
        word = "proven by the ledger's own signatures" if proven else "as the witness says"
        self._report.found(f"{said.witness} shows that the history was {said.claims.get('kind')}: {word}.")

    def _take_segment(self, path: Path, record: Mapping[str, Any]) -> None:
        said = record["segment"]
        try:
            self._segments.append(_Segment(path, int(said["from"]), int(said["to"])))
            self._placed.append((path.name, said, list(record["path"])))
        except (TypeError, KeyError, ValueError):
            self._report.found(f"{path.name} doesn't say which segment it is.")

    def _check_place(self, name: str, said: Mapping[str, Any], path: Sequence[Any]) -> None:
        """Whether a segment's root lies where it says below a head that was signed."""
        try:
            begin, length, size = int(said["from"]), int(said["to"]) - int(said["from"]), int(said["size"])
            level = length.bit_length() - 1
            node, steps = bytes.fromhex(said["root"]), [bytes.fromhex(step) for step in path]
            fits = length == 1 << level and begin % length == 0
            holds = fits and any(
                merkle.verify_inclusion(node, begin >> level, -(-size // length), steps, bytes.fromhex(root))
                for root in self._promised.get(size, ())
            )
        except (ValueError, TypeError, KeyError):
            holds = False
        if not holds:
            self._report.found(f"{name} is not proven by any head.")

    def _grow(self, exports: Sequence[Path]) -> None:
        """Rebuild the tree leaf by leaf and compare its root wherever a head was signed."""
        report, trusted = self._report, self._trusted
        tree = merkle.Frontier.empty()
        if trusted is not None:
            tree = merkle.Frontier(trusted.size, list(trusted.peaks))
            self._check_trusted(trusted)
        self._compare(tree)
        ahead = [segment for segment in self._segments if trusted is None or segment.end > trusted.size]
        archived = _Archived(ahead, report)
        for path in exports:
            for record in files.leaves(path, report.found):
                self._add(tree, record, archived)
        for index, body in archived.rest(tree.size):
            self._add(tree, {"leaf": body, "index": index}, archived)
        archived.close()
        report.leaves, report.segments = tree.size, len(self._segments)
        report.root = tree.root().hex()
        newest = max(self._promised, default=0)
        if newest > tree.size:
            report.found(f"A head promises {newest} leaves, and there are {tree.size}: the history is cut short.")
        if self._promised and tree.size > newest:
            report.found(f"{tree.size - newest} leaves stand behind the newest head: nothing is promised about them.")
        if report.bare:
            report.found(f"{report.bare} leaves are here by their hash alone: no segment with their bodies was given.")
        if report.holds and self._key is not None:
            heads = {size: next(iter(roots)) for size, roots in self._promised.items()}
            known = {**(trusted.heads if trusted else {}), **heads}
            key = {name: str(value) for name, value in self._key.as_dict(private=False).items()}
            report.trusted = Trusted(report.log, tree.size, tuple(tree.peaks), known, key)

    def _check_trusted(self, trusted: Trusted) -> None:
        """Heads from before where the run begins are compared with what was proven then."""
        if trusted.log != self._report.log:
            self._report.found("What is trusted is of another ledger.")
        for size in [size for size in self._promised if size < trusted.size]:
            if self._promised[size] != {trusted.heads.get(size)}:
                self._report.found(f"The head of {size} leaves was not proven before: check from the start.")
        known = trusted.heads.get(trusted.size)
        if known is not None:
            self._promised.setdefault(trusted.size, set()).add(known)

    def _add(self, tree: merkle.Frontier, record: Mapping[str, Any], archived: "_Archived") -> None:
        report = self._report
        index = record.get("index")
        if self._trusted is not None and isinstance(index, int) and index < self._trusted.size:
            return
        if isinstance(index, int) and index > tree.size:
            for at, text in archived.until(tree.size, index):
                self._put(tree, at, text.encode())
        if index != tree.size:
            report.found(f"Leaf {tree.size} is missing or out of place: the file goes on with {index}.")
        if "leaf" in record:
            self._put(tree, tree.size, str(record["leaf"]).encode())
            return
        body = archived.body(tree.size)
        told = str(record["leaf_hash"])
        if body is None:
            report.bare += 1
            digest = bytes.fromhex(told) if len(told) == 2 * merkle.HASH_SIZE else b""
        else:
            digest = merkle.leaf_hash(body.encode())
            self._count(body.encode())
            if digest.hex() != told:
                report.found(f"Leaf {tree.size} is another in its segment than in the export.")
        tree.add(digest)
        report.read += 1
        self._compare(tree)

    def _put(self, tree: merkle.Frontier, index: int, body: bytes) -> None:
        if index != tree.size:
            self._report.found(f"Leaf {tree.size} is missing or out of place: a segment goes on with {index}.")
        tree.add(merkle.leaf_hash(body))
        self._report.read += 1
        self._count(body)
        self._compare(tree)

    def _count(self, body: bytes) -> None:
        if self._subject and self._subject in body:
            self._report.about += 1

    def _compare(self, tree: merkle.Frontier) -> None:
        roots = self._promised.get(tree.size)
        if roots is None:
            return
        if len(roots) > 1:
            self._report.found(
                f"{len(roots)} different heads were signed for {tree.size} leaves: the history was forked."
            )
        if tree.root().hex() not in roots:
            self._report.found(f"The first {tree.size} leaves are not those that a head was signed for.")


class _Archived:
    """The bodies of all segments, in order, read as they are wanted."""

    def __init__(self, segments: Sequence[_Segment], report: Report) -> None:
        self._report = report
        self._records = self._read(sorted(segments, key=lambda each: each.begin))
        self._next: tuple[int, str] | None = next(self._records, None)

    def body(self, index: int) -> str | None:
        """The body of one leaf, None where no segment has it."""
        while self._next is not None and self._next[0] < index:
            self._step()
        if self._next is None or self._next[0] != index:
            return None
        body = self._next[1]
        self._step()
        return body

    def until(self, index: int, end: int) -> Iterator[tuple[int, str]]:
        """The leaves from `index` up to before `end`."""
        while index < end and (body := self.body(index)) is not None:
            yield index, body
            index += 1

    def rest(self, index: int) -> Iterator[tuple[int, str]]:
        """The leaves from `index` on."""
        while (body := self.body(index)) is not None:
            yield index, body
            index += 1

    def close(self) -> None:
        """Read what is left: every segment is held to its own root."""
        while self._next is not None:
            self._step()

    def _step(self) -> None:
        self._next = next(self._records, None)

    def _read(self, segments: Sequence[_Segment]) -> Iterator[tuple[int, str]]:
        for segment in segments:
            tree = merkle.Frontier.empty()
            for record in files.leaves(segment.path, self._report.found):
                body, index = str(record.get("leaf", "")), record.get("index")
                if index != segment.begin + tree.size:
                    self._report.found(
                        f"{segment.path.name}: leaf {segment.begin + tree.size} is missing or out of place."
                    )
                tree.add(merkle.leaf_hash(body.encode()))
                yield segment.begin + tree.size - 1, body
            self._check(segment, tree)

    def _check(self, segment: _Segment, tree: merkle.Frontier) -> None:
        roots = [
            record["segment"]["root"]
            for record in files.promises(segment.path, lambda _: None)
            if isinstance(record.get("segment"), dict)
        ]
        if tree.size != segment.end - segment.begin or roots != [tree.root().hex()]:
            self._report.found(f"The leaves of {segment.path.name} are not those of its root.")
