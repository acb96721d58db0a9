# SPDX-License-Identifier: Apache-2.0
"""`tongban ledger`: export the access ledgers of a running local system, and prove exports with nothing of ours running."""

import asyncio
import json
from pathlib import Path

from services.cli.folder import Folder
from services.cli.names import KEEPERS
from services.cli.options import Options, Profile
from services.cli.papers import OPERATOR
from services.cli.ports import Ports
from services.kit.certificates import Identity
from services.kit.errors import Refusal, StartupError, Unavailable
from services.kit.ledger.archive import export
from services.kit.ledger.verify import verify_export
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry


def export_all(options: Options, profile: Profile, out: Path) -> None:
    """Write `<ledger>.jsonl` for each; a file that was there keeps holding the ledger to its old heads."""

    async def work() -> None:
        folder = Folder.of(options.data, profile)
        ports = Ports(options.host, options.http_port, options.grpc_port)
        identity = Identity.open(folder.pki, f"spiffe://tongban/operator/{OPERATOR}")
        telemetry = Telemetry("tongban")
        try:
            for service in KEEPERS:
                path = out / f"{service}.jsonl"
                async with Peer.open(ports.address(service), identity, telemetry, server_name=service) as peer:
                    count = await export(peer, path, other_heads=_heads(path))
                print(f"{path}: {count} leaves")
        finally:
            telemetry.close()

    out.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(work())
    except (Refusal, Unavailable) as error:
        raise StartupError(f"{error} Is `tongban run` running on {options.data}?") from error


def verify(path: Path, key: Path | None) -> int:
    """Check a file or every `*.jsonl` of a folder; 0 where everything holds."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(each.is_file() for each in files):
        raise StartupError(f"There is no export at {path}.")
    trusted = json.loads(key.read_text(encoding="utf-8")) if key is not None else None
    broken = False
    for each in files:
        report = verify_export(each, trusted_key=trusted)
        verdict = "holds" if report.holds else "DOES NOT HOLD"
        print(f"{each.name}: {report.leaves} leaves, {report.heads} heads, root {report.root[:16]}...: {verdict}")
        for finding in report.findings:
            print(f"  {finding}")
        broken = broken or not report.holds
    return int(broken)


def _heads(path: Path) -> list[str]:
    """The heads of an earlier export at the same place."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:
        records = (json.loads(line) for line in lines)
        return [str(record["head"]) for record in records if "head" in record]
