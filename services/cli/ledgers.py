# SPDX-License-Identifier: Apache-2.0
"""`tongban ledger`: export the access ledgers of a running local system, and prove exports with nothing of ours running."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.cli.folder import Folder
from services.cli.names import KEEPERS
from services.cli.options import Options, Profile
from services.cli.papers import OPERATOR
from services.cli.ports import Ports
from services.kit.certificates import Identity, read_certificate
from services.kit.errors import Refusal, StartupError, Unavailable
from services.kit.ledger.access import blinded, content_digest
from services.kit.ledger.export import archive, export
from services.kit.ledger.files import SEGMENT_SUFFIX
from services.kit.ledger.verify import Report, Trusted, verify_export
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

Work = Callable[[str, Peer], Awaitable[None]]


def export_all(options: Options, profile: Profile, out: Path) -> None:
    """Write `<ledger>.jsonl` for each; a file that was there keeps holding the ledger to its old heads."""

    async def work(service: str, peer: Peer) -> None:
        path = out / f"{service}.jsonl"
        print(f"{path}: {await export(peer, path, other_heads=_heads(path))} leaves")

    _with_each(options, profile, out, work)


def archive_all(options: Options, profile: Profile, out: Path, *, leaves: int, drop: bool) -> None:
    """Write what is finished of each ledger as segments `<ledger>/<from>-<to>.jsonl.gz`; with `drop`, let the ledgers forget old bodies."""

    async def work(service: str, peer: Peer) -> None:
        segments = [each async for each in archive(peer, out / service, leaves=leaves, drop=drop)]
        dropped = sum(each.dropped for each in segments)
        print(f"{out / service}: {len(segments)} segments of {leaves} leaves, {dropped} dropped from the database now")

    _with_each(options, profile, out, work)


def verify(path: Path, key: Path | None, root: Path | None, state: Path | None, subject: str) -> int:
    """Check a file, or every ledger of a folder with its segments; 0 where everything holds."""
    ledgers = _ledgers(path)
    trusted_key = json.loads(key.read_text(encoding="utf-8")) if key is not None else None
    authority = read_certificate(root) if root is not None else None
    broken = False
    for name, paths in ledgers.items():
        kept = state / f"{name}.json" if state is not None else None
        report = verify_export(*paths, trusted_key=trusted_key, root=authority, trusted=_trusted(kept), subject=subject)
        _print(name, report, subject)
        if kept is not None and report.trusted is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            report.trusted.write(kept)
        broken = broken or not report.holds
    return int(broken)


def prove(leaf: Path, content: Path, blinding: str) -> int:
    """Tell whether a leaf's digest is that of a content; 0 where it is."""
    try:
        said = str(json.loads(leaf.read_bytes())["digest"])
        opened = blinded(content_digest(content.read_bytes()), bytes.fromhex(blinding))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError("The leaf, the content or the blinding can't be read.") from error
    same = hmac.compare_digest(said, opened)
    print(
        "This is the content that the leaf stands for." if same else "This is NOT the content that the leaf stands for."
    )
    return int(not same)


def _print(name: str, report: Report, subject: str) -> None:
    verdict = "holds" if report.holds else "DOES NOT HOLD"
    rate = report.read / max(report.seconds, 1e-9)
    print(
        f"{name}: {report.leaves} leaves, {report.segments} segments, {report.heads} heads, {report.witnesses} witnesses, "
        f"root {report.root[:16]}...: {verdict} ({report.read} leaves hashed, {rate:,.0f}/s)"
    )
    if subject:
        print(f"  {report.about} leaves about {subject}")
    for finding in report.findings:
        print(f"  {finding}")


def _ledgers(path: Path) -> dict[str, list[Path]]:
    """The files of each ledger below a path, by the ledger's name."""
    if path.is_file():
        return {path.name.partition(".")[0]: [path]}
    found: dict[str, list[Path]] = {}
    for each in sorted(path.glob("*.jsonl")):
        found.setdefault(each.name.partition(".")[0], []).append(each)
    for each in sorted(path.glob(f"*/*{SEGMENT_SUFFIX}")):
        found.setdefault(each.parent.name, []).append(each)
    if not found:
        raise StartupError(f"There is no export at {path}.")
    return found


def _trusted(path: Path | None) -> Trusted | None:
    if path is None or not path.is_file():
        return None
    try:
        return Trusted.read(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartupError(f"{path} is not what an earlier run wrote.") from error


def _with_each(options: Options, profile: Profile, out: Path, work: Work) -> None:
    """Do the work with every ledger of the running system, as the operator."""

    async def all_of_it() -> None:
        folder = Folder.of(options.data, profile)
        ports = Ports(options.host, options.http_port, options.grpc_port)
        identity = Identity.open(folder.pki, f"spiffe://tongban/operator/{OPERATOR}")
        telemetry = Telemetry("tongban")
        try:
            for service in KEEPERS:
                async with Peer.open(ports.address(service), identity, telemetry, server_name=service) as peer:
                    await work(service, peer)
        finally:
            telemetry.close()

    out.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(all_of_it())
    except (Refusal, Unavailable) as error:
        raise StartupError(f"{error} Is `tongban run` running on {options.data}?") from error


def _heads(path: Path) -> list[str]:
    """The heads of an earlier export at the same place."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:
        records = (json.loads(line) for line in lines)
        return [str(record["head"]) for record in records if "head" in record]
