# SPDX-License-Identifier: Apache-2.0
"""`tongban demo`: a throw-away system, one birth, every proof; nothing is left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from services.cli.demo.journey import Outcome, Place, birth
from services.cli.demo.resident import DoorRefused, until_open
from services.cli.folder import Folder
from services.cli.names import SERVICES
from services.cli.options import Profile
from services.cli.ports import Ports, free_ports
from services.cli.supervisor import tail
from services.kit.errors import StartupError

_READY_SECONDS = {Profile.EMBEDDED: 60.0, Profile.FULL: 150.0}
_STOP_SECONDS = 40.0
_TRIES = 3


def demo(profile: Profile, persona: str, *, as_json: bool) -> int:
    """Show it; the exit code is 0 only where the case is completed and everything verified."""
    try:
        outcome = asyncio.run(_shown(profile, persona))
    except DoorRefused as refused:
        raise StartupError(f"The public door refused: {refused}") from refused
    _tell(outcome)
    if as_json:
        print(json.dumps(outcome.document(), ensure_ascii=False))
    return 0 if outcome.held else 1


async def _shown(profile: Profile, persona: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="tongban-demo-") as data:
        begun = time.monotonic()
        print(f"Starting a throw-away system ({profile.value} profile) ...", flush=True)
        async with _system(profile, Path(data), persona) as place:
            print(f"Ready after {time.monotonic() - begun:.1f} s at {place.url}.", flush=True)
            return await birth(place, persona, lambda line: print(line, flush=True))


@asynccontextmanager
async def _system(profile: Profile, data: Path, persona: str) -> AsyncIterator[Place]:
    """A system of its own processes; another row of ports where somebody was faster."""
    for _ in range(_TRIES):
        ports = free_ports()
        process = _launched(profile, data, ports)
        try:
            if await _opened(process, profile, ports, persona):
                pki = Folder.of(data, profile).pki
                yield Place(ports.url, pki, {name: ports.address(name) for name in SERVICES})
                return
        finally:
            await asyncio.to_thread(_stopped, process)
    raise StartupError(f"The system did not start. {tail(data / 'terminal.log')}")


def _launched(profile: Profile, data: Path, ports: Ports) -> "subprocess.Popen[bytes]":
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TONGBAN_")},
        "TONGBAN_DATA": str(data),
        "TONGBAN_HTTP_PORT": str(ports.http),
        "TONGBAN_GRPC_PORT": str(ports.grpc),
        "TONGBAN_SANDBOX": "1",
    }
    with (data / "terminal.log").open("ab") as terminal:
        return subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", "run", "--profile", profile.value],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )


async def _opened(process: "subprocess.Popen[bytes]", profile: Profile, ports: Ports, persona: str) -> bool:
    """True once the city can be used; false where the process has ended or time is up."""
    opening = asyncio.create_task(until_open(ports.url, persona=persona, seconds=_READY_SECONDS[profile]))
    try:
        while not opening.done():
            if process.poll() is not None:
                return False
            await asyncio.wait({opening}, timeout=0.1)
        with suppress(TimeoutError):
            await opening
            return True
        return False
    finally:
        opening.cancel()


def _stopped(process: "subprocess.Popen[bytes]") -> None:
    """Stop it, whatever it takes: its children go with it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tell(outcome: Outcome) -> None:
    case = outcome.case
    print(f"\nCase {case['receipt']}: {case['status']} after {outcome.seconds:.2f} s.")
    print(f"\nLicenses ({len(outcome.licenses)}), each checked against the root certificate alone:")
    for each in outcome.licenses:
        print(f"  {each['identifier']}  {each['name']['zh']}  {each['issuer']['name']['zh']}")
    print(f"\nLedger: {outcome.leaves} leaves of this case; about the mother, each with its proof:")
    for access in reversed(outcome.accesses):
        behalf = access["on_behalf_of"]
        for_whom = behalf["name"]["zh"] if behalf else access["caller"]
        fields = ", ".join(access["fields"])
        print(f"  {access['log']:<9}{access['index']:>4}  {access['operation']:<24} {for_whom}  {fields}")
    for log, root in outcome.roots.items():
        print(f"  root of {log:<9} {root}")
    print(f"  {'every proof holds' if outcome.ledger_verified else 'NOT every proof holds'}")
    print(f"\nTrace {case['trace_id']}:")
    for service, spans in outcome.spans_by_service.items():
        print(f"  {service:<34}{spans:>4} spans")
    for fault in outcome.faults:
        print(f"\nFAULT: {fault}")
    print(flush=True)
